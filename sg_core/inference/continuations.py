"""Several continuations of one prompt, decoded in one pass over the weights a token."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from sg_core.inference.decoder import Decoder
from sg_core.inference.sampling import Sampling
from sg_core.inference.token import Token
from sg_core.inference.writer import Writer
from sg_core.memory import aligned
from sg_core.types import Cancelled, FloatArray

MOST = 64  # continuations at once


class Line:
    """One of the continuations. Its draws are those of a generation with its own sampling."""

    def __init__(self, number: int, sampling: Sampling, writer: Writer) -> None:
        self.number = number
        self.sampling = sampling
        self.writer = writer
        self.ids: list[int] = []


class _Caches:
    """A KV cache for each continuation: copies of the decoder's, which holds the prompt."""

    def __init__(self, decoder: Decoder, count: int, positions: int) -> None:
        self.count = count
        self._decoder = decoder
        self._position = len(decoder.ids)
        self._cache = decoder.cache.copies(count, positions, self._position)
        self._logits = aligned(count, decoder.model.config.vocab_size)

    def decode(self, ids: list[int]) -> FloatArray:
        """The last id of each continuation -> logits (n, V) of the next."""
        self._position += 1
        new = np.array(ids, np.int32)[:, None]
        self._decoder.decode_many(new, self._position, self._cache, self._logits, (0, self.count))
        return self._logits[: self.count]

    def drop(self, place: int) -> None:
        """Forget a continuation; the last one takes its place."""
        self.count -= 1
        self._cache.move(self.count, place)


def continuations(
    decoder: Decoder,
    prompt: list[int],
    lines: list[Line],
    max_tokens: int,
    forget: Callable[[int], None],
    cancelled: Cancelled | None,
) -> Iterator[tuple[int, Token]]:
    """(number, token) of each line in turn, until all are finished; the decoder then holds the prompt alone.

    forget(n): the decoder's text is new from its n-th token on.
    """
    forget(decoder.start(prompt))
    decoder.reserve(len(prompt))
    if not decoder.prefill(None, cancelled):
        return
    caches: _Caches | None = None
    for count in range(1, max_tokens + 1):
        if cancelled is not None and cancelled():
            return
        began = time.perf_counter_ns()
        if caches is None:
            rows = np.repeat(decoder.decode(), len(lines), axis=0)
            began -= decoder.advance_ns
            seen = [decoder.activations()] * len(lines)
            caches = _Caches(decoder, len(lines), len(prompt) + max_tokens)
        else:
            rows = caches.decode([line.ids[-1] for line in lines])
            seen = [decoder.activations(row) for row in range(len(lines))]
        computed = time.perf_counter_ns()
        over: list[int] = []
        for place, line in enumerate(lines):
            chosen_at = time.perf_counter_ns()
            text = [*prompt, *line.ids]
            choice = line.writer.choose(rows[place], line.sampling, text, len(text), count == max_tokens)
            line.ids.append(choice.id)
            if choice.finished:
                over.append(place)
            choosing = time.perf_counter_ns() - chosen_at
            yield line.number, choice.token(decoder.times, computed - began, choosing, 0, seen[place])
        for place in reversed(over):
            lines[place] = lines[-1]
            lines.pop()
            caches.drop(place)
        if not lines:
            return
