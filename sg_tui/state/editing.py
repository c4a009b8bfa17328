"""Changing a text anywhere: what comes of it is a branch, which holds what was kept under its own authors."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate

from sg_tui.state.manuscript import Manuscript
from sg_tui.state.piece import Piece
from sg_tui.state.tree import Node, new_node
from sg_tui.terminal.textsafe import raw_index, safe


class Editing:
    """One visit to the editor. `update` may be called after every key: one and the same branch follows."""

    def __init__(self, manuscript: Manuscript) -> None:
        self.manuscript = manuscript
        self._base = Manuscript(tree=manuscript.tree, head=manuscript.head)
        texts = [safe(piece.text) for piece in self._base.pieces]
        self.text = self._before = "".join(texts)  # as it is shown
        self._starts = [0, *accumulate(map(len, texts))]
        self._draft: Node | None = None
        self._begun = False

    def start(self, index: int) -> int:
        """Where the piece at `index` begins in the shown text."""
        return self._starts[min(index, len(self._starts) - 1)]

    def update(self, text: str) -> None:
        """The shown text is this now."""
        if text == self.text:
            return
        self.text = text
        if not self._begun:
            self.manuscript.begin_step()
            self._begun = True
        kept, pieces = self._pieces(text)
        place, tree = self._base.place(kept), self.manuscript.tree
        if text == self._before:
            place = self._base.head
        if pieces:
            if self._draft is None:
                self._draft = tree.add(new_node(place, "edit", pieces))
            else:
                tree.rewrite(self._draft, place, pieces)
            place = tree.end(self._draft)
        elif self._draft is not None:
            tree.remove(self._draft)
        self.manuscript.set_head(place)

    def _pieces(self, text: str) -> tuple[int, list[Piece]]:
        """How many pieces stay as they are, and what stands behind them now."""
        before, old = self._before, self._base.pieces
        first = _alike(before, text)
        most = min(len(before), len(text)) - first
        last = _alike(before[len(before) - most :][::-1], text[len(text) - most :][::-1])
        end = len(before) - last
        kept = max(0, bisect_right(self._starts, first) - 1)
        pieces = [*self._part(kept, 0, first), Piece(text[first : len(text) - last], "edit")]
        at = max(0, bisect_right(self._starts, end) - 1)
        if at < len(old):
            pieces += [*self._part(at, end, len(before)), *map(_without_token, old[at + 1 :])]
        return kept, [piece for piece in pieces if piece.text]

    def _part(self, index: int, first: int, end: int) -> list[Piece]:
        """What lies between two places of the shown text, of one piece."""
        if index >= len(self._base.pieces):
            return []
        piece, start = self._base.pieces[index], self._starts[index]
        raw = piece.text
        low = raw_index(raw, first - start) if first > start else 0
        high = raw_index(raw, end - start) if end < self._starts[index + 1] else len(raw)
        return [_without_token(replace(piece, text=raw[low:high]))] if low < high else []


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:  # by halves: comparing slices costs far less than comparing characters
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


def _without_token(piece: Piece) -> Piece:
    """In another text a token would have had another probability and other alternatives."""
    return Piece(piece.text, piece.author)
