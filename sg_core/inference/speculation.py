"""Prompt-lookup drafts (Saxena 2023): what followed the last few tokens where they stood before may follow again.

A draft costs nothing to make. The model computes its tokens in one pass with the next one; those it would have chosen
itself are kept, so the text is the same with and without.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sg_core.inference.decoder import Decoder
from sg_core.network.precisions import Precision
from sg_core.types import FloatArray

# Tokens of a draft by the confidence in it: with the next one they fill the tiles of 2, 4 or 8 rows (see `products`).
_LENGTHS = ((0.5, 1), (0.75, 3), (math.inf, 7))
MOST = _LENGTHS[-1][1]
_MOST_REDUCED = 3  # of weights of 8 bits and less, whose tokens are bound by computing: more rows cost as many tokens
_NGRAM = 3  # tokens that must have stood before
_LEARNING = 0.2  # weight of the newest draft in the confidence
_DOUBT = 0.3  # confidence below which only now and then a draft is tried
_PROBE = 24  # tokens between two such tries


class Lookup:
    """Finds drafts in one text, and learns how long they may be: `drafted` and `accepted` count tokens."""

    def __init__(self) -> None:
        self.drafted = 0
        self.accepted = 0
        self._entered = 0  # tokens of the text whose n-grams are in `_places`
        self._places: dict[tuple[int, ...], int] = {}  # n-gram -> the place after its newest occurrence
        self._confidence = 0.6
        self._waited = 0

    def draft(self, ids: Sequence[int], most: int) -> list[int]:
        """Up to `most` tokens that may follow `ids`, the text of the last call with more at its end."""
        place = self._find(ids)
        if place is None:
            return []
        self._waited += 1
        if self._confidence < _DOUBT and self._waited < _PROBE:
            return []
        self._waited = 0
        length = next(length for confidence, length in _LENGTHS if self._confidence <= confidence)
        draft: list[int] = []
        for source in range(place, place + min(length, most)):
            # a short loop goes on through the draft itself
            draft.append(ids[source] if source < len(ids) else draft[source - len(ids)])
        return draft

    def forget(self, count: int) -> None:
        """Only the first `count` tokens are the text still."""
        if count < self._entered:
            self._entered = 0
            self._places.clear()

    def learn(self, drafted: int, accepted: int) -> None:
        """Tell how many tokens of a draft the model would have chosen itself."""
        self.drafted += drafted
        self.accepted += accepted
        self._confidence += _LEARNING * (accepted / drafted - self._confidence)

    def _find(self, ids: Sequence[int]) -> int | None:
        """The place after the newest earlier occurrence of the last n-gram of `ids`; the n-grams are then entered."""
        count = len(ids)
        for end in range(max(_NGRAM, self._entered + 1), count):
            self._places[tuple(ids[end - _NGRAM : end])] = end
        self._entered = max(0, count - 1)  # the last n-gram is entered when something follows it
        return self._places.get(tuple(ids[-_NGRAM:]))


class Ahead:
    """Logits of a decoder's next id; with a draft those of its ids as well, kept while it comes true."""

    def __init__(self, decoder: Decoder, lookup: Lookup) -> None:
        self._decoder, self._lookup = decoder, lookup
        self._draft: list[int] = []
        self._rows: FloatArray | None = None
        self.row = 0  # of the last pass: the one whose logits were given
        self._used = 0  # rows that have become tokens
        self._setting: tuple[object, ...] = ()

    def logits(self, left: int) -> FloatArray:
        """(V,) for the next id; `left`: how many more may follow it."""
        decoder = self._decoder
        setting = (decoder.optimizations, decoder.edits)
        if self._rows is not None and setting == self._setting:
            decoder.times.fill(0)  # this token costs nothing but its choice
        else:
            self._close()
            lookup = decoder.optimizations.lookup and left > 0 and not decoder.ready
            most = min(left, MOST if Precision.named(decoder.precision).bits > 8 else _MOST_REDUCED)
            self._draft = self._lookup.draft(decoder.ids, most) if lookup else []
            self._rows, self._used, self._setting = decoder.decode(self._draft), 0, setting
        self.row = self._used
        row: FloatArray = self._rows[self.row]
        return row

    def chosen(self, id: int) -> None:
        """The id that followed, which now ends the decoder's ids."""
        if self._used < len(self._draft) and self._draft[self._used] == id:
            self._used += 1
            self._decoder.accept()
        else:
            self._close()

    def _close(self) -> None:
        if self._draft:
            self._lookup.learn(len(self._draft), self._used)
        self._rows, self._draft = None, []
