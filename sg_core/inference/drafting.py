"""How far to write ahead with cheaper weights: learned from what drafts and passes take, and how many come true.

The model's own weights in a reduced precision guess the next tokens one after another; the full ones compute all of
them in one pass and keep those they would have chosen themselves (Leviathan et al. 2022, with the model as its own
draft). Reading the weights is what a token costs, so eight positions cost little more than one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LENGTHS = (1, 3, 7)  # of a draft: with the next token they fill the tiles of 2, 4 or 8 rows
_FIRST = 3  # tried before anything is known
_GAIN = 1.02  # drafts that promise less than this times the pace without them are not worth their doubt
_TRY, _SELDOM = 64, 512  # rounds between two tries where drafts don't pay: at first, and at last
_PLAIN = 64  # rounds after which a pass without drafts is measured again
_LEARNING = 0.1  # weight of what is newest
_FALLING = 0.4  # and of a cost that is lower than it was: the machine may have got quieter


class Drafting:
    """Learns for one session. drafted, accepted: tokens; rounds: passes with drafts."""

    def __init__(self) -> None:
        self.drafted = 0
        self.accepted = 0
        self.rounds = 0
        self._hope = 0.8  # that a guess comes true when those before it have
        self._guess = _Cost()
        self._passes = {rows: _Cost() for rows in (1, *(1 + length for length in LENGTHS))}
        self._waited, self._patience = 0, _TRY

    def length(self, most: int) -> int:
        """How many tokens to guess now, at most so many; 0 for none."""
        lengths = [length for length in LENGTHS if length <= most]
        if not lengths or not self._passes[1].known:
            return 0
        if not self._guess.known:
            return min(_FIRST, lengths[-1])
        best = max(lengths, key=self.pace)
        self._waited += 1
        if self.pace(best) > _GAIN * self.pace(0):
            self._patience = _TRY
            if self._waited < _PLAIN:
                return best
            self._waited = 0
            return 0
        if self._waited < self._patience:
            return 0
        self._waited, self._patience = 0, min(2 * self._patience, _SELDOM)
        return best

    def pace(self, length: int) -> float:
        """Tokens a nanosecond that guesses of this length promise."""
        tokens = sum(self._hope**count for count in range(length + 1))
        return tokens / (length * self._guess.ns + self.pass_ns(1 + length))

    def pass_ns(self, rows: int) -> float:
        """What a pass of so many rows takes; where none was seen, a little more than the largest that was."""
        fewer = max(known for known, cost in self._passes.items() if known == 1 or (known <= rows and cost.known))
        return max(1.0, self._passes[fewer].ns) * (1.0 + 0.04 * (rows - fewer))

    def write(self, length: int, guess: Callable[[list[int]], int], ends: Callable[[int], bool]) -> list[int]:
        """A draft: guess(draft so far) gives the next id; none follows one that ends the text."""
        draft: list[int] = []
        for _ in range(length):
            began = time.perf_counter_ns()
            draft.append(guess(draft))
            self._guess.learn(time.perf_counter_ns() - began)
            if ends(draft[-1]):
                break
        return draft

    def passed(self, rows: int, ns: int) -> None:
        """Tell what a pass of so many rows took."""
        if rows in self._passes:
            self._passes[rows].learn(ns)

    def learn(self, drafted: int, accepted: int) -> None:
        """Tell how many tokens of a draft the model would have chosen itself."""
        self.drafted += drafted
        self.accepted += accepted
        self.rounds += 1
        for came_true in [True] * accepted + [False] * (accepted < drafted):
            self._hope += _LEARNING * (came_true - self._hope)


class _Cost:
    """What something takes, in ns, without the hiccups of a busy machine."""

    def __init__(self) -> None:
        self.ns = 0.0
        self._seen = 0

    @property
    def known(self) -> bool:
        return self._seen > 1

    def learn(self, ns: int) -> None:
        """The first one, which may have waited for a compiler, counts only until the next."""
        self._seen += 1
        if self._seen <= 2:
            self.ns = float(ns)
        else:
            self.ns += (_FALLING if ns < self.ns else _LEARNING) * (min(float(ns), 2.0 * self.ns) - self.ns)
