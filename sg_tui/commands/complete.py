"""`sg-tui complete`: continue a text."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import TYPE_CHECKING

from sg_core.errors import DataError, SettingError
from sg_core.inference.sampling import MOST_AT_ONCE, Sampling
from sg_core.network.optimizations import USUAL, Optimizations
from sg_core.network.precisions import PRECISIONS
from sg_tui.commands.adapters import add_adapter
from sg_tui.commands.complete_many import as_json, complete_many
from sg_tui.commands.interrupt import Interrupt
from sg_tui.commands.options import (
    add_json,
    add_model,
    add_precision,
    add_settings,
    add_threads,
    add_with,
    given_settings,
    names,
    whole,
)
from sg_tui.commands.output import DONE, Output

if TYPE_CHECKING:
    from sg_core.inference.session import Session

HELP = "continue a text"
DESCRIPTION = """\
Continue PROMPT and print the continuation as it is written; the prompt is not repeated. Without PROMPT, or with -,
the prompt is read from stdin, exactly as it is, its last line break too. An empty prompt begins a new text. Special
tokens of the model in it, such as <|endoftext|>, are read as such unless --plain is given. On a terminal, control
characters are shown as symbols; into a pipe or a file the text goes unchanged, as UTF-8. Figures go to stderr. The
same seed gives the same text, with any number of threads and any optimizations; another precision may change it.
ms/token is the median, with lookup or draft, whose tokens come in bursts, the mean. Several continuations are written
at once and printed one after another, each with a line break behind it; with --json every line has its number. Ctrl-C
and SIGTERM stop at the next token; what was held back then, the beginning of a --stop TEXT or of a character, is
printed too ("rest" in the last JSON line).
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("prompt", nargs="?", metavar="PROMPT", help="the text to continue; - reads it from stdin")
    add_model(parser)
    add_adapter(parser)
    parser.add_argument("--max-tokens", type=whole(0), default=200, metavar="N", help="at most (default: %(default)s)")
    add_settings(parser, Sampling, usual=True)
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end before TEXT; can be repeated")
    parser.add_argument("--plain", action="store_true", help="special tokens in PROMPT are plain text")
    add_precision(parser)
    add_threads(parser)
    add_with(parser)
    parser.add_argument(
        "--without", default="", metavar="NAMES",
        help=f"optimizations to switch off, separated by commas: {', '.join(USUAL)}",
    )  # fmt: skip
    parser.add_argument(
        "--n", type=whole(1, MOST_AT_ONCE), default=1, metavar="N",
        help="continuations at once, number i with the seed raised by i (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--ablate", default="", metavar="NAMES",
        help="heads (LAYER.HEAD, such as 5.1) and MLPs (LAYER.mlp) to mute, separated by commas",
    )  # fmt: skip
    add_json(parser)


def run(args: argparse.Namespace, output: Output) -> int:
    """Complete the prompt."""
    sampling = Sampling(**given_settings(args, Sampling))
    optimizations = chosen_optimizations(args.with_, args.without)
    if "" in args.stop:
        raise SettingError("--stop is empty; give the text to end before")
    prompt = _prompt(args.prompt)
    session = _session(args, optimizations, output)
    began = time.perf_counter()
    if args.n > 1:
        return complete_many(args, session, prompt, sampling, output, began)
    times: list[float] = []
    moves: list[int] = []
    first_token_ms = 0.0
    with Interrupt() as interrupt:
        tokens = session.generate(
            prompt,
            args.max_tokens,
            sampling,
            args.stop,
            progress=lambda done, total: output.progress("reading the prompt", done, total),
            cancelled=interrupt,
            special=not args.plain,
        )
        for token in tokens:
            if not times:
                first_token_ms = (time.perf_counter() - began) * 1e3
            times.append(token.ms)
            if token.context_moved:
                moves.append(token.context_moved)
            if args.json:
                output.json(as_json(token))
            elif token.text:
                output.text(token.text)
        rest = tokens.rest() if tokens.finish_reason == "stopped" else ""
        if not args.json:
            output.text(rest)
    output.end_line()
    if moves:  # told here, not within the text
        times_full = "once" if len(moves) == 1 else f"{len(moves)} times"
        output.note(f"the context was full {times_full}: the model then saw only the newest {moves[0]:,} tokens")
    _tell_end(args.json, output, session, times, first_token_ms, rest)
    return interrupt.end(output, "sg-tui complete") if tokens.finish_reason == "stopped" else DONE


