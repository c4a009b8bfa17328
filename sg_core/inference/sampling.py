"""How the next token is chosen: the settings (the draw itself is in sampler.py, which needs NumPy)."""

from __future__ import annotations

from dataclasses import dataclass

from sg_core.checks import number, whole


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
        number("temperature", self.temperature, 0.0, 100.0)
        number("top_p", self.top_p, 0.0, 1.0)
        number("min_p", self.min_p, 0.0, 1.0)
        number("repetition_penalty", self.repetition_penalty, 0.01, 100.0)
        whole("top_k", self.top_k, 0, 1 << 24)
        whole("seed", self.seed, 0, (1 << 63) - 1)
