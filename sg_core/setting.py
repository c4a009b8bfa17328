"""Settings declared once, as fields of a dataclass: range, words for people, command-line option, step of a panel."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from sg_core.checks import number
from sg_core.checks import whole as check_whole


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that can be set. option: "" where the command line has none. step: of a panel's arrows, 0 for none."""

    name: str
    default: float
    low: float
    high: float
    help: str
    label: str
    option: str
    step: float

    @property
    def whole(self) -> bool:
        """Whether it counts something."""
        return isinstance(self.default, int)


def setting(
    default: float, low: float, high: float, help: str, *, label: str = "", option: str | None = None, step: float = 0
) -> Any:
    """A field with its range, ends included, and what it means; a whole number where the default is one.

    label, option: by default the field's name in words, and as an option of the command line.
    """
    declared = {"low": low, "high": high, "help": help, "label": label, "option": option, "step": step}
    return field(default=default, metadata={"setting": declared})


@cache
def settings_of(kind: type) -> tuple[Setting, ...]:
    """The settings of a dataclass, in order."""
    found = []
    for one in fields(kind):
        words = one.metadata["setting"]
        label = words["label"] or one.name.replace("_", " ")
        option = words["option"] if words["option"] is not None else f"--{one.name.replace('_', '-')}"
        default: Any = one.default
        found.append(Setting(one.name, default, **{**words, "label": label, "option": option}))
    return tuple(found)


def check_settings(instance: Any) -> None:
    """Raises SettingError for the first setting out of its range."""
    kind: Any = type(instance)
    for one in settings_of(kind):
        value = getattr(instance, one.name)
        if one.whole:
            check_whole(one.name, value, int(one.low), int(one.high))
        else:
            number(one.name, value, one.low, one.high)
