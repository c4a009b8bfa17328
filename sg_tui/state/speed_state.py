"""How long a token takes: one statistic, over the newest tokens of one setting that found warm caches."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

from sg_core.engine.events import TokenEvent
from sg_core.measure.setting import Setting
from sg_core.measure.token_times import WINDOW

ALIKE = 0.03  # of the median: tokens within it tell what its operations take
ENOUGH = 8  # tokens from which a restless machine can be told
RESTLESS = 0.25  # of the median: so much does a token differ from the one before where others use the machine
TAKEN_AWAY = 0.25  # share of tokens during which a processor was taken away, from which the machine is busy
COMPILED = 0.25  # share of tokens beside which kernels were compiled, from which that is why


@dataclass(frozen=True, slots=True)
class Figure:
    """A time in ms of n tokens. statistic: "median"; "mean" of tokens that come in bursts. Half lie in low..high."""

    ms: float
    n: int
    low: float
    high: float
    statistic: str = "median"

    @classmethod
    def of(cls, times: Sequence[float], mean: bool = False) -> Figure:
        """Of at least one time."""
        low, high = middle_half(times)
        return cls(fmean(times), len(times), low, high, "mean") if mean else cls(median(times), len(times), low, high)

    @property
    def name(self) -> str:
        """The statistic and how many tokens it is of: "median of 64"."""
        return f"{self.statistic} of {self.n}"


@dataclass(frozen=True, slots=True)
class _Timed:
    ms: float
    op_ms: dict[str, float]
    wall_ms: float
    interruptions: int
    compiling: bool
    moved: bool  # the context moved between the token before and this one


class Speed:
    """The newest tokens of `setting`, at most WINDOW of them; those of another setting are forgotten."""

    def __init__(self) -> None:
        self.setting: Setting | None = None
        self.cold_ms = 0.0  # the newest token that found cold caches
        self._warm: deque[_Timed] = deque(maxlen=WINDOW)

    def clear(self) -> None:
        """Nothing is known any more."""
        self.setting, self.cold_ms = None, 0.0
        self._warm.clear()

    def take(self, event: TokenEvent) -> None:
        """One more token."""
        setting = Setting(event.precision, event.optimizations)
        if setting != self.setting:
            self.clear()
            self.setting = setting
        token = event.token
        if event.wall_ms > 0.0:
            moved = token.context_moved > 0
            lost, compiling = event.interruptions, event.compiling
            self._warm.append(_Timed(token.ms, token.op_ms, event.wall_ms, lost, compiling, moved))
        else:
            self.cold_ms = token.ms

    @property
    def figure(self) -> Figure | None:
        """ms a token; None before a token was timed with warm caches."""
        return Figure.of([one.ms for one in self._warm], self._bursts) if self._warm else None

    @property
    def operations(self) -> dict[str, float]:
        """{operation: ms} in the order of the computation, of the tokens nearest the median: they sum to it."""
        figure = self.figure
        if figure is None:
            return {}
        near = [one for one in self._warm if self._bursts or abs(one.ms - figure.ms) <= ALIKE * figure.ms]
        if not near:  # the two between which the median lies
            ordered = sorted(self._warm, key=lambda one: one.ms)
            near = ordered[len(ordered) // 2 - 1 : len(ordered) // 2 + 1]
        return {name: fmean(one.op_ms.get(name, 0.0) for one in near) for name in near[-1].op_ms}

    @property
    def wall_ms(self) -> float:
        """Mean time from one token to the next, of the same tokens; 0 before any."""
        return fmean(one.wall_ms for one in self._warm) if self._warm else 0.0

    @property
    def tax(self) -> float:
        """What the app adds to the engine's own time, as a share of it: of both the sum, moves of the context apart."""
        still = [one for one in self._warm if not one.moved]
        own = sum(one.ms for one in still)
        return max(0.0, sum(one.wall_ms for one in still) / own - 1) if own > 0 else 0.0

    @property
    def compiling(self) -> bool:
        """Whether the engine compiled kernels beside these tokens: then it is itself what makes the machine busy."""
        return sum(one.compiling for one in self._warm) > COMPILED * len(self._warm)

    @property
    def busy(self) -> bool:
        """Whether something else uses the machine too, so that times say little."""
        times = [one.ms for one in self._warm]
        if len(times) < ENOUGH or self._bursts:
            return False
        if sum(one.interruptions > 0 for one in self._warm) > TAKEN_AWAY * len(times):
            return True
        return median(abs(later - earlier) for earlier, later in pairwise(times)) > RESTLESS * median(times)

    @property
    def _bursts(self) -> bool:
        """Some tokens are computed with the one before them, and then cost next to nothing."""
        return self.setting is not None and self.setting.optimizations.bursts


def middle_half(values: Sequence[float]) -> tuple[float, float]:
    """Two of the values between which half of them lie."""
    ordered = sorted(values)
    cut = len(ordered) // 4
    return ordered[cut], ordered[-1 - cut]
