"""Checks of settings: whether a value is what it must be, and the one line that says so when it isn't."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from reprlib import Repr
from typing import Any, TypeGuard

from sg_core.errors import SettingError

MOST_THREADS = 256  # of a team that computes
_SHORT = Repr()  # values as a message quotes them: one line of a screen
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def whole(name: str, value: Any, low: int, high: int | None = None, limit: str = "") -> int:
    """`value`, a whole number from `low` to `high` (None: without end). limit: what `high` is, in words.

    Raises SettingError otherwise, also for True and False.
    """
    if is_whole(value, low, high):
        return value
    end = "" if high is None else f" to {high:,}"
    raise SettingError(
        f"{name} is {quoted(value)}; it must be a whole number from {low}{end}{f', {limit}' if limit else ''}"
    )


def number(name: str, value: Any, low: float, high: float = math.inf) -> float:
    """`value`, a finite number from `low` to `high`. Raises SettingError otherwise, also for True and False."""
    end = "" if high == math.inf else f" to {high:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise SettingError(f"{name} is {quoted(value)}; it must be a number from {low:g}{end}")
    if not low <= value <= high:
        raise SettingError(f"{name} is {value:g}; it must lie from {low:g}{end or ' on'}")
    return value


def quoted(value: object) -> str:
    """A value as a message quotes it: as Python writes it, the middle left out where it is long."""
    return _SHORT.repr(value)


def require_fields(kind: type[Any], given: object) -> None:
    """Raises SettingError for anything but a mapping whose names are fields of the dataclass `kind`."""
    if not isinstance(given, Mapping):
        raise SettingError(f"{quoted(given)} is no table of settings")
    for name in given.keys() - {field.name for field in fields(kind)}:
        raise SettingError(f"{quoted(name)} is no setting that this version knows")


def is_whole(value: Any, low: int, high: int | None = None) -> TypeGuard[int]:
    """Whether `value` is a whole number in a range; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value and (high is None or value <= high)
