"""What training tells: a step, an evaluation. Plain data, the same from the trainer to the screen."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepResult:
    """One optimizer step. step counts from 1; loss: mean nats per token; skipped: the gradient was not finite."""

    step: int
    loss: float
    lr: float
    grad_norm: float
    tokens_per_second: float
    skipped: bool = False

    @property
    def counted_loss(self) -> float:
        """The loss as a curve shows it: NaN where the step was skipped."""
        return math.nan if self.skipped else self.loss


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """What the matrices of one block, or its adapter, did in a step. grad_norm: of their gradient, not clipped.

    update_ratio: the norm of their change by that of the weights, about 1e-3 when all is well. dead: share of hidden
    units that gave next to nothing for every token that was computed at a time, NaN where that is not known.
    """

    step: int
    layer: int
    grad_norm: float
    update_ratio: float
    dead: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One step of a search for a learning rate. smoothed: an average of the losses so far, which forgets."""

    rate: float
    loss: float
    smoothed: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Loss on the validation text: nats per token, and per character (comparable between vocabularies)."""

    step: int
    val_loss: float
    val_loss_per_char: float
