"""`sg-tui models`: which models are here, and fetching others from the Hugging Face Hub."""

from __future__ import annotations

import argparse

from sg_tui.commands.options import Parser
from sg_tui.commands.output import DONE, Output

HELP = "list models, fetch one from the Hub"
DESCRIPTION = """\
List the models that are here, fetch one from the Hugging Face Hub (a download that breaks off is resumed by the same
command, and verified before it is used), or print the folder of one.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    actions = parser.add_subparsers(dest="action", metavar="list | pull ID | path ID", parser_class=Parser)
    actions.add_parser("list", help="the models that are here (the default)")
    pull = actions.add_parser("pull", help="fetch a model from the Hub, for example openai-community/gpt2")
    pull.add_argument("id", metavar="ID")
    path = actions.add_parser("path", help="print the folder of a model")
    path.add_argument("id", metavar="ID")


def run(args: argparse.Namespace, output: Output) -> int:
    """List, fetch or look up."""
    from sg_core.storage import hub

    if args.action == "pull":

        def tell(what: str, done: int, total: int) -> None:
            output.progress(f"{what}  {_size(done)} of {_size(total)}" if total else what)

        folder = hub.pull(args.id, tell)
        output.note(f"{args.id} is here; use it with --model {args.id}")
        output.line(str(folder))
    elif args.action == "path":
        output.line(str(hub.resolve(args.id)))
    else:
        _list(output)
    return DONE


def _list(output: Output) -> None:
    from sg_core.storage.hub import installed

    models = installed()
    if not models:
        output.note("no model is here; fetch one with: sg-tui models pull openai-community/gpt2")
        return
    width = max(len(model.name) for model in models)
    for model in models:
        origin = "shipped" if model.shipped else "fetched"
        output.line(f"{model.name:<{width}}  {_size(model.size):>9}  {origin}  {model.path}")


def _size(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
