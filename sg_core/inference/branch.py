"""A text as the model sees it: the window, and what is computed of it when another text is being written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sg_core.network.kv_cache import KVCache

_BLOCK = 64  # ids compared at once


def window_start(tokens: int, context_size: int) -> int:
    """Where the window begins through which a text of so many tokens is seen: at a multiple of half the context."""
    half = max(1, context_size // 2)
    return max(0, -((context_size - tokens) // half)) * half


def common(some: Sequence[int], others: Sequence[int]) -> int:
    """How many ids are the same at the beginning of both."""
    some, others = list(some), list(others)
    length = min(len(some), len(others))
    for start in range(0, length, _BLOCK):
        if some[start : start + _BLOCK] != others[start : start + _BLOCK]:
            return next((place for place in range(start, length) if some[place] != others[place]), length)
    return length


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A text that waits: its ids, where its window begins, and how many positions of that the cache holds."""

    ids: list[int]
    first: int
    computed: int
    cache: KVCache

    def of(self, ids: Sequence[int], context_size: int) -> int:
        """How many positions need not be computed when `ids` are the text: none where their window is another."""
        if window_start(len(ids), context_size) != self.first:
            return 0
        same = min(common(self.ids, ids), len(ids) - 1)  # the last one gives the logits
        return max(0, min(same - self.first, self.computed))

    def fork(self, n: int, first: int) -> Branch:
        """The first n ids, seen from `first` on, which share what is computed of them."""
        computed = max(0, min(self.computed, n - first)) if first == self.first else 0
        return Branch(self.ids[:n], first, computed, self.cache.fork(computed, computed))
