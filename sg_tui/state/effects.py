"""What each switch is worth, from tokens that were really timed."""

from __future__ import annotations

from bisect import bisect_left
from statistics import median

from sg_core.network.optimizations import Optimizations

NEAR = 16  # positions: tokens further apart than this are not compared
ENOUGH = 4  # pairs of tokens below which nothing is told
COMPARED = 64  # newest tokens that are compared


class Effects:
    """Times of tokens by switches and position.

    The cost of a switch that is off grows with the length of the text; so a token is only compared with one
    written at about the same position, with that one switch the other way and all others the same. Tokens of one
    precision alone belong here, and none that may have been computed along with another: what one of those took
    says nothing. So lookup and draft tell no settings apart.
    """

    def __init__(self) -> None:
        self._times: dict[Optimizations, dict[int, float]] = {}

    def add(self, optimizations: Optimizations, position: int, ms: float) -> None:
        """A token took `ms` when `position` tokens stood in the context."""
        times = self._times.setdefault(optimizations.alike, {})
        times.pop(position, None)  # so that the newest stand last
        times[position] = ms

    def of(self, optimizations: Optimizations, name: str) -> tuple[float, float] | None:
        """(ms per token with the switch on, with it off), the others as they are; None if not measured."""
        return self.between(optimizations.with_(name), optimizations.without(name))

    def between(self, one: Optimizations, other: Optimizations) -> tuple[float, float] | None:
        """(ms per token, ms per token) of two settings at matching positions; None if not measured."""
        here, there = (self._times.get(setting.alike) for setting in (one, other))
        if not here or not there:
            return None
        positions = sorted(there)
        pairs = []
        for position in list(here)[-COMPARED:]:
            nearest = _nearest(positions, position)
            if abs(nearest - position) <= NEAR:
                pairs.append((here[position], there[nearest]))
        if len(pairs) < ENOUGH:
            return None
        return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)


def _nearest(positions: list[int], position: int) -> int:
    at = bisect_left(positions, position)
    return min(positions[max(0, at - 1) : at + 1], key=lambda found: abs(found - position))
