"""Runs beside each other: the settings in which they differ, how far they came, what they wrote. Plain data."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sg_core.engine.events import Sample
from sg_core.setting import settings_of
from sg_core.training.settings import TrainingConfig
from sg_tui.figures import duration, nats, number
from sg_tui.state.training_run import Run

Row = tuple[str, list[str]]  # a label, and a value of each run

_DEPENDENT = ("evaluate_every", "save_every", "warmup_steps", "schedule_steps")  # follow from the steps, as a rule
_SIZES = {"n_layer": "layers", "n_head": "heads", "n_embd": "width", "vocab_size": "vocabulary"}


def differing(runs: Sequence[Run]) -> list[Row]:
    """The settings that are not the same in all of the runs: text, model, sizes, training."""
    rows: list[Row] = [("data", [run.facts.data for run in runs]), ("model", [run.model for run in runs])]
    rows += [(label, [str(getattr(run.facts.config, name)) for run in runs]) for name, label in _SIZES.items()]
    labels = {one.name: one.label for one in settings_of(TrainingConfig)}
    rows += [
        (labels[field.name], [_value(getattr(run.facts.training, field.name)) for run in runs])
        for field in fields(TrainingConfig)
        if field.name not in _DEPENDENT
    ]
    return [(label, values) for label, values in rows if len(set(values)) > 1]


def outcomes(runs: Sequence[Run]) -> list[Row]:
    """How far each run came: its steps, its time, its losses."""
    return [
        ("step", [f"{run.step:,}" for run in runs]),
        ("trained", [duration(max([run.seconds, *run.curve.seconds[-1:]])) for run in runs]),
        ("average loss", [nats(run.curve.average) if len(run.curve) else "–" for run in runs]),
        ("best validation", [nats(run.best.val_loss) if run.best else "–" for run in runs]),
        ("  at step", [f"{run.best.step:,}" if run.best else "–" for run in runs]),
    ]


def sample_steps(runs: Sequence[Run]) -> list[int]:
    """The steps after which any of the runs wrote a sample."""
    return sorted({sample.step for run in runs for sample in run.samples})


def sample_at(run: Run, step: int) -> Sample | None:
    """The newest sample of a run that is not after `step`."""
    return next((sample for sample in reversed(run.samples) if sample.step <= step), None)


def average_at(run: Run, step: int) -> float:
    """The average of the training loss after `step`, NaN where it is not known."""
    place = bisect.bisect_right(run.curve.steps, step) - 1
    return run.curve.smoothed[place] if place >= 0 else math.nan


def validation_at(run: Run, step: int) -> float:
    """The validation loss of the newest evaluation that is not after `step`, NaN before the first."""
    return next((one.val_loss for one in reversed(run.evaluations) if one.step <= step), math.nan)


def loss_words(run: Run, step: int) -> str:
    """Both losses at a step, as far as they are known."""
    known = (("average", average_at(run, step)), ("validation", validation_at(run, step)))
    return ", ".join(f"{name} {nats(value)}" for name, value in known if math.isfinite(value))


def _value(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if isinstance(value, int) else str(value) or "–"
