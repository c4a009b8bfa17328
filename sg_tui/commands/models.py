"""`sg-tui models`: which models are here, fetching others from the Hugging Face Hub, and removing them."""

from __future__ import annotations

import argparse
import sys

from sg_tui.commands.options import Parser
from sg_tui.commands.output import DONE, Output
from sg_tui.terminal.streams import can_be_asked

HELP = "list models, fetch one from the Hub, remove one, merge an adapter"
DESCRIPTION = """\
List the models that are here, a person's own runs too; fetch one from the Hugging Face Hub (a download that breaks off
is resumed by the same command, and verified before it is used); print the folder of one; remove one; or merge a LoRA
adapter (a folder as PEFT saves it, or a run that trained one) into a model, for programs that know none. Fetched models
lie in the cache of huggingface_hub, where other programs find them, and theirs are found here (HF_HOME, HF_HUB_CACHE,
HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE are obeyed).
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    metavar = "list | pull ID | path ID | remove ID | merge MODEL ADAPTER OUT"
    actions = parser.add_subparsers(dest="action", metavar=metavar, parser_class=Parser)
    actions.add_parser("list", help="the models that are here (the default)")
    pull = actions.add_parser("pull", help="fetch a model from the Hub, for example openai-community/gpt2")
    path = actions.add_parser("path", help="print the folder of a model")
    remove = actions.add_parser("remove", help="delete a fetched model, after saying what goes")
    for action in (pull, path, remove):
        action.add_argument("id", metavar="ID")
    merge = actions.add_parser("merge", help="write a model with an adapter added to its weights")
    merge.add_argument("model", metavar="MODEL")
    merge.add_argument("adapter", metavar="ADAPTER[:SCALE]")
    merge.add_argument("out", metavar="OUT", help="a new folder")
    remove.add_argument("--yes", action="store_true", help="do not ask, also where other programs use the files")


def run(args: argparse.Namespace, output: Output) -> int:
    """List, fetch, look up or remove."""
    from sg_core.storage import hub

    if args.action == "pull":
        _pull(args.id, output)
    elif args.action == "path":
        output.line(str(hub.resolve(args.id)))
    elif args.action == "merge":
        _merge(args.model, args.adapter, args.out, output)
    elif args.action == "remove":
        _remove(args.id, args.yes, output)
    else:
        _list(output)
    return DONE


def _pull(id: str, output: Output) -> None:
    from sg_core.storage import pull

    def tell(what: str, done: int, total: int) -> None:
        output.progress(f"{what}  {_size(done)} of {_size(total)}" if total else what)

    pulled = pull.pull(id, tell)
    output.note(f"{id} is here ({pulled.note}); use it with --model {id}")
    output.line(str(pulled.folder))


def _merge(name: str, adapter: str, out: str, output: Output) -> None:

    from sg_core.errors import ModelFileError
    from sg_core.files import given_path
    from sg_core.gpt2 import GPT2

    folder = given_path(out, ModelFileError)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ModelFileError(f"{out} is there already; name a new folder for the merged model")
    output.progress(f"loading {name}")
    model = GPT2.from_pretrained(name)
    model.load_adapters([adapter])
    for note in model.notes:
        output.note(f"{name}: {note}")
    model.merge_adapters()
    output.progress(f"writing {out}")
    model.save_pretrained(folder)
    output.note(f"{name} with {adapter} merged into it is written; use it with --model {out}")
    output.line(str(folder))


def _remove(id: str, sure: bool, output: Output) -> None:
    from sg_core.errors import SgError
    from sg_core.storage import hub

    places = hub.removal(id)
    for place in places:
        users = ", which other programs may use too" if place.shared else ""
        output.note(f"{place.path}  {_size(place.size)}{users}")
    if any(place.shared for place in places) and not sure:
        if not can_be_asked():
            raise SgError(f"{id} lies in a cache that other programs share; to delete it all the same: --yes")
        output.note(f"delete {'this' if len(places) == 1 else 'these'}? y/N")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise SgError("nothing was deleted")
    hub.remove(id)
    output.note(f"{id} is gone: {_size(sum(place.size for place in places))}")


def _list(output: Output) -> None:
    from sg_core.storage.hub import installed

    models = installed()
    if not models:
        output.note("no model is here; fetch one with: sg-tui models pull openai-community/gpt2")
        return
    width = max(len(model.name) for model in models)
    for model in models:
        output.line(f"{model.name:<{width}}  {_size(model.size):>9}  {model.origin:<9}  {model.path}")


def _size(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
