"""One text being generated: its tokens, KV cache and activations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sg_core.activations import Activations
from sg_core.errors import SettingError
from sg_core.generation import Token, generate
from sg_core.kernels.attention import ROWS
from sg_core.kernels.gelu import gelu_table
from sg_core.kernels.team import Team, physical_cores
from sg_core.optimizations import Optimizations
from sg_core.parameters import FloatArray
from sg_core.sampling import Sampling
from sg_core.transformer import OPERATIONS, forward

if TYPE_CHECKING:
    from sg_core.model import GPT2

PRECISIONS = ("f32",)
MOST_THREADS = 256
_CHUNK = 64  # positions of a prompt computed in one call: a stop is seen between two calls
_SMALL_MODEL = (
    48 << 20
)  # weights of fewer bytes are read from the cache so fast that a second thread costs more than it gives
_TABLE = gelu_table()


def default_threads(parameter_bytes: int) -> int:
    """Physical cores, or one for a model so small that handing work over costs more than it saves."""
    return 1 if parameter_bytes < _SMALL_MODEL else physical_cores()


class Session:
    """Generates one text with `model`. Not to be used by two threads at once.

    `optimizations`, `sampling` and `threads` may be set at any time; they act from the next token on.
    """

    def __init__(
        self, model: GPT2, optimizations: Optimizations, precision: str = "f32", threads: int | None = None
    ) -> None:
        if precision not in PRECISIONS:
            raise SettingError(f"precision is {precision!r}; choose from {', '.join(PRECISIONS)}")
        self.model = model
        self.precision = precision
        self.optimizations = optimizations
        self.sampling = Sampling()
        self.context_size = model.config.n_ctx
        self.prefill_ms = 0.0
        self.finish_reason = ""
        self.ids: list[int] = []
        self._computed = 0  # positions whose keys and values stand in the cache
        self._kept = 0  # positions whose activations are kept
        self._capacity = 0
        self._keys = self._values = np.zeros(0, np.float32)
        self._shared = Activations(model.config, _CHUNK, kept=False)
        self._activations = self._shared
        self._logits = np.empty((1, model.config.vocab_size), np.float32)
        self._starts = np.zeros(5, np.int64)
        self.times = np.zeros(len(OPERATIONS), np.int64)
        self._epsilon = np.float32(model.config.layer_norm_epsilon)
        self.threads = default_threads(model.parameters.arena.nbytes) if threads is None else threads

    @property
    def threads(self) -> int:
        """Threads that compute a token; the text does not depend on it."""
        return self._team.threads

    @threads.setter
    def threads(self, count: int) -> None:
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_THREADS:
            raise SettingError(f"threads is {count!r}; it must be a whole number from 1 to {MOST_THREADS}")
        self._team = Team(count)
        self._scratch = np.empty((count, ROWS * max(1, self._capacity)), np.float32)

    @property
    def activation_bytes(self) -> int:
        """Memory of the activations between operations; more while a switch that is off needs earlier rows."""
        return self._activations.arena.nbytes

    def generate(
        self,
        prompt: str | Sequence[int],
        max_tokens: int = 200,
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[Token]:
        """Continue `prompt`, a text or token ids. What the session already holds of it is not computed again.

        sampling None keeps the session's. progress(done, total) is called while the prompt is computed; cancelled()
        is asked between two calls. Afterwards `finish_reason` is "length", "stop", "end of text" or "stopped".
        Raises SettingError.
        """
        return generate(self, prompt, max_tokens, sampling, stop, progress, cancelled)

    def rewind(self, n: int) -> None:
        """Keep the first n tokens; their cache stays valid. Raises SettingError when there are fewer."""
        if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= len(self.ids):
            raise SettingError(f"rewind to {n!r} is not possible; the session holds {len(self.ids)} tokens")
        del self.ids[n:]
        self._computed = min(self._computed, n)
        self._kept = min(self._kept, n)

    def start(self, ids: Sequence[int]) -> None:
        """Take `ids` as the text so far, keeping the cache of the part that is the same."""
        same = 0
        for old, new in zip(self.ids, ids, strict=False):
            if old != new:
                break
            same += 1
        self.rewind(same)
        self.ids = list(ids)
        self.rewind(len(self.ids))
        # the last position is always computed again: its logits are what is wanted
        self._computed = min(self._computed, max(0, len(self.ids) - 1))

    def drop_all_but(self, count: int) -> None:
        """Forget all but the newest `count` tokens. Positions are absolute, so what stays must be computed again."""
        self.ids = self.ids[-count:]
        self._computed = self._kept = 0

    def reserve(self, positions: int) -> None:
        """Make room for this many positions, up to the context size; the cache keeps its content."""
        wanted = min(self.context_size, positions)
        if wanted <= self._capacity and self._capacity:
            return
        config = self.model.config
        capacity = min(self.context_size, max(wanted, 2 * self._capacity, 64))
        capacity = -(-capacity // 16) * 16
        if capacity % 1024 == 0:
            capacity += 16  # rows a power of two apart would share a few cache lines
        heads, size, n = config.n_layer * config.n_head, config.head_size, self._computed
        keys = np.empty((heads, size, capacity), np.float32)
        values = np.empty((heads, capacity, size), np.float32)
        if n:
            keys[:, :, :n] = self._keys.reshape(heads, size, self._capacity)[:, :, :n]
            values[:, :n] = self._values.reshape(heads, self._capacity, size)[:, :n]
        self._keys, self._values = keys.reshape(-1), values.reshape(-1)
        self._capacity = capacity
        self._scratch = np.empty((self.threads, ROWS * capacity), np.float32)
        if self._activations.kept:  # made anew, and filled, before the next token
            self._activations, self._kept = self._shared, 0

    def prefill(self, progress: Callable[[int, int], None] | None, cancelled: Callable[[], bool] | None) -> bool:
        """Compute every position but the last; False when it was cancelled."""
        self._choose_activations()
        last = len(self.ids) - 1
        began = time.perf_counter()
        first = min(self._computed, self._kept) if self._activations.kept else self._computed
        if first >= last:
            return True
        for start in range(first, last, _CHUNK):
            if cancelled is not None and cancelled():
                return False
            stop = min(start + _CHUNK, last)
            self._starts.fill(start)
            self._run(start, stop, 0, 0)
            if progress is not None:
                progress(stop - first, last - first)
        self.prefill_ms += (time.perf_counter() - began) * 1e3
        return True

    def decode(self) -> FloatArray:
        """Compute the last position; returns its logits (V,), valid until the next call."""
        on = self.optimizations
        stop = len(self.ids)
        new = stop - 1
        switches = (on.layernorm, on.kv_cache, on.linear, on.gelu, on.residual)
        self._starts[:] = [new if switch else 0 for switch in switches]
        rows = 1 if on.unembedding else stop
        if self._logits.shape[0] != 1 or rows != 1:
            most = 1 if on.unembedding else self._capacity
            if self._logits.shape[0] != most:
                self._logits = np.empty((most, self.model.config.vocab_size), np.float32)
        self.times.fill(0)
        base = 0 if self._activations.kept else new
        self._run(new, stop, stop - base - rows, stop - base)
        logits: FloatArray = self._logits[rows - 1]
        return logits

    def _choose_activations(self) -> None:
        """Kept activations while a switch that is off needs earlier rows; the small shared ones otherwise."""
        needed = self.optimizations.with_("gelu_table") != Optimizations()
        if needed and not self._activations.kept:
            self._activations = Activations(self.model.config, self._capacity, kept=True)
            self._kept = 0
        elif not needed:
            self._activations = self._shared
            self._kept = 0

    def _run(self, start: int, stop: int, logits_from: int, logits_to: int) -> None:
        config, parameters, activations = self.model.config, self.model.parameters, self._activations
        plan = parameters.layout
        ids = np.array([self.ids[start:stop]], np.int32)
        self._team.run(
            forward, ids, 0 if activations.kept else start, stop, self._starts,
            config.n_embd, config.n_head, self._epsilon, parameters.arena, plan.blocks, plan.ends,
            activations.arena, activations.places, activations.embedding, activations.final_norm, activations.rows,
            True, self._keys, self._values, self._capacity,
            _TABLE, self.optimizations.gelu_table, self._scratch, np.float32(0.0), np.uint32(0),
            self._logits, logits_from, logits_to, self.times,
        )  # fmt: skip
        self._computed = max(self._computed, stop)
        if activations.kept:
            self._kept = max(self._kept, stop)
