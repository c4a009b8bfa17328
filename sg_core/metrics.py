"""The figures of a running generation."""

from __future__ import annotations

import statistics
from collections import deque

WINDOW = 50  # tokens


class TokenTimes:
    """ms of the newest WINDOW tokens."""

    def __init__(self) -> None:
        self._ms: deque[float] = deque(maxlen=WINDOW)

    def add(self, ms: float) -> None:
        self._ms.append(ms)

    @property
    def median(self) -> float:
        """0 before the first token."""
        return statistics.median(self._ms) if self._ms else 0.0

    @property
    def p95(self) -> float:
        """The time that 95% of the tokens stay within: the value of that rank, not interpolated."""
        if not self._ms:
            return 0.0
        return sorted(self._ms)[-(-95 * len(self._ms) // 100) - 1]

    @property
    def tokens_per_second(self) -> float:
        """At the median's pace: waiting for others (a training step between two tokens) does not count."""
        return 1000.0 / self.median if self.median > 0 else 0.0
