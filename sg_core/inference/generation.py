"""A prompt becomes a stream of tokens."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sg_core.inference.bursts import Bursts
from sg_core.inference.decoder import Decoder
from sg_core.inference.drafting import Drafting
from sg_core.inference.sampling import Sampling
from sg_core.inference.speculation import Ahead, Lookup
from sg_core.inference.token import Token
from sg_core.inference.writer import Writer
from sg_core.types import Cancelled, Count


class Generation:
    """The tokens after some ids, one at a time, as an iterator.

    sampling: may be set at any time, and acts from the next token on. finish_reason: "length", "stop", "end of text"
    or, until one of them is true, "stopped". prefill_ms: what the prompt took, without its last position.
    """

    def __init__(
        self,
        decoder: Decoder,
        lookup: Lookup,
        drafting: Drafting,
        writer: Writer,
        sampling: Sampling,
        ids: list[int],
        max_tokens: int,
        interrupt: npt.NDArray[np.int64],
        progress: Count | None = None,
        cancelled: Cancelled | None = None,
    ) -> None:
        self.sampling = sampling
        self.finish_reason = "stopped"
        self.prefill_ms = 0.0
        self._decoder, self._lookup, self._drafting, self._writer = decoder, lookup, drafting, writer
        self._interrupt, self._progress, self._cancelled = interrupt, progress, cancelled
        self._tokens = self._written(ids, max_tokens)

    def __iter__(self) -> Iterator[Token]:
        return self

    def __next__(self) -> Token:
        return next(self._tokens)

    def rest(self) -> str:
        """The text that was held back, half a character or a possible stop string, when a stop comes. Ends it."""
        self._tokens.close()  # type: ignore[attr-defined]  # a generator
        return self._writer.rest()

    def _written(self, ids: list[int], max_tokens: int) -> Iterator[Token]:
        decoder = self._decoder
        before = decoder.first
        self._lookup.forget(decoder.start(ids))
        moved = 0 if decoder.first in (0, before) else decoder.positions
        ahead, screen = Ahead(decoder, self._lookup, self._drafting), self._writer.screen()

        def guess(draft: list[int]) -> int:
            logits = decoder.guess(draft)
            place = len(decoder.ids) + len(draft)
            return self._writer.guess(logits, self.sampling, [*decoder.seen, *draft], place)

        bursts = Bursts(decoder, self._writer, self._interrupt)
        for count in range(1, max_tokens + 1):
            if bursts.waits(self.sampling):
                if self._cancelled is not None and self._cancelled():
                    return
            else:
                moved = decoder.move_window() or moved
                left = min(decoder.context_size - decoder.positions, max_tokens - count)
                if not self._prefill(decoder.positions + left, tell=count == 1 or moved > 0):
                    return
                bursts.write(self.sampling, 1 + left)
            if bursts.waits(self.sampling):
                ahead.forget()
                token, finished = bursts.token(count == max_tokens, moved)
            else:
                began = time.perf_counter_ns()
                screened = screen if self.sampling.likeliest else None
                logits = ahead.logits(left, guess, self._writer.ends, screened)
                computed = time.perf_counter_ns() + decoder.advance_ns
                choice = self._writer.choose(logits, self.sampling, decoder.seen, len(decoder.ids), count == max_tokens)
                seen = decoder.activations(ahead.row)
                decoder.ids.append(choice.id)
                ahead.chosen(choice.id)
                now = time.perf_counter_ns() + decoder.advance_ns
                times = (decoder.times, computed - began, now - computed)
                token, finished = choice.token(*times, moved, seen, ahead.drafting_ns), choice.finished
                bursts.learn(token)
            if finished:
                self.finish_reason = finished
            yield token
            if finished:
                return
            moved = 0
        self.finish_reason = "length"

    def _prefill(self, positions: int, tell: bool) -> bool:
        """Compute what comes before the last position; False when it was cancelled, then or before."""
        decoder, cancelled = self._decoder, self._cancelled
        decoder.reserve(positions)
        done = decoder.prefill(self._progress if tell else None, cancelled)
        self.prefill_ms += decoder.prefill_ns * 1e-6
        return done and not (cancelled is not None and cancelled())
