"""`sg-tui chat`: a conversation, line by line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sg_core import paths
from sg_core.errors import DataError, ModelFileError
from sg_core.inference.sampling import Sampling
from sg_core.text.templates import FILE, Conversation, Template, choose, read_own
from sg_tui.commands.adapters import add_adapter
from sg_tui.commands.interrupt import Interrupt
from sg_tui.commands.options import add_model, add_precision, add_settings, add_threads, given_settings, whole
from sg_tui.commands.output import DONE, INTERRUPTED, Output
from sg_tui.state.play import Cast

if TYPE_CHECKING:
    from sg_core.inference.session import Session

HELP = "talk to a model, line by line"
DESCRIPTION = f"""\
Talk to a model: a line is yours, then the model answers; an empty line lets it go on. Ctrl-C stops an answer, Ctrl-D
leaves. How turns become a text is a template: the one the model was trained for, as far as its files tell, or another
one by --template: play, question, turns, chatml, instruction, user, or your own in {FILE} in the folder of settings.
Special tokens in what you type are plain text. Lines can be piped in, one turn each; answers go to stdout.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_model(parser)
    add_adapter(parser)
    parser.add_argument("--template", default="", metavar="NAME", help="how turns become a text (default: the model's)")
    parser.add_argument(
        "--max-tokens", type=whole(0), default=200, metavar="N", help="of an answer, at most (default: %(default)s)"
    )
    add_settings(parser, Sampling, usual=True)
    add_precision(parser)
    add_threads(parser)


def run(args: argparse.Namespace, output: Output) -> int:
    """Talk until the input ends."""
    sampling = Sampling(**given_settings(args, Sampling))
    own = read_own(paths.config_dir())
    session, templates = _start(args, own, output)
    template, cast = choose(templates, args.template), Cast()
    talk = Conversation(template.named(cast.person, cast.model))
    output.note(f"{args.model}, template {template.name}; Ctrl-C stops an answer, Ctrl-D leaves")
    for typed in _lines(output):
        talk.say(typed)
        with Interrupt() as interrupt:
            tokens = session.generate(
                talk.prompt, args.max_tokens, sampling, template.stop,
                progress=lambda done, total: output.progress("reading", done, total), cancelled=interrupt,
            )  # fmt: skip
            answer = ""
            for token in tokens:
                answer += token.text
                output.text(token.text if answer.strip() else "")
            if tokens.finish_reason == "stopped":
                rest = tokens.rest()
                answer += rest
                output.text(rest if answer.strip() else "")
        talk.answer(answer)
        output.line()
        if interrupt.asked and interrupt.code != INTERRUPTED:
            return interrupt.end(output, "sg-tui chat")
        if session.finish_reason == "length":
            output.note(f"after {args.max_tokens} tokens; --max-tokens allows more, an empty line goes on")
    return DONE


def _start(args: argparse.Namespace, own: list[Template], output: Output) -> tuple[Session, list[Template]]:
    """The model, loaded, with its kernels compiled, and the templates that can be chosen."""
    output.progress("starting the engine")
    from sg_core.gpt2 import GPT2
    from sg_core.measure.compilation import warm_up
    from sg_core.text.recognition import misread, templates_for

    output.progress(f"loading {args.model}")
    model = GPT2.from_pretrained(args.model, args.precision)
    if model.tokenizer is None:
        raise ModelFileError(f"{args.model} has no tokenizer files, so it can't be talked to")
    model.load_adapters(args.adapter)
    for note in model.notes:
        output.note(f"{args.model}: {note}")
    session = model.session(precision=args.precision, threads=args.threads)
    kernels = model.storage(session.precision).kernels
    warm_up(progress=output.compiling, precision=kernels, adapters=bool(model.adapters))
    if complaint := misread(model.tokenizer):
        output.note(complaint)
    return session, templates_for(model.tokenizer, own)


def _lines(output: Output) -> Iterator[str]:
    """What is typed or piped in, a line at a time. Raises DataError for what is not UTF-8."""
    if sys.stdin is None:
        raise DataError("standard input is closed; there is nobody to talk to")
    if sys.stdin.isatty() and output.to_terminal:
        while True:
            try:
                line = input("> ")
            except EOFError:
                return output.line()
            yield line.encode("utf-8", "replace").decode("utf-8")
    for number, data in enumerate(sys.stdin.buffer, 1):
        try:
            yield data.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as problem:
            raise DataError(f"line {number} on stdin is not UTF-8: byte {problem.start:,}") from None
