"""The rows and totals of `sg-tui score`: a table for people, JSON Lines, or comma-separated values."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sg_core.errors import SettingError
from sg_core.files import shown
from sg_tui.commands.output import Output
from sg_tui.figures import nats, number
from sg_tui.terminal.textsafe import safe_line

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sg_core.inference.score import Scores

    Doubles = npt.NDArray[np.float64]

Record = dict[str, Any]
_OTHER = 14  # width of the column of another model
_LONGEST = 60  # characters of a text in a table
_COLUMNS = {  # of a table, beside nats, bits and the text: (field, head, width)
    "token": (("rank", "rank", 7), ("entropy", "entropy", 9)),
    "word": (("tokens", "tokens", 8), ("uncorrected", "uncorrected", 13)),
    "line": (("tokens", "tokens", 8), ("perplexity", "perplexity", 12), ("nats_per_character", "nats/char", 11)),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Another model or precision beside the first: the log-probability of each part, and how far they are apart.

    mean, error: of the differences in nats, and its standard error, over `parts` that both have; NaN without any.
    divergences: Kullback-Leibler divergence of the first from it before each token, nats, None where they are not told.
    """

    logprobs: dict[int, float | None]
    mean: float
    error: float
    parts: int
    divergences: list[float] | None = None

    @property
    def divergence(self) -> float | None:
        """The mean, nats a token."""
        return statistics.fmean(self.divergences[1:]) if self.divergences and len(self.divergences) > 1 else None


def print_rows(
    compared: Mapping[str, Scores], by: str, form: str, output: Output, divergences: Mapping[str, Doubles]
) -> None:
    """Print the first model's scores by token, word or line, and beside them those of the others.

    form: "table", "json" or "csv". divergences: of those whose distributions can be compared. Raises SettingError
    where tokens can not stand beside each other.
    """
    (_, first), *rest = compared.items()
    others = {name: _compared(first, scores, name, by, divergences.get(name)) for name, scores in rest}
    rows = (_with_others(key, record, others, by) for key, record in _keyed(first, by))
    total = totals(first)
    if form == "json":
        for record in rows:
            output.json(record)
        if others:
            total["compare"] = {
                name: {
                    **totals(compared[name]),
                    "difference": one.mean,
                    "standard_error": one.error,
                    "parts": one.parts,
                    "kl": one.divergence,
                }
                for name, one in others.items()
            }
        output.json(total)
    elif form == "csv":
        print_csv((_flat(record) for record in rows), output)
        for name, scores in compared.items():
            output.note(f"{name}: {totals_line(scores)}")
    else:
        output.line(_head(by, others))
        for record in rows:
            output.line(_table_row(record, by))
        _print_totals(compared, others, by, output)


def records(scores: Scores, by: str) -> Iterator[Record]:
    """A record a token, word or line, as --json prints it."""
    from sg_core.inference.score import perplexity
    from sg_core.inference.spans import lines, words

    if by == "token":
        for token in scores:
            yield {
                "id": token.id, "text": token.text, "start": token.start, "logprob": token.logprob,
                "rank": token.rank, "entropy": token.entropy, "top": token.top,
            }  # fmt: skip
    elif by == "word":
        for word in words(scores):
            yield {
                "text": word.text, "start": word.start, "tokens": word.tokens, "logprob": word.logprob,
                "uncorrected": word.uncorrected,
            }  # fmt: skip
    else:
        for line in lines(scores):
            yield {
                "line": line.number, "text": line.text, "start": line.start, "tokens": line.tokens,
                "characters": line.characters, "logprob": line.logprob,
                "perplexity": None if line.logprob is None else perplexity(-line.logprob, line.tokens),
                "nats_per_character": (
                    None if line.logprob is None or not line.characters else -line.logprob / line.characters
                ),
            }  # fmt: skip


def totals(scores: Scores) -> Record:
    """The last line of --json."""
    return {
        "tokens": scores.tokens, "characters": scores.characters, "bytes": scores.bytes, "nats": scores.nats,
        "perplexity": scores.perplexity, "nats_per_character": scores.nats_per_character,
        "bits_per_byte": scores.bits_per_byte, "window": scores.window, "overlap": scores.overlap,
    }  # fmt: skip


def totals_line(scores: Scores) -> str:
    """The same for people."""
    counted = f"{scores.tokens:,} tokens, {scores.characters:,} characters, {scores.bytes:,} bytes"
    return (
        f"{counted}: {nats(scores.nats)} nats, perplexity {_figure(scores.perplexity)} a token, "
        f"{_figure(scores.nats_per_character)} nats a character, {_figure(scores.bits_per_byte)} bits a byte"
    )


def print_csv(rows: Iterable[Record], output: Output) -> None:
    """A head and a line a record; floats at full precision, nothing where there is no number."""
    for place, row in enumerate(rows):
        if place == 0:
            output.csv(row)
        output.csv(row.values())


