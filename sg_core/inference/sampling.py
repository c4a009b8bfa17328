"""How the next token is chosen: the settings (the draw itself is in sampler.py, which needs NumPy)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sg_core.errors import SettingError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. temperature 0 is greedy, ties go to the lowest id.

    Raises SettingError when a value is out of range.
    """

    temperature: float = 0.8
    top_k: int = 0  # keep the k likeliest tokens; 0 keeps all
    top_p: float = 0.95  # keep the likeliest tokens whose probabilities reach p; 1 keeps all
    min_p: float = 0.0  # keep tokens at least this fraction as likely as the likeliest
    repetition_penalty: float = 1.0  # > 1 makes tokens that already stand in the text less likely
    seed: int = 0

    def __post_init__(self) -> None:
        _require("temperature", self.temperature, 0.0, 100.0)
        _require("top_p", self.top_p, 0.0, 1.0)
        _require("min_p", self.min_p, 0.0, 1.0)
        _require("repetition_penalty", self.repetition_penalty, 0.01, 100.0)
        _require_whole("top_k", self.top_k, 0, 1 << 24)
        _require_whole("seed", self.seed, 0, (1 << 63) - 1)


def _require(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise SettingError(f"{name} is {value!r}; it must be a number from {low:g} to {high:g}")
    if not low <= value <= high:
        raise SettingError(f"{name} is {value:g}; it must lie from {low:g} to {high:g}")


def _require_whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingError(f"{name} is {value!r}; it must be a whole number from {low} to {high:,}")
