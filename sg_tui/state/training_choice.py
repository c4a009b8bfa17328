"""What a person chooses before a training run, and the command it makes. Plain data, no widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sg_core.config import GPT2Config
from sg_core.engine.commands import Train
from sg_core.errors import SettingError
from sg_core.training.settings import PRESETS, TrainingConfig

SOURCES = {
    "tinyshakespeare": "tinyshakespeare  1.1 MB of plays, fetched once",
    "python-docs": "python-docs  0.7 MB, in every Python: needs no network",
    "file": "a text file of yours",
}
FINE_TUNE = "fine-tune"  # the choice of a model beside the names of PRESETS
FINE_TUNING = TrainingConfig(steps=500, batch_size=8, context=256, learning_rate=3e-4, warmup_steps=50, dropout=0.1)
POINTS = 20  # evaluations, samples and saves in a run


@dataclass(frozen=True, slots=True)
class Field:
    """A number of TrainingConfig that the form asks for."""

    name: str
    label: str
    whole: bool


FIELDS: tuple[Field, ...] = (
    Field("steps", "steps", True),
    Field("batch_size", "batch size", True),
    Field("context", "context", True),
    Field("learning_rate", "learning rate", False),
    Field("dropout", "dropout", False),
    Field("seed", "seed", True),
)


def defaults(model: str, context_limit: int | None = None) -> TrainingConfig:
    """The settings to begin with for a preset or FINE_TUNE, with a context of at most `context_limit`."""
    training = PRESETS[model].training if model in PRESETS else FINE_TUNING
    if context_limit is not None and training.context > context_limit:
        training = replace(training, context=context_limit)
    return training


def texts(training: TrainingConfig) -> dict[str, str]:
    """Field name -> what stands in its box."""
    return {
        field.name: f"{getattr(training, field.name):.6g}" if not field.whole else str(getattr(training, field.name))
        for field in FIELDS
    }


def settings(model: str, entered: Mapping[str, str]) -> TrainingConfig:
    """The settings of a run from what stands in the boxes. Raises SettingError naming the first wrong one."""
    values: dict[str, Any] = {field.name: _value(field, entered[field.name]) for field in FIELDS}
    steps: int = values["steps"]
    every = max(1, round(steps / POINTS))
    base = defaults(model)
    return replace(
        base,
        **values,
        warmup_steps=min(base.warmup_steps, max(1, steps // 10)),
        evaluate_every=every,
        save_every=every,
    )


def command(source: str, path: str, model: str, entered: Mapping[str, str], loaded: str | None) -> Train:
    """The command that starts the run. `loaded`: name of the model to fine-tune. Raises SettingError."""
    if source == "file" and not path.strip():
        raise SettingError("no file is named; write the path of a text file to train on")
    if model == FINE_TUNE and loaded is None:
        raise SettingError("no model is loaded yet; choose a new model, or wait until it is loaded")
    training = settings(model, entered)
    return Train(
        data=str(Path(path.strip()).expanduser()) if source == "file" else source,
        model=loaded if model == FINE_TUNE else None,
        config=model if model in PRESETS else next(iter(PRESETS)),
        training=training,
        sample_every=training.evaluate_every,
    )


def summary(training: TrainingConfig, config: GPT2Config | None) -> str:
    """What the run will amount to, in one line."""
    tokens = training.batch_size * training.context * training.accumulation
    total = tokens * training.steps
    size = f"{config.parameter_count / 1e6:.1f} M parameters, " if config else ""
    return f"{size}{tokens:,} tokens a step, {total / 1e6:.1f} M tokens in all"


def _value(field: Field, text: str) -> int | float:
    try:
        return int(text.replace(",", "").strip()) if field.whole else float(text.strip())
    except ValueError:
        kind = "a whole number" if field.whole else "a number"
        raise SettingError(f"{field.label} is {text!r}; it must be {kind}") from None