# ---------------------------------------------------------------- beside each other


def _keyed(scores: Scores, by: str) -> Iterator[tuple[int, Record]]:
    """Each record, and what tells which part of the text it is, whatever the vocabulary; of tokens, their number."""
    for place, record in enumerate(records(scores, by)):
        yield place if by == "token" else int(record["start" if by == "word" else "line"]), record


def _compared(first: Scores, other: Scores, name: str, by: str, divergences: Doubles | None) -> Comparison:
    if by == "token" and first.text.ids.tolist() != other.text.ids.tolist():
        raise SettingError(f"{shown(name)} cuts the text into other tokens; compare --by word or --by line")
    theirs = {key: record["logprob"] for key, record in _keyed(other, by)}
    both = ((record["logprob"], theirs.get(key)) for key, record in _keyed(first, by))
    apart = [ours - other for ours, other in both if ours is not None and other is not None]
    mean = statistics.fmean(apart) if apart else math.nan
    error = statistics.stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
    return Comparison(theirs, mean, error, len(apart), None if divergences is None else divergences.tolist())


def _with_others(key: int, record: Record, others: Mapping[str, Comparison], by: str) -> Record:
    if not others:
        return record
    beside = {}
    for name, one in others.items():
        ours, theirs = record["logprob"], one.logprobs.get(key)
        apart = None if ours is None or theirs is None else ours - theirs
        beside[name] = {"logprob": theirs, "difference": apart}
        if by == "token" and one.divergences is not None:
            beside[name]["kl"] = one.divergences[key] if key else None
    return {**record, "compare": beside}


# ---------------------------------------------------------------- forms


def _flat(record: Record) -> Record:
    """A record without anything inside."""
    flat = {key: value for key, value in record.items() if key not in ("top", "compare")}
    if "top" in record:
        flat["top"] = " ".join(f"{id}:{logprob!r}" for id, logprob in record["top"])
    for name, beside in record.get("compare", {}).items():
        flat |= {f"{what} {name}": value for what, value in beside.items()}
    return flat


def _head(by: str, others: Mapping[str, Comparison]) -> str:
    own = "".join(f"{head:>{width}}" for _, head, width in _COLUMNS[by])
    beside = "".join(
        f"{_short(name):>{_OTHER}}{'more':>8}" + ("       KL" if by == "token" and one.divergences else "")
        for name, one in others.items()
    )
    return f"{'start':>7}{'nats':>9}{'bits':>9}{own}{beside}  {by}"


def _table_row(record: Record, by: str) -> str:
    logprob = record["logprob"]
    own = "".join(f"{_SHOWN[field](record[field]):>{width}}" for field, _, width in _COLUMNS[by])
    beside = "".join(
        f"{_surprise(one['logprob']):>{_OTHER}}{_signed(one['difference']):>8}{_far(one)}"
        for one in record.get("compare", {}).values()
    )
    text = safe_line(record["text"], _LONGEST)
    if by == "token":
        text = text.replace(" ", "\N{MIDDLE DOT}")  # or the blank that most tokens begin with would not be seen
    bits = None if logprob is None else logprob / math.log(2)
    return f"{record['start']:>7}{_surprise(logprob):>9}{_surprise(bits):>9}{own}{beside}  {text}"


def _print_totals(compared: Mapping[str, Scores], others: Mapping[str, Comparison], by: str, output: Output) -> None:
    for name, scores in compared.items():
        output.line(f"{safe_line(name)}: {totals_line(scores)}")
        if name in others:
            one = others[name]
            apart = f"{_signed(one.mean)} nats a {by}, standard error {_figure(one.error)}, {one.parts:,} {by}s"
            far = "" if one.divergence is None else f"; KL {one.divergence:.4g} nats a token"
            output.line(f"  more surprised by {apart}{far}")
    first = next(iter(compared.values()))
    seen = f"windows of {first.window:,} tokens that overlap by {first.overlap:,}"
    output.line(f"{seen}; the first token has no probability and is in no total")


def _short(name: str) -> str:
    """A name that fits its column: its end tells more than its beginning."""
    text = safe_line(name)
    return text if len(text) < _OTHER - 1 else f"\N{HORIZONTAL ELLIPSIS}{text[3 - _OTHER :]}"


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else number(value)


def _surprise(logprob: float | None) -> str:
    return "–" if logprob is None else nats(abs(logprob))


def _far(beside: Record) -> str:
    if "kl" not in beside:
        return ""
    return f"{'–' if beside['kl'] is None else format(beside['kl'], '.2g'):>9}"


def _signed(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:+.3f}"


_SHOWN = {
    "rank": _figure,
    "entropy": _surprise,
    "tokens": _figure,
    "uncorrected": _surprise,
    "perplexity": _figure,
    "nats_per_character": _surprise,
}
