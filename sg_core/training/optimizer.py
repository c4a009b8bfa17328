"""AdamW over a whole model or an adapter, its learning-rate schedule, and clipping by the global norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core.kernels.adamw import NORM_BLOCK, adamw, block_squares
from sg_core.kernels.jit import entry
from sg_core.kernels.team import Team, barrier
from sg_core.memory import aligned
from sg_core.network.adapters import Trainable
from sg_core.training.ranks import ALONE, Ranks
from sg_core.training.settings import TrainingConfig
from sg_core.types import FloatArray


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
    """The moments of AdamW for `parameters`, and its update.

    Of several processes each holds and updates one range of the numbers (ZeRO, Rajbhandari et al. 2020): range r is
    bounds[r] : bounds[r + 1]. first, second: moments (P,) float32 of this process's own range.
    """

    def __init__(self, parameters: Trainable, config: TrainingConfig, team: Team, ranks: Ranks = ALONE) -> None:
        self.updates = 0
        self._parameters = parameters
        self._config = config
        self._ranks = ranks
        self.team = team
        size = parameters.arena.size
        self.bounds = [self._cut(size * rank // ranks.size) for rank in range(ranks.size)] + [size]
        self.own = slice(*self.bounds[ranks.rank : ranks.rank + 2])
        self.first: FloatArray = aligned(self.own.stop - self.own.start, zero=True)
        self.second: FloatArray = aligned(self.own.stop - self.own.start, zero=True)
        # a block of the norm is summed by the process in whose range it begins, which has all of it
        self._blocks = [-(-bound // NORM_BLOCK) for bound in self.bounds]
        self._pieces = [
            (start, min(size, block * NORM_BLOCK))
            for start, block in zip(self.bounds[:-1], self._blocks[1:], strict=True)
        ]

    def total(self, gradients: Trainable) -> FloatArray:
        """The gradients of all processes together, from the start of the own range on, a little beyond its end."""
        return self._ranks.add(gradients.arena, self._pieces)

    def norm(self, gradients: FloatArray) -> float:
        """Euclidean norm of all gradients together, from this process's `total`."""
        first, stop = self._blocks[self._ranks.rank : self._ranks.rank + 2]
        sums: npt.NDArray[np.float64] = np.empty(stop - first, np.float64)
        self.team.run(_squares, sums, gradients[first * NORM_BLOCK - self.own.start :])
        return math.sqrt(float(self._ranks.gather(sums, np.diff(self._blocks).tolist()).sum()))

    def update(self, gradients: FloatArray, rate: float, norm: float) -> None:
        """One step along the gradients, `total`, clipped to `clip_norm`; those of the own range are zero afterwards."""
        config = self._config
        self.updates += 1
        scale = config.clip_norm / norm if 0 < config.clip_norm < norm else 1.0
        self._apply(gradients, rate, scale)
        self._ranks.spread(self._parameters.arena, self.bounds)

    def collect(self, moments: FloatArray, arena: FloatArray) -> None:
        """The moments `first` or `second` of all processes become the arena (P,) of the first one."""
        self._ranks.collect(moments, self.bounds, arena)

    def restore(self, first: FloatArray, second: FloatArray, updates: int) -> None:
        """Go on with these moments (P,) of all numbers. Raises ValueError for others."""
        for own, whole in ((self.first, first), (self.second, second)):
            if whole.shape != self._parameters.arena.shape:
                raise ValueError(f"moments of the shape {whole.shape}, not {self._parameters.arena.shape}")
            own[:] = whole[self.own]
        self.updates = updates

    def _cut(self, place: int) -> int:
        """Where a range may begin that is to begin about here."""
        return place

    def _apply(self, gradients: FloatArray, rate: float, scale: float) -> None:
        """The update of the own range with the rate and the clipping's scale."""
        self._adamw(gradients, self.own.start, self.own.stop, rate, scale)

    def _adamw(self, gradients: FloatArray, start: int, stop: int, rate: float, scale: float) -> None:
        """The update of numbers start:stop, as far as they are this process's."""
        config, own = self._config, self.own
        start, stop = max(start, own.start), min(stop, own.stop)
        if start >= stop:
            return
        inside = slice(start - own.start, stop - own.start)
        decayed = min(max(0, self._parameters.decayed - start), stop - start)
        self.team.run(
            update_entry, self._parameters.arena[start:stop], gradients[inside], self.first[inside],
            self.second[inside], decayed, rate, config.beta1, config.beta2, config.adam_epsilon,
            config.weight_decay, self.updates, scale,
        )  # fmt: skip
