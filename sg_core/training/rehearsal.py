"""A few steps of a training that is only thought of, on random weights and tokens: what takes its time is all there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sg_core.config import GPT2Config
from sg_core.errors import TrainingError
from sg_core.gpt2 import GPT2
from sg_core.training.dataset import TRAIN_PART, TextDataset
from sg_core.training.plan import TimePlan, measure_time
from sg_core.training.settings import TrainingConfig
from sg_core.training.trainer import Trainer
from sg_core.types import Cancelled


def rehearse(
    config: GPT2Config,
    training: TrainingConfig,
    tokens: int,
    threads: int | None = None,
    cancelled: Cancelled | None = None,
) -> TimePlan | None:
    """How long a training of such a model on a text of `tokens` tokens takes, from measured steps.

    Of the batches of a step one is measured, of a validation as many windows as a batch has. None once cancelled, which
    is asked between two steps. Raises TrainingError for teachers, which are not there, and what a Trainer raises.
    """
    if training.teachers:
        raise TrainingError("steps with teachers are measured with the teachers alone: sg-tui train --plan")
    stopped = False

    def stop() -> bool:
        nonlocal stopped
        stopped = stopped or (cancelled is not None and cancelled())
        return stopped

    windows = training.batch_size * training.context
    model = GPT2.random(config, precision=training.precision)
    if stop():
        return None
    single = replace(training, accumulation=1, average="none", evaluate_tokens=0)
    taken = measure_time(Trainer(model, _random_text(config, training.context, windows), single, threads), stop)
    if stopped:
        return None
    validation = round((1 - TRAIN_PART) * tokens)
    read = min(validation, training.evaluate_tokens or validation)
    return replace(
        taken,
        step_seconds=training.accumulation * taken.step_seconds,
        validation_seconds=taken.validation_seconds * read / windows,
    )


def _random_text(config: GPT2Config, context: int, validation: int) -> TextDataset:
    """Training windows enough to draw from, and `validation` tokens to predict."""
    ids = np.random.default_rng(0).integers(0, config.vocab_size, 10 * context + validation + 1, np.int32)
    place = 10 * context
    return TextDataset("random tokens", ids[:place], ids[place:], place, validation + 1)