def chosen_optimizations(on: str, off: str) -> Optimizations:
    """The usual ones with some on and some off, their names separated by commas.

    Raises SettingError for an unknown name, and for one that stands in both.
    """
    optimizations = Optimizations().with_(*names(on)).without(*names(off))
    if both := sorted({*names(on)} & {*names(off)}):
        raise SettingError(f"{both[0]} stands in --with and in --without; choose one")
    return optimizations


def _prompt(given: str | None) -> str:
    """The prompt from the command line or stdin. Raises SettingError or DataError."""
    if given is not None and given != "-":
        try:
            given.encode("utf-8")
        except UnicodeEncodeError:
            raise DataError("the prompt is not valid UTF-8") from None
        return given
    if sys.stdin is None:
        raise DataError("standard input is closed; give the prompt as an argument")
    if given is None and sys.stdin.isatty():
        raise SettingError('a prompt is needed: sg-tui complete "ROMEO:", or - to type it and end with Ctrl+D')
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise DataError(
            f"the prompt on stdin is not UTF-8: byte {problem.start:,} is 0x{data[problem.start]:02x}"
        ) from None


def _session(args: argparse.Namespace, optimizations: Optimizations, output: Output) -> Session:
    """The model, loaded, with its kernels compiled."""
    output.progress("starting the engine")
    from sg_core.gpt2 import GPT2
    from sg_core.measure.compilation import warm_up

    output.progress(f"loading {args.model}")
    # what writes ahead is made of the float32 weights
    model = GPT2.from_pretrained(args.model, PRECISIONS[0] if optimizations.draft else args.precision)
    model.require_tokenizer()
    model.load_adapters(args.adapter)
    for note in model.notes:
        output.note(f"{args.model}: {note}")
    if damaged := model.not_finite():
        tensors = ", ".join(damaged[:5])
        output.note(f"{args.model}: {len(damaged)} tensors hold NaN or infinite numbers, first {tensors}")
    session = model.session(optimizations, args.precision, args.threads)
    ablated = names(args.ablate)
    if ablated:
        from sg_core.measure.ablation import muted

        session.interventions = muted(model, ablated)
    precisions = [model.storage(session.precision).kernels]
    if optimizations.draft:
        output.note(session.draft_note)
        precisions += [session.drafter] if session.drafter else []
    for precision in precisions:
        warm_up(progress=output.compiling, precision=precision, window=bool(ablated), adapters=bool(model.adapters))
    return session


def _tell_end(
    as_json: bool, output: Output, session: Session, times: list[float], first_token_ms: float, rest: str
) -> None:
    """The summary: a last JSON line, or a line on stderr. rest: what a stop found held back, which has no token."""
    bursts = session.optimizations.bursts
    typical = (statistics.fmean if bursts else statistics.median)(times) if times else 0.0
    drafted, accepted = session.drafted, session.accepted
    if as_json:
        output.json(
            {
                "done": session.finish_reason,
                "tokens": len(times),
                "ms_per_token": typical,
                "first_token_ms": first_token_ms,
                "prefill_ms": session.prefill_ms,
                **({"drafted": drafted, "accepted": accepted, "rounds": session.rounds} if bursts else {}),
                **({"rest": rest} if rest else {}),
            }
        )
    elif times:
        pace = f"{typical:.3g} ms/token, {1000 / typical:,.0f} tokens/s ({'mean' if bursts else 'median'})"
        drafts = f", {accepted:,} of {drafted:,} drafts kept" if bursts else ""
        if session.rounds:
            drafts += f", {1 + accepted / session.rounds:.1f} tokens a round"
        start = f"first token after {first_token_ms:,.0f} ms, prompt {session.prefill_ms:,.1f} ms"
        output.note(f"{len(times)} tokens, {pace}{drafts}, {start}, ended by {session.finish_reason}")
