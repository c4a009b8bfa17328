"""What a training will take, before it begins: time from a few steps that are measured, and the size of what comes out.

Memory is planned in `memory_plan`.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from dataclasses import dataclass

from sg_core.config import GPT2Config
from sg_core.network.precisions import Precision
from sg_core.network.weights import bytes_read
from sg_core.training.settings import TrainingConfig
from sg_core.training.trainer import Trainer
from sg_core.types import Cancelled

MEASURED = 3  # steps, behind one that warms the caches
_FLOAT = 4


@dataclass(frozen=True, slots=True)
class TimePlan:
    """step_seconds: the median of MEASURED steps; validation_seconds: of one validation, from its first windows."""

    step_seconds: float
    steps: int
    validation_seconds: float
    validations: int

    @property
    def seconds(self) -> float:
        """All steps and validations."""
        return self.steps * self.step_seconds + self.validations * self.validation_seconds


def measure_time(trainer: Trainer, cancelled: Cancelled | None = None) -> TimePlan:
    """Train a few steps and validate a little: for a trainer that is thrown away, whose run they would change."""
    left = max(1, trainer.config.steps - trainer.step_count)
    times = []
    for _ in range(1 + MEASURED):
        began = time.perf_counter()
        trainer.step()
        times.append(time.perf_counter() - began)
        if cancelled is not None and cancelled():
            break
    every = trainer.config.evaluate_every
    validations = math.ceil(left / every) if every else 0
    took = _validation_seconds(trainer) if validations else 0.0
    return TimePlan(statistics.median(times[1:] or times), left, took, validations)


def _validation_seconds(trainer: Trainer) -> float:
    """Of a whole validation, from its first batch of windows."""
    asked = itertools.count()
    windows = trainer.dataset.validation_windows(trainer.config.context, trainer.config.evaluate_tokens)
    batches = math.ceil(sum(1 for _ in windows) / trainer.config.validation_batch / trainer.ranks.size)
    trainer.validation_nats(lambda: next(asked) >= 1)  # once to make its buffers
    asked = itertools.count()
    began = time.perf_counter()
    trainer.validation_nats(lambda: next(asked) >= 1)
    return batches * (time.perf_counter() - began)


def result_bytes(trainer: Trainer, dtype: str = "F32") -> int:
    """About the size of what the run leaves in its folder for use: a model in this format, or an adapter."""
    return result_size(trainer.validated_parameters.arena.size, dtype)


def result_size(learned: int, dtype: str = "F32") -> int:
    """As `result_bytes`, of so many numbers that learn."""
    return learned * (_FLOAT if dtype == "F32" else _FLOAT // 2)


def checkpoint_bytes(trainer: Trainer) -> int:
    """About the size of one checkpoint; as a rule a run keeps the newest two and the best one."""
    ids = len(trainer.dataset.train_ids) + len(trainer.dataset.validation_ids)
    return checkpoint_size(trainer.model.config, trainer.config, trainer.validated_parameters.arena.size, ids)


def checkpoint_size(config: GPT2Config, training: TrainingConfig, learned: int, tokens: int) -> int:
    """As `checkpoint_bytes`, of so many numbers that learn from so many tokens."""
    frozen = bytes_read(config, Precision.named(training.precision)) if training.lora else 0
    copies = 3 if training.average == "none" else 4
    return copies * _FLOAT * learned + frozen + _FLOAT * tokens
