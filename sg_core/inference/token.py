"""One generated token: made where it is chosen, and the same one wherever it is shown, told or kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token.

    text: safe to concatenate: bytes of an unfinished UTF-8 character, or of what may become a stop string, wait for a
    later token. logprob: natural log of the model's own probability, before temperature and filters. top: the
    likeliest (id, logprob). ms: computing and choosing it; the first after a prompt has its share of the pass that
    computed both. op_ms: {operation: ms}, in order. context_moved: > 0 when the context was full just before this
    token, and only that many tokens were kept.
    """

    id: int
    text: str
    logprob: float
    top: tuple[tuple[int, float], ...]
    ms: float
    op_ms: dict[str, float]
    context_moved: int = 0
