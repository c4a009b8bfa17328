"""Making a trained model as sure of itself as it is right.

A model that has read a small text many times gives its favourite too much probability on text it has not read. One
number repairs most of it: the final layer norm's weight and bias times a scale, that is, all logits at another
temperature (Guo et al. 2017, On Calibration of Modern Neural Networks).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sg_core.network.parameters import Parameters
from sg_core.types import Cancelled

if TYPE_CHECKING:
    from sg_core.training.trainer import Trainer

_LOWEST, _HIGHEST, _WIDTH = 0.4, 1.25, 0.01  # where the scale is looked for, and how closely
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The scale with the lowest validation loss; losses in nats a character, before and with it."""

    scale: float
    before: float
    after: float


@contextmanager
def final_norm_scaled(parameters: Parameters, scale: float) -> Iterator[None]:
    """Within, the final layer norm's outputs are `scale` times as large; afterwards its numbers are what they were."""
    arrays = [parameters.view(f"ln_f.{kind}") for kind in ("weight", "bias")]
    kept = [array.copy() for array in arrays]
    try:
        for array in arrays:
            array *= np.float32(scale)
        yield
    finally:
        for array, old in zip(arrays, kept, strict=True):
            array[...] = old


def calibrate(
    trainer: Trainer, cancelled: Cancelled | None = None, parameters: Parameters | None = None
) -> Calibration | None:
    """The scale, found by golden sections in about a dozen validations; None when cancelled. The weights stay.

    parameters: of the model to calibrate, by default what the trainer validates.
    """
    calibrated = trainer.validated_parameters if parameters is None else parameters
    assert isinstance(calibrated, Parameters)  # an adapter has no norm
    characters = trainer.dataset.validation_chars

    def loss(scale: float) -> float:
        with final_norm_scaled(calibrated, scale):
            return trainer.validation_nats(cancelled, calibrated) / characters  # nan when cancelled

    low, high = _LOWEST, _HIGHEST
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    left_loss, right_loss, before = loss(left), loss(right), loss(1.0)
    while high - low > _WIDTH and not math.isnan(left_loss + right_loss):
        if left_loss < right_loss:
            high, right, right_loss = right, left, left_loss
            left = high - _GOLDEN * (high - low)
            left_loss = loss(left)
        else:
            low, left, left_loss = left, right, right_loss
            right = low + _GOLDEN * (high - low)
            right_loss = loss(right)
    best, after = min((1.0, before), (left, left_loss), (right, right_loss), key=lambda found: found[1])
    return None if math.isnan(before + left_loss + right_loss) else Calibration(best, before, after)
