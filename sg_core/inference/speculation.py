"""Writing ahead: the model computes the tokens of a draft in one pass with the next one, and keeps those it would have
chosen itself. So the text is the same with and without.

Lookup's drafts cost nothing to make (Saxena 2023): what followed the last few tokens where they stood before may follow
again. Where the text has nothing to offer, reduced weights guess (see `drafting`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from sg_core.inference.decoder import Decoder
from sg_core.inference.drafting import Drafting
from sg_core.network.precisions import Precision
from sg_core.network.screen import Screen
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
        self.rounds = 0  # passes with drafts
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
        self.rounds += 1
        self._confidence += _LEARNING * (accepted / drafted - self._confidence)

    def hoped(self, length: int) -> float:
        """Tokens that a draft of this length promises, with the one that the model adds."""
        return 1.0 + self._confidence * length

    def _find(self, ids: Sequence[int]) -> int | None:
        """The place after the newest earlier occurrence of the last n-gram of `ids`; the n-grams are then entered."""
        count = len(ids)
        for end in range(max(_NGRAM, self._entered + 1), count):
            self._places[tuple(ids[end - _NGRAM : end])] = end
        self._entered = max(0, count - 1)  # the last n-gram is entered when something follows it
        return self._places.get(tuple(ids[-_NGRAM:]))


class Ahead:
    """Logits of a decoder's next id; with a draft those of its ids as well, kept while it comes true.

    drafting_ns: what writing ahead took for the newest logits, None while that is switched off.
    """

    def __init__(self, decoder: Decoder, lookup: Lookup, drafting: Drafting) -> None:
        self._decoder, self._lookup, self._drafting = decoder, lookup, drafting
        self._draft: list[int] = []
        self._author: Lookup | Drafting = lookup  # of the draft
        self._rows: FloatArray | None = None
        self.row = 0  # of the last pass: the one whose logits were given
        self.drafting_ns: int | None = None
        self._used = 0  # rows that have become tokens
        self._setting: tuple[object, ...] = ()

    def logits(
        self, left: int, guess: Callable[[list[int]], int], ends: Callable[[int], bool], screen: Screen | None = None
    ) -> FloatArray:
        """(V,) for the next id; `left`: how many more may follow it.

        guess, ends: see `Drafting.write`; screen: see `Decoder.decode`.
        """
        decoder = self._decoder
        setting = (decoder.optimizations, decoder.edits, screen)
        self.drafting_ns = 0 if decoder.optimizations.draft else None
        if self._rows is not None and setting == self._setting:
            decoder.times.fill(0)  # this token costs nothing but its choice
        else:
            self.forget()
            ready, began = decoder.ready, time.perf_counter_ns()
            self._draft = [] if ready or left < 1 else self._written(left, guess, ends)
            drafted = time.perf_counter_ns()
            self._rows, self._used, self._setting = decoder.decode(self._draft, screen), 0, setting
            if decoder.optimizations.draft and not ready:
                self.drafting_ns = drafted - began
                self._drafting.passed(1 + len(self._draft), time.perf_counter_ns() - drafted)
        self.row = self._used
        row: FloatArray = self._rows[self.row]
        return row

    def _written(self, left: int, guess: Callable[[list[int]], int], ends: Callable[[int], bool]) -> list[int]:
        """A draft of at most `left` ids: that of the text so far, or of cheaper weights, whichever promises more."""
        decoder, lookup, drafting = self._decoder, self._lookup, self._drafting
        most = min(left, MOST if Precision.named(decoder.precision).bits > 8 else _MOST_REDUCED)
        found = lookup.draft(decoder.ids, most) if decoder.optimizations.lookup else []
        cheaper = decoder.optimizations.draft and decoder.model.drafter(decoder.precision)
        length = drafting.length(most) if cheaper else 0
        pace_of_found = lookup.hoped(len(found)) / drafting.pass_ns(1 + len(found)) if found and length else 0.0
        if length and drafting.pace(length) > pace_of_found:
            self._author = drafting
            return drafting.write(length, guess, ends)
        self._author = lookup
        return found

    def chosen(self, id: int) -> None:
        """The id that followed, which now ends the decoder's ids."""
        if self._used < len(self._draft) and self._draft[self._used] == id:
            self._used += 1
            self._decoder.accept()
        else:
            self.forget()

    def forget(self) -> None:
        """The text goes on without the rest of the draft."""
        if self._draft:
            self._author.learn(len(self._draft), self._used)
        self._rows, self._draft = None, []
