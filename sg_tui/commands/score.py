"""`sg-tui score`: how likely a model finds a text."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sg_core.errors import DataError, SettingError
from sg_core.files import given_path, read_bytes, shown
from sg_core.network.precisions import PRECISIONS
from sg_tui.commands.adapters import add_adapter
from sg_tui.commands.interrupt import Interrupt
from sg_tui.commands.options import add_json, add_model, names, whole
from sg_tui.commands.output import DONE, Output
from sg_tui.figures import duration

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sg_core.gpt2 import GPT2
    from sg_core.inference.score import Scores
    from sg_core.types import Count

    Doubles = npt.NDArray[np.float64]

HELP = "tell how likely a model finds a text"
DESCRIPTION = """\
Tell how much each token, word or line of FILE surprises a model: nats (natural logarithm) and bits, the rank of the
token (1 is the likeliest), the entropy of what was expected, the totals. The text is read exactly as it is, byte order
mark and line ends too. Nothing is put before it: its first token has no probability, and is in no total. A long text is
seen in overlapping windows, each token with at least the overlap before it; both are told. A word's probability is that
of its tokens, corrected as Pimentel and Meister (2024), "How to Compute the Probability of a Word", show: the
token of the next word carries the blank that ends this one, so the probability that a word ends is moved to the word.
"""
_UNITS = ("token", "word", "line")
_LARGEST_FILE = 1 << 30


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("file", metavar="FILE", help="the text, UTF-8; - reads it from stdin")
    add_model(parser)
    add_adapter(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--by", choices=_UNITS, default=_UNITS[0], help="what has a row (default: %(default)s)")
    what.add_argument(
        "--choices", action="store_true",
        help="rank endings: lines that begin with - are choices, the lines before them the prompt they go on from, and "
        "what follows the dash is put after it as it stands, its blank too; without such lines each line is a choice",
    )  # fmt: skip
    parser.add_argument(
        "--compare", default="", metavar="M,...",
        help=f"score the text with these too, separated by commas: models, or {', '.join(PRECISIONS)} for the same "
        "model in that precision; a difference above 0 says that they are more surprised, and KL how far what they "
        "expect is from what the model does (Kullback-Leibler divergence, nats a token), where tokens are the same",
    )  # fmt: skip
    parser.add_argument(
        "--overlap", type=whole(1), metavar="N",
        help="tokens that windows of a long text share (default: 64, or half a window where that is less); with "
        "more, each is seen with more before it, and it takes longer",
    )  # fmt: skip
    parser.add_argument("--special", action="store_true", help="<|endoftext|> in the text is the token of that name")
    form = parser.add_mutually_exclusive_group()
    add_json(form)
    form.add_argument("--csv", action="store_true", help="print comma-separated values, the totals on stderr")


def run(args: argparse.Namespace, output: Output) -> int:
    """Score the text and print a row for each part of it, and the totals."""
    others = list(dict.fromkeys(names(args.compare)))
    if others and args.choices:
        raise SettingError("--choices ranks with one model; give another one by --model instead of --compare")
    text = read_text(args.file)
    with Interrupt() as interrupt:
        scorer = Scorer(args.special, args.overlap, output, interrupt)
        model = scorer.load(args.model, [PRECISIONS[0], *(name for name in others if name in PRECISIONS)], args.adapter)
        if args.choices:
            from sg_tui.commands.score_choices import ranked

            questions = list(ranked(text, lambda one: scorer.score(model, one)))
        else:
            first, compared, divergences = scorer.compare(model, text, _others(scorer, model, others))
    form = "json" if args.json else "csv" if args.csv else "table"
    if args.choices:
        from sg_tui.commands.score_choices import print_questions

        print_questions(questions, form, output)
    else:
        from sg_tui.commands.score_rows import print_rows

        print_rows({args.model: first, **compared}, args.by, form, output, divergences)
    return DONE


def read_text(file: str) -> str:
    """The text of a file, or of stdin for -, exactly as it is. Raises DataError."""
    where = "stdin" if file == "-" else shown(file)
    data = sys.stdin.buffer.read() if file == "-" else read_bytes(given_path(file, DataError), _LARGEST_FILE, DataError)
    if not data:
        raise DataError(f"{where} is empty; a text to score is needed")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise DataError(
            f"{where} is not UTF-8: byte {problem.start:,} (line {line:,}) is 0x{data[problem.start]:02x}; "
            "convert it first, for example with iconv -f LATIN1 -t UTF-8"
        ) from None


def _others(scorer: Scorer, model: GPT2, names: list[str]) -> Iterator[tuple[str, GPT2, str]]:
    """(name, model, precision) of what is compared, a further model in memory at a time."""
    for name in names:
        if name in PRECISIONS:
            yield name, model, name
        else:
            yield name, scorer.load(name, [PRECISIONS[0]]), PRECISIONS[0]


class Scorer:
    """Loads models and scores texts, telling how far it is. Ctrl-C ends it between two windows."""

    def __init__(self, special: bool, overlap: int | None, output: Output, interrupt: Interrupt) -> None:
        self._special, self._overlap, self._output, self._interrupt = special, overlap, output, interrupt

    def load(self, name: str, precisions: list[str], adapters: Sequence[str] = ()) -> GPT2:
        """A model, with its kernels compiled; what is wrong with it is told."""
        self._output.progress("starting the engine")
        from sg_core.gpt2 import GPT2
        from sg_core.measure.compilation import warm_up_scores

        self._output.progress(f"loading {name}")
        model = GPT2.from_pretrained(name)
        model.load_adapters(adapters)
        for note in model.notes:
            self._output.note(f"{name}: {note}")
        if damaged := model.not_finite():
            tensors = ", ".join(damaged[:5])
            self._output.note(f"{name}: {len(damaged)} tensors hold NaN or infinite numbers, first {tensors}")
        for precision in precisions:
            kernels = model.storage(precision).kernels
            warm_up_scores(self._output.compiling, kernels, adapters=bool(model.adapters))
        self._go_on()
        return model

    def score(self, model: GPT2, text: str, precision: str = PRECISIONS[0]) -> Scores:
        """The scores of a text. Raises KeyboardInterrupt."""
        tell = self._progress(f"scoring with {model.name} in {precision}")
        scores = model.score(
            text, self._special, precision, progress=tell, cancelled=self._interrupt, overlap=self._overlap
        )
        self._go_on()
        return scores

    def compare(
        self, model: GPT2, text: str, others: Iterable[tuple[str, GPT2, str]]
    ) -> tuple[Scores, dict[str, Scores], dict[str, Doubles]]:
        """The scores by a model, by others (name, model, precision), and where they see the same tokens in the same
        windows, how far they are apart before each token. Raises KeyboardInterrupt."""
        first: Scores | None = None
        compared: dict[str, Scores] = {}
        divergences: dict[str, Doubles] = {}
        for name, other, precision in others:
            if self._comparable(model, other, text):
                first, compared[name], divergences[name] = self._beside(model, other, text, precision)
            else:
                compared[name] = self.score(other, text, precision)
        return first or self.score(model, text), compared, divergences

    def _comparable(self, model: GPT2, other: GPT2, text: str) -> bool:
        from sg_core.inference.beside import comparable

        return comparable(model, other, model.tokenizer, other.tokenizer, text)

    def _beside(self, model: GPT2, other: GPT2, text: str, precision: str) -> tuple[Scores, Scores, Doubles]:
        from sg_core.inference.beside import score_beside

        tell = self._progress(f"scoring with {model.name} and {other.name} in {precision}")
        found = score_beside(
            model, other, model.tokenizer, text, self._special,
            PRECISIONS[0], precision, progress=tell, cancelled=self._interrupt, overlap=self._overlap,
        )  # fmt: skip
        self._go_on()
        return found.first, found.other, found.divergences

    def _progress(self, what: str) -> Count:
        began = time.perf_counter()

        def tell(done: int, total: int) -> None:
            left = duration((time.perf_counter() - began) / done * (total - done))
            self._output.progress(f"{what}: token", done, total, f"about {left} left")

        self._output.progress("reading the text")
        return tell

    def _go_on(self) -> None:
        if self._interrupt.asked:
            raise KeyboardInterrupt
