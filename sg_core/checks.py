"""Checks of settings: whether a value is what it must be, and the one line that says so when it isn't."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from sg_core.errors import SettingError

MOST_THREADS = 256  # of a team that computes


def whole(name: str, value: Any, low: int, high: int | None = None, limit: str = "") -> int:
    """`value`, a whole number from `low` to `high` (None: without end). limit: what `high` is, in words.

    Raises SettingError otherwise, also for True and False.
    """
    if is_whole(value, low, high):
        return value
    end = "" if high is None else f" to {high:,}"
    raise SettingError(f"{name} is {value!r}; it must be a whole number from {low}{end}{f', {limit}' if limit else ''}")


def number(name: str, value: Any, low: float, high: float = math.inf) -> float:
    """`value`, a finite number from `low` to `high`. Raises SettingError otherwise, also for True and False."""
    end = "" if high == math.inf else f" to {high:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise SettingError(f"{name} is {value!r}; it must be a number from {low:g}{end}")
    if not low <= value <= high:
        raise SettingError(f"{name} is {value:g}; it must lie from {low:g}{end or ' on'}")
    return value


def is_whole(value: Any, low: int, high: int | None = None) -> TypeGuard[int]:
    """Whether `value` is a whole number in a range; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value and (high is None or value <= high)
