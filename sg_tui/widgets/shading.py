"""Parts of a text that are shaded, each as strongly as it is worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sg_tui.state.manuscript import Piece
from sg_tui.terminal.textsafe import safe

LEVELS = 4


class Shade(NamedTuple):
    """Characters start:stop of the raw text of a piece are shaded, level 1 to LEVELS."""

    piece: int
    start: int
    stop: int
    level: int


class Shading:
    """The shades of a text's pieces, in characters of what is shown of them."""

    def __init__(self, shades: Iterable[Shade] = (), pieces: Sequence[Piece] = ()) -> None:
        self._parts: dict[int, list[tuple[int, int, int]]] = {}
        for piece, start, stop, level in sorted(shades):
            if piece < len(pieces):
                raw = pieces[piece].text
                self._parts.setdefault(piece, []).append((len(safe(raw[:start])), len(safe(raw[:stop])), level))

    def cuts(self, piece: int, begin: int, low: int, high: int) -> list[tuple[int, int, int]]:
        """[low, high) of a text in which the piece begins at `begin`, cut where its shade changes."""
        found = []
        for start, stop, level in self._parts.get(piece, ()):
            first, last = max(low, begin + start), min(high, begin + stop)
            if first < last:
                found += [(low, first, 0), (first, last, level)]
                low = last
        return [cut for cut in [*found, (low, high, 0)] if cut[0] < cut[1]]


def cut_at(low: int, high: int, chosen: tuple[int, int] | None) -> list[tuple[int, int, bool]]:
    """[low, high) cut where a selection begins and ends: (low, high, selected)."""
    if chosen is None or chosen[1] <= low or chosen[0] >= high:
        return [(low, high, False)]
    first, last = max(low, chosen[0]), min(high, chosen[1])
    cuts = [(low, first, False), (first, last, True), (last, high, False)]
    return [cut for cut in cuts if cut[0] < cut[1]]
