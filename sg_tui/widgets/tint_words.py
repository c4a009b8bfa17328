"""What a tint means, in the frame of the text: legend, totals, and what is known of the chosen token."""

from __future__ import annotations

import math

from textual.content import Content

from sg_tui.state.manuscript import Manuscript
from sg_tui.state.tint import BITS, LN2, RANKS, Runs, Tint
from sg_tui.terminal.textsafe import safe

SWATCHES = ("", "on $accent 18%", "on $accent 38%", "underline on $error 45%")
AUTHORS = (
    ("you", "bold on $secondary 30%"), ("model", ""), ("cue", SWATCHES[1]), ("taken", SWATCHES[2]),
    ("edit", SWATCHES[3]), ("changed", "italic on $warning 25%"),
)  # fmt: skip


def shown_runs(tint: Tint, manuscript: Manuscript) -> Runs | None:
    """The runs in characters of what is shown, where some of the raw ones are left out."""
    raw = tint.runs(manuscript.pieces)
    if raw is None or not raw.starts:
        return raw
    text, shown, at = manuscript.text, [], 0
    for start, end in zip([0, *raw.starts], raw.starts, strict=False):
        at += len(safe(text[start:end]))
        shown.append(at)
    return Runs(shown, raw.levels)


def legend(tint: Tint, manuscript: Manuscript, character: int | None, width: int) -> Content:
    """The legend, then the totals of the text, or of the token at a character; as much as there is room for."""
    if tint.kind == "none":
        return Content("")
    swatches = Content.assemble(f"{tint.kind} ", *_swatches(tint))
    if not tint.needs_scores:
        return swatches.truncate(width)
    text = manuscript.text
    number = None if character is None else tint.at(character, text)
    told = _totals(tint, text) if number is None else _token(tint, number)
    for words in told:
        if swatches.cell_length + len(words) + 3 <= width:
            return Content.assemble(swatches, " · ", words)
    return swatches.truncate(width)


def _swatches(tint: Tint) -> list[tuple[str, str]]:
    if tint.kind == "author":
        return [part for word, style in AUTHORS for part in ((f" {word} ", style), (" ", ""))][:-1]
    limits = [f"≤{rank:,}" for rank in RANKS] if tint.kind == "rank" else [f"<{bits:g}" for bits in BITS]
    last = f">{RANKS[-1]:,}" if tint.kind == "rank" else f"≥{BITS[-1]:g} bits"
    return [(f" {word} ", style) for word, style in zip((*limits, last), SWATCHES, strict=True)]


def _totals(tint: Tint, text: str) -> list[str]:
    """In many words, then in few."""
    scored = tint.scored
    if scored is None or not text:
        return ["scored when the model rests", "not scored yet"]
    if not math.isfinite(scored.perplexity):
        return [""]
    short = f"perplexity {scored.perplexity:.3g}"
    count = f"{short} of {len(scored.starts) - 1:,} tokens"
    return [count, short] if tint.known(text) == len(text) else [f"{count}, more to come", f"{short} so far"]


def _token(tint: Tint, number: int) -> list[str]:
    scored = tint.scored
    if scored is None or number == 0:
        return ["the first token: nothing stands before it", "the first token"]
    bits, entropy = -scored.logprobs[number] / LN2, scored.entropies[number] / LN2
    short = f"{bits:.1f} bits, rank {scored.ranks[number]:,}"
    return [f"{short}, entropy {entropy:.1f} bits", short]
