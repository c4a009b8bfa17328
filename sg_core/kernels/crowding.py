"""How many threads of a team a call gets: fewer for a while when other programs hold the cores.

A team is as fast as its slowest thread. Where another program takes turns on a core, one thread is put aside for
milliseconds while the others wait at a barrier that costs microseconds otherwise, and at the next one it is their
turn: two threads are then slower than one. So the time lost at barriers is watched, and when too much of it is lost,
half of the threads compute alone; after a rest all of them are tried again. The results do not depend on it.
"""

from __future__ import annotations

WINDOW = 0.02  # seconds of calls that are judged together
MOST_LOST = 1 / 3  # of the threads' time: two that lose so much do no more than one does in two thirds of a core
RESTS = 16  # a rest is so many times as long as what was lost on the attempt before it ...
LONGEST_REST = 4.0  # ... and then twice as long as the last one, up to so many seconds


class Crowding:
    """Of one team. Times are seconds of one steady clock."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads = most
        self._retry_at = 0.0
        self._rest = 0.0
        self._elapsed = self._lost = 0.0

    def threads(self, now: float) -> int:
        """How many compute the call that begins now."""
        if self._threads < self._most and now >= self._retry_at:
            self._threads = self._most
            self._elapsed = self._lost = 0.0
        return self._threads

    def observe(self, now: float, elapsed: float, lost: float) -> None:
        """A call of so many threads has ended; lost: what they waited at barriers, added up."""
        self._elapsed += elapsed
        self._lost += lost
        if self._elapsed < WINDOW:
            return
        if self._lost > MOST_LOST * self._elapsed * self._threads:
            shortest = RESTS * self._elapsed
            self._rest = max(shortest, min(2 * self._rest, LONGEST_REST))
            self._retry_at = now + self._rest
            self._threads = max(1, self._threads // 2)
        elif self._threads == self._most:
            self._rest = 0.0
        self._elapsed = self._lost = 0.0
