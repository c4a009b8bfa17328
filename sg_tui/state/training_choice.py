"""What a person chooses before a training run, what is wrong with it, and the command it makes. No widgets."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from sg_core.checks import quoted
from sg_core.config import GPT2Config
from sg_core.engine.commands import Train
from sg_core.errors import SettingError
from sg_core.files import can_be, expanded
from sg_core.network.lora_settings import LoraSettings
from sg_core.network.precisions import PRECISIONS
from sg_core.setting import Setting, settings_of
from sg_core.training.settings import PRESETS, TrainingConfig, fine_tuning

SOURCES = {
    "tinyshakespeare": "tinyshakespeare  1.1 MB of plays, fetched once",
    "python-docs": "python-docs  0.7 MB, in every Python: needs no network",
    "file": "texts of yours: files, folders, patterns such as books/*.txt",
}
ADAPTER = "adapter"  # what can be trained on the loaded model, beside fine-tuning it
_LORA_RATE = 1e-3  # few numbers learn, and bear a higher rate
POINTS = 20  # evaluations, samples and saves in a run
PATH = "path"  # the box with the names of texts


class Box(NamedTuple):
    """A box of the form. help: what is asked for, with its range."""

    name: str
    label: str
    help: str


def _box(field: Setting) -> Box:
    low, high = (f"{int(end):,}" if field.whole else f"{end:g}" for end in (field.low, field.high))
    return Box(field.name, field.label, f"{field.help}; from {low} to {high}")


_ASKED = {"steps", "batch_size", "accumulation", "context", "learning_rate", "dropout", "seed"}
FIELDS = tuple(one for one in settings_of(TrainingConfig) if one.name in _ASKED)  # what every form asks for
_LORA = {
    "r": Box("lora_r", "rank r", "numbers between A and B of the adapter; from 1 to 4,096"),
    "alpha": Box("lora_alpha", "alpha", "alpha/r is the gain of the adapter"),
    "dropout": Box("lora_dropout", "its dropout", "share of what enters the adapter that is dropped; from 0 to 0.9"),
    "targets": Box("lora_targets", "targets", "projections it changes: c_attn, c_proj, c_fc, separated by commas"),
}
_RECOMPUTE = Box(
    "recompute", "recompute", "on: activations are computed once more on the way back: less memory; or off"
)
_PRECISION = Box("precision", "model in", f"how the frozen model is stored: {', '.join(PRECISIONS[:3])}")
_COMMON = tuple(map(_box, FIELDS))
BOXES = (*_COMMON, _RECOMPUTE, *_LORA.values(), _PRECISION)


def boxes(model: str) -> tuple[Box, ...]:
    """Those that are asked for a preset, or for FINE_TUNE or ADAPTER."""
    return (*_COMMON, *_LORA.values(), _PRECISION) if model == ADAPTER else (*_COMMON, _RECOMPUTE)


def defaults(model: str, n_ctx: int = GPT2Config().n_ctx) -> TrainingConfig:
    """The settings to begin with for a preset, or for FINE_TUNE or ADAPTER of a model whose context is `n_ctx`."""
    if model in PRESETS:
        return PRESETS[model].training
    tuning = fine_tuning(n_ctx)
    return replace(tuning, lora=_lora(_lora_texts()), learning_rate=_LORA_RATE) if model == ADAPTER else tuning


def texts(training: TrainingConfig) -> dict[str, str]:
    """Name -> what stands in its box."""
    fields = {
        field.name: f"{getattr(training, field.name):.6g}" if not field.whole else str(getattr(training, field.name))
        for field in FIELDS
    }
    words = {box.name: getattr(training, box.name) for box in (_RECOMPUTE, _PRECISION)}
    return fields | words | _lora_texts()


def _lora_texts() -> dict[str, str]:
    usual = LoraSettings()
    values = (str(usual.r), f"{usual.alpha:g}", f"{usual.dropout:g}", ", ".join(usual.targets))
    return {box.name: value for box, value in zip(_LORA.values(), values, strict=True)}


def _lora(entered: Mapping[str, str]) -> str:
    """As the command line has it; what has no effect is left out. Raises SettingError for an empty box."""
    parts = {part: "".join(entered[box.name].split()) for part, box in _LORA.items()}
    for part, value in parts.items():
        if not value:
            raise SettingError(f"{_LORA[part].label} is empty; what is needed: {_LORA[part].help}")
    return ",".join(f"{part}={value}" for part, value in parts.items() if (part, value) != ("dropout", "0"))


def settings(model: str, entered: Mapping[str, str]) -> TrainingConfig:
    """The settings of a run from what stands in the boxes. Raises SettingError naming the first wrong one."""
    values: dict[str, Any] = {field.name: _value(field, entered[field.name]) for field in FIELDS}
    steps: int = values["steps"]
    every = max(1, round(steps / POINTS))
    base = defaults(model)
    if model == ADAPTER:
        values |= {"lora": _lora(entered), "precision": entered[_PRECISION.name].strip()}
    else:
        values["recompute"] = entered[_RECOMPUTE.name].strip()
    return replace(
        base,
        **values,
        warmup_steps=min(base.warmup_steps, max(1, steps // 10)),
        evaluate_every=every,
        save_every=every,
    )


def mistakes(model: str, entered: Mapping[str, str], most_context: int | None = None) -> dict[str, str]:
    """Name of a box -> what must be otherwise in it, for each box that is wrong.

    most_context: of the model that is there, None for a new one.
    """
    usual = texts(defaults(model))
    found = {}
    for box in boxes(model):
        try:
            settings(model, usual | {box.name: entered[box.name]})
        except SettingError as error:
            found[box.name] = str(error).partition("; ")[2].partition("; write for example")[0] or str(error)
    if "context" not in found and most_context is not None and int(_plain(entered["context"])) > most_context:
        found["context"] = f"the model's own context, {most_context:,}, is the most"
    return found


def named(path: str) -> tuple[str, ...]:
    """The names in the box of texts, as a shell reads them: separated by spaces, quoted where they have some.

    A path that is there needs no quotes. Raises SettingError for none, and for a quote without its other half.
    """
    whole = path.strip()
    try:
        names = [whole] if whole and _is_there(whole) else shlex.split(whole)
    except ValueError:
        raise SettingError("no file is named: a quotation mark has no other half") from None
    if not names:
        raise SettingError("no file is named; write the path of a text file, or of a folder of them")
    return tuple(str(expanded(name)) for name in names)


def _is_there(name: str) -> bool:
    path = expanded(name)
    return can_be(path) and path.exists()


def command(source: str, path: str, model: str, entered: Mapping[str, str], loaded: str | None) -> Train:
    """The command that starts the run. `loaded`: name of the model to fine-tune. Raises SettingError."""
    sources = named(path) if source == "file" else (source,)
    if model not in PRESETS and loaded is None:
        raise SettingError("no model is loaded yet; choose a new model, or wait until it is loaded")
    training = settings(model, entered)
    return Train(
        data=sources[0] if len(sources) == 1 else sources,
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
    in_all = f"{total / 1e6:,.1f} M" if total >= 1e6 else f"{total:,}"
    return f"{size}{tokens:,} tokens a step, {in_all} tokens in all"


def _value(field: Setting, text: str) -> int | float:
    try:
        return int(_plain(text)) if field.whole else float(text.strip())
    except ValueError:
        kind = "a whole number" if field.whole else "a number"
        raise SettingError(f"{field.label} is {quoted(text)}; it must be {kind}") from None


def _plain(text: str) -> str:
    """A whole number as people write it, without its commas."""
    return text.replace(",", "").strip()
