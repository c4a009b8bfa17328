"""Settings declared once, as fields of a dataclass: range, words for people, command-line option, step of a panel."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from sg_core.checks import number
from sg_core.checks import whole as check_whole
from sg_core.errors import SettingError
from sg_core.files import shown


@dataclass(frozen=True, slots=True)
class Setting:
    """What can be set: a number, one of `choices`, or words. option: "" where the command line has none.

    step: of a panel's arrows, 0 for none. low, high: of a number.
    """

    name: str
    default: Any
    low: float
    high: float
    help: str
    label: str
    option: str
    step: float
    choices: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether it counts something."""
        return isinstance(self.default, int)

    @property
    def number(self) -> bool:
        """Whether it is a number."""
        return not isinstance(self.default, str)


def setting(
    default: float, low: float, high: float, help: str, *, label: str = "", option: str | None = None, step: float = 0
) -> Any:
    """A field with its range, ends included, and what it means; a whole number where the default is one.

    label, option: by default the field's name in words, and as an option of the command line.
    """
    declared = {"low": low, "high": high, "help": help, "label": label, "option": option, "step": step}
    return field(default=default, metadata={"setting": declared})


def choice(default: str, choices: tuple[str, ...], help: str) -> Any:
    """A field that holds one of `choices`."""
    return field(default=default, metadata={"setting": _words(help, choices)})


def words(help: str) -> Any:
    """A field that holds names, "" for none."""
    return field(default="", metadata={"setting": _words(help, ())})


def _words(help: str, choices: tuple[str, ...]) -> dict[str, Any]:
    return {"low": 0, "high": 0, "help": help, "label": "", "option": None, "step": 0, "choices": choices}


@cache
def settings_of(kind: type) -> tuple[Setting, ...]:
    """The settings of a dataclass, in order; its other fields are none."""
    found = []
    for one in fields(kind):
        if "setting" not in one.metadata:
            continue
        declared = one.metadata["setting"]
        label = declared["label"] or one.name.replace("_", " ")
        option = declared["option"] if declared["option"] is not None else f"--{one.name.replace('_', '-')}"
        default: Any = one.default
        found.append(Setting(one.name, default, **{**declared, "label": label, "option": option}))
    return tuple(found)


def check_settings(instance: Any) -> None:
    """Raises SettingError for the first setting out of its range."""
    kind: Any = type(instance)
    for one in settings_of(kind):
        value = getattr(instance, one.name)
        if not one.number:
            if not isinstance(value, str) or (one.choices and value not in one.choices):
                wanted = f"one of: {', '.join(one.choices)}" if one.choices else "a text"
                raise SettingError(f"{one.name} is {shown(value)[:80]}; it must be {wanted}")
        elif one.whole:
            check_whole(one.name, value, int(one.low), int(one.high))
        else:
            number(one.name, value, one.low, one.high)
