"""Averages of the weights over the steps (Polyak & Juditsky 1992), smoother than those of any one step."""

from __future__ import annotations

import numpy as np

from sg_core.network.adapters import Trainable
from sg_core.training.settings import TrainingConfig

_CHUNK = 1 << 18  # numbers


class WeightAverage:
    """Running average of `parameters`: exponential with a half-life, or the mean over the last fraction of a run.

    Until a mean begins it is the weights themselves. count: how many steps are in it.
    """

    def __init__(self, parameters: Trainable, config: TrainingConfig) -> None:
        self.parameters = parameters.like(parameters.arena.copy())
        self.count = 0
        self._weights = parameters.arena
        self._config = config
        self._difference = np.empty(min(_CHUNK, parameters.arena.size), np.float32)

    def add(self, step: int) -> None:
        """Take in the weights after this step, counted from 1."""
        share = np.float32(self._share(step))
        mean, weights = self.parameters.arena, self._weights
        for start in range(0, mean.size, _CHUNK):
            some = mean[start : start + _CHUNK]
            difference = self._difference[: some.size]
            np.subtract(weights[start : start + _CHUNK], some, out=difference)
            difference *= share
            some += difference

    def _share(self, step: int) -> float:
        """What the newest weights count for; an exponential average is that of the steps so far, without the first
        weights."""
        config = self._config
        if config.average == "ema":
            self.count += 1
            kept: float = 0.5 ** (1.0 / config.average_half_life)
            return (1.0 - kept) / (1.0 - kept**self.count)
        if step > config.steps - round(config.average_fraction * config.steps):
            self.count += 1
        return 1.0 / max(1, self.count)
