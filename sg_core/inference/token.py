"""One generated token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sg_core.types import FloatArray

TOP = 8  # alternatives told with every token


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token.

    text: safe to concatenate: bytes of an unfinished UTF-8 character, or of what may become a stop string, wait for a
    later token. logprob: natural log of the model's own probability, before temperature and filters. top: the
    likeliest (id, logprob). ms: computing and choosing it; the first after a prompt has its share of the pass that
    computed both. op_ms: {operation: ms}, in order, summing to ms. context_moved: > 0 when the context was full just
    before this token, and only that many tokens were kept. activations: by name, what probes saw at the position that
    chose it.
    """

    id: int
    text: str
    logprob: float
    top: tuple[tuple[int, float], ...]
    ms: float
    op_ms: dict[str, float]
    context_moved: int = 0
    activations: Mapping[str, FloatArray] = field(default_factory=dict, compare=False)
