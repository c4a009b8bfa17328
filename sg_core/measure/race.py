"""Two settings on one prompt and seed, a token of each in turn, so that whatever disturbs one disturbs the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from sg_core.inference.sampling import Sampling
from sg_core.measure.setting import Setting
from sg_core.types import Cancelled

if TYPE_CHECKING:
    from sg_core.gpt2 import GPT2
    from sg_core.inference.token import Token

BLOCK = 6  # tokens that are timed together where they come in bursts
PAIRS = 8  # below which no speed-up is told


@dataclass(frozen=True, slots=True)
class Lap:
    """One token of each, left and right. difference: the largest of their logits, NaN once the texts differ."""

    ids: tuple[int, int]
    texts: tuple[str, str]
    ms: tuple[float, float]
    difference: float


@dataclass(frozen=True, slots=True)
class Lead:
    """How many times as long the right one takes: the median of n pairs, of tokens or of blocks of them; half of the
    pairs lie in low..high."""

    times: float
    low: float
    high: float
    n: int


class Standings:
    """What the laps so far tell. bursts: the tokens of a side come in bursts, most of them free: times are then of
    BLOCK tokens together, and the statistic is the mean."""

    def __init__(self, bursts: bool = False) -> None:
        self.bursts = bursts
        self.laps: list[Lap] = []
        self.first_difference: int | None = None  # number of the first token that differs, from 1
        self.largest_difference = 0.0  # of the logits of tokens after equal texts

    def add(self, lap: Lap) -> None:
        """One more token of each."""
        self.laps.append(lap)
        if math.isfinite(lap.difference):
            self.largest_difference = max(self.largest_difference, lap.difference)
        if self.first_difference is None and lap.ids[0] != lap.ids[1]:
            self.first_difference = len(self.laps)

    def ms(self, side: int) -> float:
        """ms a token of the left (0) or right (1) one, by `statistic`; 0 before the second token."""
        times = [lap.ms[side] for lap in self.laps[1:]]
        return (fmean if self.bursts else median)(times) if times else 0.0

    @property
    def statistic(self) -> str:
        """Of `ms`, and of how many tokens: "median of 63"."""
        return f"{'mean' if self.bursts else 'median'} of {len(self.laps) - 1}"

    @property
    def lead(self) -> Lead | None:
        """Without the first pair, which has a share of the prompt; None below PAIRS, of tokens or of blocks."""
        size, times = BLOCK if self.bursts else 1, [lap.ms for lap in self.laps[1:]]
        blocks = [times[start : start + size] for start in range(0, len(times) - size + 1, size)]
        sums = ((sum(left for left, _ in block), sum(right for _, right in block)) for block in blocks)
        ratios = sorted(right / left for left, right in sums if left > 0)
        if len(ratios) < PAIRS:
            return None
        cut = len(ratios) // 4
        return Lead(median(ratios), ratios[cut], ratios[-1 - cut], len(ratios))


def race(
    model: GPT2,
    prompt: str | Sequence[int],
    left: Setting,
    right: Setting,
    tokens: int,
    sampling: Sampling,
    threads: int | None = None,
    cancelled: Cancelled | None = None,
) -> Iterator[Lap]:
    """The laps, until either is at its end. Which goes first alternates. Raises SettingError."""
    sides = [_Side(model, setting, threads) for setting in (left, right)]
    for side in sides:
        side.start(prompt, tokens, sampling, cancelled)
    alike = True
    for number in range(tokens):
        written: list[Token | None] = [None, None]
        for turn in (number % 2, 1 - number % 2):
            written[turn] = sides[turn].next()
        one, other = written
        if one is None or other is None:
            return
        difference = sides[0].difference(sides[1]) if alike else math.nan
        yield Lap((one.id, other.id), (one.text, other.text), (one.ms, other.ms), difference)
        alike = alike and one.id == other.id


class _Side:
    """A session that keeps the logits of its newest token."""

    def __init__(self, model: GPT2, setting: Setting, threads: int | None) -> None:
        self._session = model.session(setting.optimizations, setting.precision, threads)
        self._logits: Any = None

    def start(self, prompt: str | Sequence[int], tokens: int, sampling: Sampling, cancelled: Cancelled | None) -> None:
        self._tokens = self._session.generate(
            prompt, tokens, sampling, cancelled=cancelled, processors=(self._keep,), special=True
        )

    def next(self) -> Token | None:
        return next(self._tokens, None)

    def difference(self, other: _Side) -> float:
        return float(abs(self._logits - other._logits).max())

    def _keep(self, ids: Sequence[int], logits: Any) -> None:
        self._logits = logits  # a copy, made for processors
