"""A learning rate, found by trying all of them: the range test (Smith 2015, Cyclical Learning Rates).

The rate rises from step to step, each time by the same factor, and the loss falls, faster and faster, until the rate is
too high and it rises. A tenth of the rate with the lowest smoothed loss is a good highest rate of a schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from sg_core.errors import SettingError, TrainingError
from sg_core.training.results import Trial
from sg_core.training.trainer import Trainer
from sg_core.types import Cancelled

STEPS = 100
LOWEST, HIGHEST = 1e-6, 1.0
RULE = "a tenth of the rate with the lowest smoothed loss"
_SMOOTH = 0.9  # weight of what was, in the smoothed loss
_DIVERGED = 2.0  # times the lowest smoothed loss, where the test ends
_LEAST = 10  # steps without which nothing can be said


def find_learning_rate(
    trainer: Trainer,
    steps: int = STEPS,
    progress: Callable[[Trial], None] | None = None,
    cancelled: Cancelled | None = None,
) -> tuple[list[Trial], float]:
    """The trials, and the rate that RULE suggests. For a trainer that is thrown away, or while it is `unchanged`.

    Raises TrainingError when the test was too short to tell, SettingError for too few steps.
    """
    if steps < _LEAST:
        raise SettingError(f"steps is {steps}; finding a learning rate needs at least {_LEAST}")
    trials: list[Trial] = []
    average, lowest = 0.0, math.inf
    for number in range(steps):
        if cancelled is not None and cancelled():
            break
        rate = LOWEST * (HIGHEST / LOWEST) ** (number / (steps - 1))
        try:
            loss = trainer.step(rate).loss
        except TrainingError:
            break  # far too high
        if not math.isfinite(loss):
            break
        average = _SMOOTH * average + (1.0 - _SMOOTH) * loss
        smoothed = average / (1.0 - _SMOOTH ** (number + 1))
        trials.append(Trial(rate, loss, smoothed))
        if progress is not None:
            progress(trials[-1])
        lowest = min(lowest, smoothed)
        if smoothed > _DIVERGED * lowest:
            break
    if len(trials) < _LEAST:
        raise TrainingError(f"only {len(trials)} steps were tried, too few to suggest a learning rate")
    return trials, min(trials, key=lambda one: one.smoothed).rate / 10.0
