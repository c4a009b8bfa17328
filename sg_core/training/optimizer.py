"""AdamW over a whole model or an adapter, its learning-rate schedule, and clipping by the global norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sg_core.kernels.adamw import NORM_BLOCK, adamw, block_squares
from sg_core.kernels.jit import entry
from sg_core.kernels.team import Team, barrier
from sg_core.network.adapters import Trainable
from sg_core.training.settings import TrainingConfig


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Rate of a step, counted from 0: linear warm-up, then down to the final fraction of the peak.

    Along half a cosine, a line, or (wsd) a line over the last `decay_fraction` of what follows the warm-up. Steps after
    the scheduled ones keep the final rate.
    """
    peak, lowest = config.learning_rate, config.learning_rate * config.final_lr_fraction
    if step < config.warmup_steps:
        return peak * (step + 1) / config.warmup_steps
    planned = config.schedule_steps or config.steps
    progress = min(1.0, (step - config.warmup_steps) / max(1, planned - config.warmup_steps))
    if config.schedule == "linear":
        return lowest + (peak - lowest) * (1.0 - progress)
    if config.schedule == "wsd":
        return lowest + (peak - lowest) * min(1.0, (1.0 - progress) / max(config.decay_fraction, 1e-9))
    return lowest + 0.5 * (peak - lowest) * (1.0 + math.cos(math.pi * progress))


@entry
def _squares(thread: int, threads: int, cells: Any, sums: Any, values: Any) -> None:
    block_squares(sums, values, thread, threads)
    barrier(cells, threads)


@entry
def update_entry(
    thread: int, threads: int, cells: Any, parameters: Any, gradients: Any, first: Any, second: Any, decayed: int,
    rate: float, beta1: float, beta2: float, epsilon: float, decay: float, step: int, scale: float,
) -> None:  # fmt: skip
    """As `adamw`."""
    adamw(
        parameters, gradients, first, second, decayed, rate, beta1, beta2, epsilon, decay, step, scale, thread, threads
    )
    barrier(cells, threads)


class AdamW:
    """The moments of AdamW for `parameters`, and its update."""

    def __init__(self, parameters: Trainable, config: TrainingConfig, team: Team) -> None:
        self.first = parameters.like()
        self.second = parameters.like()
        self.updates = 0
        self._parameters = parameters
        self._config = config
        self.team = team
        self._sums = np.empty(-(-parameters.arena.size // NORM_BLOCK), np.float64)

    def norm(self, gradients: Trainable) -> float:
        """Euclidean norm of all gradients together."""
        self.team.run(_squares, self._sums, gradients.arena)
        return math.sqrt(float(self._sums.sum()))

    def update(self, gradients: Trainable, rate: float, norm: float) -> None:
        """One step along the gradients, clipped to `clip_norm`; the gradients are zero afterwards."""
        config = self._config
        self.updates += 1
        scale = config.clip_norm / norm if 0 < config.clip_norm < norm else 1.0
        self._apply(gradients, rate, scale)

    def _apply(self, gradients: Trainable, rate: float, scale: float) -> None:
        """The update with the rate and the clipping's scale."""
        config = self._config
        self.team.run(
            update_entry, self._parameters.arena, gradients.arena, self.first.arena, self.second.arena,
            self._parameters.decayed, rate, config.beta1, config.beta2, config.adam_epsilon,
            config.weight_decay, self.updates, scale,
        )  # fmt: skip
