"""What each switch is worth, from tokens that were really timed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from sg_core.network.optimizations import Optimizations
from sg_tui.state.speed_state import middle_half

NEAR = 16  # positions: tokens further apart than this are not compared
ENOUGH = 4  # pairs of tokens below which nothing is told
COMPARED = 64  # newest tokens that are compared
UNSURE = 0.5  # spread of the ratio, as a share of it, from which it is not told


@dataclass(frozen=True, slots=True)
class Effect:
    """Two settings at the same positions of texts: the medians of n pairs of tokens, in ms.

    times: how many times the second takes as long, the median of the pairs; half of them lie in low..high.
    position: of the pair in the middle.
    """

    one: float
    other: float
    times: float
    low: float
    high: float
    n: int
    position: int

    @property
    def unsure(self) -> bool:
        """The machine was too busy to tell."""
        return self.high - self.low > UNSURE * self.times


class Effects:
    """Times of tokens by switches and position.

    The cost of a switch that is off grows with the length of the text; so a token is only compared with one
    written at about the same position, with that one switch the other way and all others the same. Tokens of one
    precision alone belong here, and none that may have been computed along with another: what one of those took
    says nothing. So lookup and draft tell no settings apart.
    """

    def __init__(self) -> None:
        self._times: dict[Optimizations, dict[int, float]] = {}

    @property
    def times(self) -> Mapping[Optimizations, Mapping[int, float]]:
        """{switches: {position: ms}}, the newest token of each position."""
        return self._times

    def add(self, optimizations: Optimizations, position: int, ms: float) -> None:
        """A token took `ms` when `position` tokens stood in the context."""
        times = self._times.setdefault(optimizations.alike, {})
        times.pop(position, None)  # so that the newest stand last
        times[position] = ms

    def of(self, optimizations: Optimizations, name: str) -> Effect | None:
        """What the switch is worth, the others as they are: first on, then off; None if not measured."""
        return self.between(optimizations.with_(name), optimizations.without(name))

    def between(self, one: Optimizations, other: Optimizations) -> Effect | None:
        """Two settings at matching positions; None if not measured."""
        here, there = (self._times.get(setting.alike) for setting in (one, other))
        if not here or not there:
            return None
        positions = sorted(there)
        pairs = []
        for position in list(here)[-COMPARED:]:
            nearest = _nearest(positions, position)
            if abs(nearest - position) <= NEAR and here[position] > 0:
                pairs.append((position, here[position], there[nearest]))
        if len(pairs) < ENOUGH:
            return None
        ratios = [after / before for _, before, after in pairs]
        low, high = middle_half(ratios)
        return Effect(
            median(before for _, before, _ in pairs),
            median(after for _, _, after in pairs),
            median(ratios),
            low,
            high,
            len(pairs),
            sorted(position for position, _, _ in pairs)[len(pairs) // 2],
        )


def _nearest(positions: list[int], position: int) -> int:
    at = bisect_left(positions, position)
    return min(positions[max(0, at - 1) : at + 1], key=lambda found: abs(found - position))
