"""The shape of a GPT-2."""

from __future__ import annotations

from dataclasses import dataclass

from sg_core.checks import whole
from sg_core.errors import SettingError


@dataclass(frozen=True, slots=True)
class GPT2Config:
    """Sizes of a GPT-2 (Radford et al. 2019). V = vocab_size, L = n_layer, NH = n_head, C = n_embd.

    Raises SettingError when a size is out of range.
    """

    vocab_size: int = 50257
    n_ctx: int = 1024
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    layer_norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        limits = {"vocab_size": 1 << 24, "n_ctx": 1 << 20, "n_layer": 1024, "n_head": 1024, "n_embd": 1 << 16}
        for name, largest in limits.items():
            whole(name, getattr(self, name), 1, largest)
        if self.n_embd % self.n_head:
            raise SettingError(f"n_embd is {self.n_embd}, which n_head = {self.n_head} does not divide")
        if not 0 < self.layer_norm_epsilon < 1:
            raise SettingError(f"layer_norm_epsilon is {self.layer_norm_epsilon!r}; it must lie between 0 and 1")

    @classmethod
    def gpt2(cls) -> GPT2Config:
        """GPT-2 small, 124M parameters."""
        return cls()

    @classmethod
    def gpt2_medium(cls) -> GPT2Config:
        """GPT-2 medium, 355M parameters."""
        return cls(n_layer=24, n_head=16, n_embd=1024)

    @classmethod
    def gpt2_large(cls) -> GPT2Config:
        """GPT-2 large, 774M parameters."""
        return cls(n_layer=36, n_head=20, n_embd=1280)

    @classmethod
    def gpt2_xl(cls) -> GPT2Config:
        """GPT-2 XL, 1558M parameters."""
        return cls(n_layer=48, n_head=25, n_embd=1600)

    @property
    def head_size(self) -> int:
        """hs = C / NH."""
        return self.n_embd // self.n_head

    @property
    def parameter_count(self) -> int:
        """Number of float parameters; the unembedding shares the token embedding's."""
        C = self.n_embd
        block = 12 * C * C + 13 * C
        return (self.vocab_size + self.n_ctx) * C + self.n_layer * block + 2 * C
