"""The figures of a running generation."""

from __future__ import annotations

import statistics
from collections import deque

WINDOW = 64  # tokens


class TokenTimes:
    """ms of the newest WINDOW tokens."""

    def __init__(self) -> None:
        self._ms: deque[float] = deque(maxlen=WINDOW)
        self._bursts = False

    def add(self, ms: float, bursts: bool = False) -> None:
        """A token took `ms`. bursts: some tokens are computed with the one before them, and then cost next to nothing.

        Times of the two kinds are not mixed: when they change, those before are forgotten.
        """
        if bursts != self._bursts:
            self._bursts = bursts
            self._ms.clear()
        self._ms.append(ms)

    @property
    def per_token(self) -> float:
        """The median; of bursts the mean, where the median would be one of the free tokens. 0 before the first."""
        if not self._ms:
            return 0.0
        return statistics.fmean(self._ms) if self._bursts else statistics.median(self._ms)

    @property
    def p95(self) -> float:
        """The time that 95% of the tokens stay within: the value of that rank, not interpolated."""
        if not self._ms:
            return 0.0
        return sorted(self._ms)[-(-95 * len(self._ms) // 100) - 1]

    @property
    def tokens_per_second(self) -> float:
        """At that pace: waiting for others (a training step between two tokens) does not count."""
        return 1000.0 / self.per_token if self.per_token > 0 else 0.0
