"""Settings of a run that change while it trains, as a person writes them on a line. Plain data."""

from __future__ import annotations

from sg_core.errors import SettingError
from sg_core.setting import settings_of
from sg_core.training.settings import TrainingConfig

OFFERED = ("learning_rate", "schedule", "dropout")  # on the line, to be written over
_ALSO = ("final_lr_fraction", "decay_fraction")
_SHORT = {"lr": "learning_rate", "rate": "learning_rate"}
_SETTINGS = {one.name: one for one in settings_of(TrainingConfig) if one.name in (*OFFERED, *_ALSO)}


def as_line(training: TrainingConfig, **other: float) -> str:
    """What can be changed, as it is now; other: values to offer instead."""
    values = {name: other.get(name, getattr(training, name)) for name in OFFERED}
    return ", ".join(
        f"{name.replace('_', ' ')} {value if isinstance(value, str) else f'{value:.6g}'}"
        for name, value in values.items()
    )


def from_line(text: str, training: TrainingConfig) -> dict[str, float | str]:
    """What differs from the settings: field -> value. Raises SettingError for what can't be read."""
    asked: dict[str, float | str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        words, _, value = part.replace("=", " ").rpartition(" ")
        name = "_".join(words.split())
        name = _SHORT.get(name, name)
        if name not in _SETTINGS:
            raise SettingError(f"{part!r} is no change; write for example: {as_line(training)}")
        asked[name] = _value(name, value)
    return {name: value for name, value in asked.items() if value != getattr(training, name)}


def _value(name: str, text: str) -> float | str:
    one = _SETTINGS[name]
    if one.choices:
        return text
    try:
        return float(text)
    except ValueError:
        raise SettingError(f"{one.label} is {text!r}; it must be a number") from None
