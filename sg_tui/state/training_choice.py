"""What a person chooses before a training run, and the command it makes. Plain data, no widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sg_core.checks import quoted
from sg_core.config import GPT2Config
from sg_core.engine.commands import Train
from sg_core.errors import SettingError
from sg_core.files import expanded
from sg_core.setting import Setting, settings_of
from sg_core.training.settings import PRESETS, TrainingConfig, fine_tuning

SOURCES = {
    "tinyshakespeare": "tinyshakespeare  1.1 MB of plays, fetched once",
    "python-docs": "python-docs  0.7 MB, in every Python: needs no network",
    "file": "a text of yours: a file or a folder",
}
ADAPTER = "adapter"  # what can be trained on the loaded model, beside fine-tuning it
_LORA, _LORA_RATE = "r=8,alpha=16,targets=c_attn", 1e-3  # few numbers learn, and bear a higher rate
POINTS = 20  # evaluations, samples and saves in a run


_ASKED = {"steps", "batch_size", "context", "learning_rate", "dropout", "seed"}
FIELDS = tuple(one for one in settings_of(TrainingConfig) if one.name in _ASKED)  # what the form asks for


def defaults(model: str, n_ctx: int = GPT2Config().n_ctx) -> TrainingConfig:
    """The settings to begin with for a preset, or for FINE_TUNE or ADAPTER of a model whose context is `n_ctx`."""
    if model in PRESETS:
        return PRESETS[model].training
    tuning = fine_tuning(n_ctx)
    return replace(tuning, lora=_LORA, learning_rate=_LORA_RATE) if model == ADAPTER else tuning


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
        raise SettingError("no file is named; write the path of a text file, or of a folder of them")
    if model not in PRESETS and loaded is None:
        raise SettingError("no model is loaded yet; choose a new model, or wait until it is loaded")
    training = settings(model, entered)
    return Train(
        data=str(expanded(path.strip())) if source == "file" else source,
        model=None if model in PRESETS else loaded,
        config=model if model in PRESETS else next(iter(PRESETS)),
        training=training,
        sample_every=training.evaluate_every,
    )


def summary(training: TrainingConfig, config: GPT2Config | None) -> str:
    """What the run will amount to, in one line."""
    tokens = training.batch_size * training.context * training.accumulation
    total = tokens * training.steps
    size = f"{config.parameter_count / 1e6:.1f} M parameters, " if config else ""
    if training.lora:
        size += f"an adapter learns ({training.lora}), "
    return f"{size}{tokens:,} tokens a step, {total / 1e6:.1f} M tokens in all"


def _value(field: Setting, text: str) -> int | float:
    try:
        return int(text.replace(",", "").strip()) if field.whole else float(text.strip())
    except ValueError:
        kind = "a whole number" if field.whole else "a number"
        raise SettingError(f"{field.label} is {quoted(text)}; it must be {kind}") from None
