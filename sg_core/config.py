"""The shape of a GPT-2, and the variants of it that people publish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sg_core.checks import quoted, require_fields, whole
from sg_core.errors import SettingError

ACTIVATIONS = ("gelu_new", "gelu", "quick_gelu", "relu")  # of the MLP; gelu_new, the tanh form, is GPT-2's own


@dataclass(frozen=True, slots=True)
class GPT2Config:
    """Sizes of a GPT-2 (Radford et al. 2019), by Hugging Face's names. V = vocab_size, L = n_layer, NH = n_head,
    C = n_embd.

    n_inner: width of the MLP's hidden layer, None for 4·C. tie_word_embeddings: whether the token embedding is the
    unembedding too. Scores of attention are divided by sqrt(C / NH) if scale_attn_weights, and by a layer's number,
    from 1, if scale_attn_by_inverse_layer_idx. Raises SettingError when a size is out of range.
    """

    vocab_size: int = 50257
    n_ctx: int = 1024
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    layer_norm_epsilon: float = 1e-5
    n_inner: int | None = None
    activation_function: str = ACTIVATIONS[0]
    tie_word_embeddings: bool = True
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False

    def __post_init__(self) -> None:
        limits = {"vocab_size": 1 << 24, "n_ctx": 1 << 20, "n_layer": 1024, "n_head": 1024, "n_embd": 1 << 16}
        if self.n_inner is not None:
            limits["n_inner"] = 1 << 18
        for name, largest in limits.items():
            whole(name, getattr(self, name), 1, largest)
        if self.n_embd % self.n_head:
            raise SettingError(f"n_embd is {self.n_embd}, which n_head = {self.n_head} does not divide")
        epsilon: object = self.layer_norm_epsilon
        if not isinstance(epsilon, (int, float)) or not 0 < epsilon < 1:
            raise SettingError(f"layer_norm_epsilon is {quoted(epsilon)}; it must lie between 0 and 1")
        if self.activation_function not in ACTIVATIONS:
            raise SettingError(
                f"activation_function is {quoted(self.activation_function)}; choose from {', '.join(ACTIVATIONS)}"
            )
        for name in ("tie_word_embeddings", "scale_attn_weights", "scale_attn_by_inverse_layer_idx"):
            if not isinstance(getattr(self, name), bool):
                raise SettingError(f"{name} is {quoted(getattr(self, name))}; it must be true or false")

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> GPT2Config:
        """The sizes in a checkpoint or request. Raises SettingError, also for a name that is none of them."""
        require_fields(cls, saved)
        return cls(**saved)

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
    def hidden_size(self) -> int:
        """H, the width of the MLP's hidden layer."""
        return self.n_inner or 4 * self.n_embd

    @property
    def parameter_count(self) -> int:
        """Number of float parameters; an unembedding that shares the token embedding's counts once."""
        C, H = self.n_embd, self.hidden_size
        block = 4 * C * C + 2 * C * H + 9 * C + H
        embeddings = self.vocab_size * (1 if self.tie_word_embeddings else 2) + self.n_ctx
        return embeddings * C + self.n_layer * block + 2 * C
