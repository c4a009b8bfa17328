"""How the next token is chosen: the settings (the draw itself is in sampler.py, which needs NumPy)."""

from __future__ import annotations

from dataclasses import dataclass

from sg_core.setting import check_settings, setting

MOST_AT_ONCE = 64  # continuations


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. temperature 0 is greedy, ties go to the lowest id.

    Raises SettingError when a value is out of range.
    """

    temperature: float = setting(0.8, 0.0, 100.0, "0 is greedy", step=0.1)
    top_k: int = setting(0, 0, 1 << 24, "keep the N likeliest; 0 keeps all", label="top-k", step=5)
    top_p: float = setting(
        0.95, 0.0, 1.0, "keep the likeliest whose probabilities reach F; 1 keeps all", label="top-p", step=0.05
    )
    min_p: float = setting(
        0.0, 0.0, 1.0, "keep tokens at least F times as likely as the likeliest", label="min-p", step=0.01
    )
    repetition_penalty: float = setting(
        1.0, 0.01, 100.0, "above 1: what stands in the text already becomes less likely", label="repetition", step=0.05
    )
    seed: int = setting(0, 0, (1 << 63) - 1, "of the draws", step=1)

    @property
    def likeliest(self) -> bool:
        """Whether it is always the likeliest token."""
        return self.temperature == 0.0 and self.repetition_penalty == 1.0

    def __post_init__(self) -> None:
        check_settings(self)
