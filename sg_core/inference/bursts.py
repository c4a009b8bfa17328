"""Tokens that are written before they are asked for: several in one compiled call, where nobody looks in between.

They are handed out one by one. Those that wait when a setting changes, or the text, were never written: what follows is
computed with the new setting.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from sg_core.inference.decoder import Decoder
from sg_core.inference.sampler import filters, greedy, key
from sg_core.inference.sampling import Sampling
from sg_core.inference.token import TOP, Token
from sg_core.inference.writer import Writer
from sg_core.kernels.jit import is_compiled
from sg_core.network.burst import BurstPass, burst

LONGEST_NS = 20_000_000  # of a burst: whoever shows the tokens, or sets something, does not wait longer
MOST = 64  # tokens


class Bursts:
    """Of one generation. interrupt (1,) int64: other than 0 ends a burst with the token that is being computed."""

    def __init__(self, decoder: Decoder, writer: Writer, interrupt: npt.NDArray[np.int64]) -> None:
        self._decoder, self._writer, self._interrupt = decoder, writer, interrupt
        self._pass: BurstPass | None = None
        self._setting: tuple[object, ...] = ()  # of the tokens that wait
        self._count = self._used = 0
        self._pace = 0.0  # nanoseconds of a token

    def learn(self, token: Token) -> None:
        """What a token took that was computed by itself."""
        self._pace = token.ms * 1e6

    def waits(self, sampling: Sampling) -> bool:
        """Whether a token waits that is still the next one."""
        decoder = self._decoder
        return self._used < self._count and self._setting == (
            decoder.optimizations, decoder.edits, decoder.current_pass, decoder.model.version, sampling
        )  # fmt: skip

    def write(self, sampling: Sampling, most: int) -> None:
        """Up to so many tokens, where nothing speaks against it; those that waited are forgotten."""
        decoder = self._decoder
        self._count = self._used = 0
        steps = min(most, MOST, int(LONGEST_NS / self._pace) if self._pace else 0)
        if steps < 2 or not self._possible(sampling):
            return
        if self._pass is None or self._pass.of is not decoder.current_pass:
            limit, unnamed, _ = self._writer.tokens
            self._pass = BurstPass(decoder.current_pass, limit, unnamed, min(TOP, limit - len(unnamed)), MOST)
        self._setting = (
            decoder.optimizations, decoder.edits, decoder.current_pass, decoder.model.version, sampling
        )  # fmt: skip
        self._count = self._run(self._pass, sampling, steps)

    def _possible(self, sampling: Sampling) -> bool:
        """Whether nothing but the logits decides a token, and nothing but the new position is computed for it."""
        decoder, on = self._decoder, self._decoder.optimizations
        plain = on.unembedding and not on.needs_earlier_rows and not on.bursts
        watched = decoder.probes or decoder.interventions or decoder.model.adapters
        free = not decoder.ready and is_compiled(burst)
        return plain and not watched and free and self._writer.chooses_plainly(sampling)

    def _run(self, one: BurstPass, sampling: Sampling, steps: int) -> int:
        decoder, place = self._decoder, len(self._decoder.ids)
        count = one.run(
            decoder.ids[-1], decoder.positions - 1, decoder.cache, decoder.optimizations.gelu_table,
            self._interrupt, self._writer.tokens[2],
            greedy(sampling), filters(sampling),
            np.array([key(sampling.seed, place + step) for step in range(steps)], np.uint64),
        )  # fmt: skip
        if count:
            self._pace = float(one.ns[:count, -2:].sum()) / count
        return count

    def token(self, last: bool, moved: int) -> tuple[Token, str]:
        """The next of those that wait, which now belongs to the text, and why nothing follows it ("" if not)."""
        one, decoder, at = self._pass, self._decoder, self._used
        assert one is not None
        began = time.perf_counter_ns()
        decoder.accept()
        top = tuple(zip(one.top_ids[at].tolist(), one.top_logprobs[at].tolist(), strict=True))
        choice = self._writer.take(int(one.ids[at]), float(one.logprobs[at]), top, decoder.seen, last)
        decoder.ids.append(choice.id)
        self._used += 1
        *_, computing, choosing = one.ns[at].tolist()
        choosing += time.perf_counter_ns() - began
        return choice.token(one.ns[at, :-2], computing, choosing, moved), choice.finished
