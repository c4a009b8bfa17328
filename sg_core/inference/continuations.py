"""Several continuations of one prompt, decoded in one pass over the weights a token."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sg_core.inference.branch import window_start
from sg_core.inference.decoder import Decoder
from sg_core.inference.sampler import filters, greedy, key
from sg_core.inference.sampling import Sampling
from sg_core.inference.speculation import Lookup
from sg_core.inference.token import TOP, Token
from sg_core.inference.writer import Writer
from sg_core.kernels.jit import is_compiled
from sg_core.memory import aligned
from sg_core.network.choosing import Choosing, choose_rows
from sg_core.types import Cancelled, Count, FloatArray


class _Line:
    """One of the continuations: its text so far, the prompt included."""

    def __init__(self, number: int, writer: Writer, ids: Sequence[int]) -> None:
        self.number = number
        self.writer = writer
        self.ids = list(ids)


class _Texts:
    """The texts of unfinished lines side by side, all of one length: they share the prompt's keys and values."""

    def __init__(self, decoder: Decoder, count: int, most: int) -> None:
        """Each begins as the decoder's, all of which is computed, and gets `most` more tokens."""
        self.count = count
        self.first = decoder.first  # where the window begins
        self._decoder = decoder
        self._edits = decoder.edits
        room = min(decoder.context_size, decoder.positions + most)
        self._cache = decoder.cache.fork(decoder.positions, room, count)
        self._logits = aligned(count, decoder.model.config.vocab_size)

    def decode(self, lines: list[_Line], most: int) -> FloatArray:
        """Logits (n, V) of what follows each line. Before that all is computed again where the window has moved, or
        where what was computed before has become invalid. most: tokens that may follow."""
        decoder, tokens = self._decoder, len(lines[0].ids)
        first = window_start(tokens, decoder.context_size)
        decoder.follow(decoder.model.version)
        new = 1
        if first != self.first or decoder.edits != self._edits:
            self.first, self._edits, new = first, decoder.edits, tokens - first
            self._cache = decoder.empty_cache(min(decoder.context_size, new + most), self.count)
        ids = np.array([line.ids[-new:] for line in lines], np.int32)
        step = max(1, decoder.rows // self.count)
        for start in range(0, new - 1, step):
            stop = min(start + step, new - 1)
            some = np.ascontiguousarray(ids[:, start:stop])
            decoder.decode_many(some, stop, self._cache, self._logits, (0, 0))
        last = np.ascontiguousarray(ids[:, -1:])
        decoder.decode_many(last, tokens - first, self._cache, self._logits, (0, self.count))
        return self._logits[: self.count]

    def drop(self, place: int) -> None:
        """Forget a text; the last one takes its place."""
        self.count -= 1
        self._cache.move(self.count, place)


class Continuations:
    """(number, token) of each continuation in turn, until all are finished; the decoder then holds the prompt alone.

    sampling: of number 0, may be set at any time; that of number i has the seed raised by i. reasons: why each ended,
    "length", "stop", "end of text" or, until one of them is true, "stopped". prefill_ms: what the prompt took, without
    its last position.
    """

    def __init__(
        self,
        decoder: Decoder,
        lookup: Lookup,
        writers: Sequence[Writer],
        sampling: Sampling,
        ids: Sequence[int],
        max_tokens: int,
        progress: Count | None = None,
        cancelled: Cancelled | None = None,
    ) -> None:
        self.sampling = sampling
        self.reasons = ["stopped" if max_tokens else "length"] * len(writers)
        self.prefill_ms = 0.0
        self._decoder, self._lookup, self._writers = decoder, lookup, writers
        self._progress, self._cancelled = progress, cancelled
        self._choosing: Choosing | None = None
        self._tokens = self._written(ids, max_tokens)

    def __iter__(self) -> Iterator[tuple[int, Token]]:
        return self

    def __next__(self) -> tuple[int, Token]:
        return next(self._tokens)

    @property
    def finish_reason(self) -> str:
        """ "stopped" where one was, else why the last one ended."""
        return "stopped" if "stopped" in self.reasons else self.reasons[-1]

    def rest(self) -> list[str]:
        """The text that was held back of each one that a stop ended. Ends them."""
        self._tokens.close()  # type: ignore[attr-defined]  # a generator
        rest = zip(self.reasons, self._writers, strict=True)
        return [writer.rest() if reason == "stopped" else "" for reason, writer in rest]

    def _choose(self, logits: FloatArray, lines: list[_Line]) -> bool:
        """Choose for all lines at once, where each choice depends on its logits and the draw alone."""
        if not lines[0].writer.chooses_plainly(self.sampling) or not is_compiled(choose_rows):
            return False
        team = self._decoder.current_pass.team
        if self._choosing is None or self._choosing.threads < team.threads:
            limit, unnamed, _ = lines[0].writer.tokens
            top = min(TOP, limit - len(unnamed))
            self._choosing = Choosing(team.threads, limit, unnamed, top, len(self._writers))
        seed, place = self.sampling.seed, len(lines[0].ids)
        keys = np.array([key(seed + line.number, place) for line in lines], np.uint64)
        return self._choosing.run(team, logits, greedy(self.sampling), filters(self.sampling), keys)

    def _written(self, prompt: Sequence[int], max_tokens: int) -> Iterator[tuple[int, Token]]:
        decoder, before = self._decoder, self._decoder.first
        self._lookup.forget(decoder.start(prompt))
        moved = 0 if decoder.first in (0, before) else decoder.positions
        decoder.reserve(decoder.positions)
        done = max_tokens > 0 and decoder.prefill(self._progress, self._cancelled)
        self.prefill_ms = decoder.prefill_ns * 1e-6
        if not done:
            return
        lines = [_Line(number, writer, prompt) for number, writer in enumerate(self._writers)]
        texts: _Texts | None = None
        for count in range(1, max_tokens + 1):
            if self._cancelled is not None and self._cancelled():
                return
            began = time.perf_counter_ns()
            if texts is None:
                rows: Sequence[FloatArray] = [decoder.decode()[0]] * len(lines)
                began -= decoder.advance_ns
                seen = [decoder.activations()] * len(lines)
                texts = _Texts(decoder, len(lines), max_tokens - 1)
            else:
                first = texts.first
                together = texts.decode(lines, max_tokens - count)
                rows = list(together)
                moved = len(lines[0].ids) - texts.first if texts.first != first else 0
                seen = [decoder.activations(row) for row in range(len(lines))]
            computed = time.perf_counter_ns()
            at_once, asked = count > 1 and self._choose(together, lines), self.sampling
            for_each = (time.perf_counter_ns() - computed) // len(lines)
            over: list[int] = []
            for place, line in enumerate(lines):
                chosen_at = time.perf_counter_ns()
                ids = line.ids[texts.first :] if texts.first else line.ids
                if at_once and self.sampling is asked and self._choosing is not None:
                    choice = line.writer.take(*self._choosing.told(place), ids, count == max_tokens)
                else:
                    sampling = replace(self.sampling, seed=self.sampling.seed + line.number)
                    choice = line.writer.choose(rows[place], sampling, ids, len(line.ids), count == max_tokens)
                line.ids.append(choice.id)
                if choice.finished:
                    self.reasons[line.number] = choice.finished
                    over.append(place)
                choosing = for_each + time.perf_counter_ns() - chosen_at
                yield line.number, choice.token(decoder.times, computed - began, choosing, moved, seen[place])
            for place in reversed(over):
                lines[place] = lines[-1]
                lines.pop()
                texts.drop(place)
            if not lines:
                return
