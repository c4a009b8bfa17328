"""One text being generated: its tokens, KV cache and activations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sg_core.errors import SettingError
from sg_core.inference.generation import generate
from sg_core.inference.sampling import Sampling
from sg_core.inference.speculation import MOST, Lookup
from sg_core.inference.token import Token
from sg_core.kernels.attention import ROWS
from sg_core.kernels.gelu import gelu_table
from sg_core.kernels.products import PANEL_SIZE
from sg_core.kernels.team import Team, physical_cores
from sg_core.memory import aligned
from sg_core.network.activations import Activations
from sg_core.network.forward import OPERATIONS, forward
from sg_core.network.kv_cache import KVCache
from sg_core.network.optimizations import Optimizations
from sg_core.network.parameters import FloatArray

if TYPE_CHECKING:
    from sg_core.gpt2 import GPT2

MOST_THREADS = 256
_ROW_SWITCHES = ("kv_cache", "linear", "gelu", "residual", "layernorm", "unembedding")  # off, they want earlier rows
_LEAST_CHUNK, _MOST_CHUNK = 64, 512  # positions of a prompt computed in one call: a stop is seen between two calls
_CHUNK_WORK = 65e9  # multiplications of such a call: a fraction of a second
_SMALL_MODEL = (
    48 << 20
)  # weights of fewer bytes are read from the cache so fast that a second thread costs more than it gives
_TABLE = gelu_table()


def default_threads(parameter_bytes: int) -> int:
    """Physical cores, or one for a model so small that handing work over costs more than it saves."""
    return 1 if parameter_bytes < _SMALL_MODEL else physical_cores()


def _chunk(parameters: int) -> int:
    """More positions at once read the weights less often; a large model takes fewer, so that a stop does not wait."""
    return int(min(_MOST_CHUNK, max(_LEAST_CHUNK, _CHUNK_WORK / parameters)))


class Session:
    """Generates one text with `model`. Not to be used by two threads at once.

    `optimizations`, `sampling` and `threads` may be set at any time; they act from the next token on.
    """

    def __init__(
        self, model: GPT2, optimizations: Optimizations, precision: str = "f32", threads: int | None = None
    ) -> None:
        self.model = model
        self.precision = precision
        self.optimizations = optimizations
        self.sampling = Sampling()
        self.context_size = model.config.n_ctx
        self.prefill_ms = 0.0
        self.finish_reason = ""
        self.ids: list[int] = []
        self.edits = 0  # rises when ids change otherwise than by a token at the end
        self._computed = 0  # positions whose keys and values stand in the cache
        self._kept = 0  # positions whose activations are kept
        self._ready = 0  # > 0: logits of the last position stand ready, from a pass of so many rows
        self.advance_ns = 0  # the last position's share of such a pass
        self.cache = KVCache(model.config, 0)
        self._chunk = min(self.context_size, _chunk(model.config.parameter_count))
        self._shared = Activations(model.config, _LEAST_CHUNK, kept=False)
        self._activations = self._shared
        self.lookup = Lookup()
        self._logits = aligned(1, model.config.vocab_size)
        self._starts = np.zeros(5, np.int64)
        self.times = np.zeros(len(OPERATIONS), np.int64)
        self._epsilon = np.float32(model.config.layer_norm_epsilon)
        self.threads = default_threads(4 * model.config.parameter_count) if threads is None else threads

    @property
    def threads(self) -> int:
        """Threads that compute a token; the text does not depend on it."""
        return self._team.threads

    @threads.setter
    def threads(self, count: int) -> None:
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_THREADS:
            raise SettingError(f"threads is {count!r}; it must be a whole number from 1 to {MOST_THREADS}")
        self._team = Team(count)
        self._make_scratch(self.cache.capacity)
        self._panels = aligned(count, PANEL_SIZE)

    @property
    def precision(self) -> str:
        """How the weights are stored: "f32", "bf16", "int8" or "int4". Raises SettingError when set to another."""
        return self._weights.precision

    @precision.setter
    def precision(self, precision: str) -> None:
        self._weights = self.model.weights(precision)

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

    def generate_many(
        self,
        prompt: str | Sequence[int],
        n: int = 4,
        max_tokens: int = 200,
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[tuple[int, Token]]:
        """n continuations of `prompt` at once: (number, token) for each in turn, until all are finished.

        Continuation i is what `generate` gives with the seed raised by i. All are decoded in one pass over the weights,
        earlier rows are never computed again, and a token's `ms` is that of its whole pass. The session then holds the
        prompt alone. Raises SettingError, also when prompt and tokens do not fit the context.
        """
        from sg_core.inference.continuations import generate_many

        return generate_many(self, prompt, n, max_tokens, sampling, stop, cancelled)

    def rewind(self, n: int) -> None:
        """Keep the first n tokens; their cache stays valid. Raises SettingError when there are fewer."""
        if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= len(self.ids):
            raise SettingError(f"rewind to {n!r} is not possible; the session holds {len(self.ids)} tokens")
        del self.ids[n:]
        self.lookup.forget(n)
        self._forget(min(self._computed, n), min(self._kept, n))

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
        self.lookup.forget(0)
        self._forget(0, 0)

    def _forget(self, computed: int, kept: int) -> None:
        self._computed, self._kept, self._ready = computed, kept, 0
        self.edits += 1

    def reserve(self, positions: int) -> None:
        """Make room for this many positions, up to the context size; the cache keeps its content."""
        wanted = min(self.context_size, positions)
        if wanted <= self.cache.capacity and self.cache.capacity:
            return
        self.cache = self.cache.grown(wanted, self._computed)
        self._make_scratch(self.cache.capacity)
        if self._activations.kept:  # made anew, and filled, before the next token
            self._activations, self._kept = self._shared, 0

    def _make_scratch(self, capacity: int) -> None:
        self._scratch = aligned(self.threads, ROWS * max(1, capacity))

    def prefill(self, progress: Callable[[int, int], None] | None, cancelled: Callable[[], bool] | None) -> bool:
        """Compute what comes before the last position, and that one with it where it costs no pass of its own.

        Returns False when it was cancelled.
        """
        self._choose_activations()
        self.advance_ns = 0
        kept = self._activations.kept
        first, last = min(self._computed, self._kept) if kept else self._computed, len(self.ids)
        if first >= last - 1:
            return True
        if kept:
            last -= 1
        elif self._shared.rows < min(self._chunk, last - first):
            self._activations = self._shared = Activations(self.model.config, self._chunk, kept=False)
        for start in range(first, last, self._chunk):
            if cancelled is not None and cancelled():
                return False
            began = time.perf_counter_ns()
            stop = min(start + self._chunk, last)
            rows = stop - start
            ready = rows if stop == len(self.ids) else 0
            self._starts.fill(start)
            self.times.fill(0)
            self._compute(self.ids[start:stop], stop, (rows - 1, rows) if ready else (0, 0))
            self._hold(stop)
            self._ready = ready
            took = time.perf_counter_ns() - began
            if ready:
                self.advance_ns = took // ready
            self.prefill_ms += (took - self.advance_ns) * 1e-6
            if progress is not None:
                progress(stop - first, last - first)
        return True

    @property
    def ready(self) -> bool:
        """Whether the last position has been computed with those before it: `decode` then costs nothing."""
        return self._ready > 0

    def decode(self, draft: Sequence[int] = ()) -> FloatArray:
        """Compute the last position, and those of a draft that may follow.

        Returns their logits (1 + len(draft), V), valid until the next call. The draft is no part of the text: `accept`
        tells that its first token has become one.
        """
        ready, self._ready = self._ready, 0
        if ready and not draft:
            self.times //= ready
            return self._logits[:1]
        on = self.optimizations
        new = len(self.ids) - 1
        stop = len(self.ids) + len(draft)
        switches = (on.layernorm, on.kv_cache, on.linear, on.gelu, on.residual)
        self._starts[:] = [new if switch else 0 for switch in switches]
        rows = 1 + len(draft) if on.unembedding else stop
        if self._logits.shape[0] < rows or self._logits.shape[0] > max(rows, 1 + MOST):
            most = (1 + MOST if on.lookup else 1) if on.unembedding else self.cache.capacity
            self._logits = aligned(max(most, rows), self.model.config.vocab_size)
        self.times.fill(0)
        base = 0 if self._activations.kept else new
        self._compute([*self.ids[new:], *draft], stop, (stop - base - rows, stop - base))
        self._hold(len(self.ids))
        return self._logits[rows - 1 - len(draft) : rows]

    def accept(self) -> None:
        """The last token was the first of the draft: its position has been computed."""
        self._hold(len(self.ids))

    def _compute(self, new_ids: Sequence[int], stop: int, wanted: tuple[int, int]) -> None:
        self.run(np.array([new_ids], np.int32), stop, self.cache, self._logits, wanted, only_new=False)

    def _hold(self, count: int) -> None:
        """The first `count` positions are computed."""
        self._computed = count
        self._kept = count if self._activations.kept else 0

    def _choose_activations(self) -> None:
        """Kept activations while a switch that is off needs earlier rows; the small shared ones otherwise."""
        needed = not all(getattr(self.optimizations, name) for name in _ROW_SWITCHES)
        if needed and not self._activations.kept:
            self._activations = Activations(self.model.config, self.cache.capacity, kept=True)
            self._kept = 0
        elif not needed:
            self._activations = self._shared
            self._kept = 0

    def run(
        self, ids: npt.NDArray[np.int32], stop: int, cache: KVCache, logits: FloatArray, wanted: tuple[int, int],
        only_new: bool = True,
    ) -> None:  # fmt: skip
        """One pass: new tokens ids (B, n) of B texts at positions stop-n:stop, whose caches are `cache`.

        `wanted` rows of the last norm become rows of logits. only_new: earlier rows are left alone, whatever the
        optimizations; it is needed for more than one text.
        """
        n = ids.shape[1]
        config, parameters, weights = self.model.config, self.model.parameters, self._weights
        activations, plan = self._activations, parameters.layout
        if only_new:
            activations = self._shared
            self._starts.fill(stop - n)
            self.times.fill(0)
        base = 0 if activations.kept else stop - n
        if stop > cache.capacity or len(ids) * (stop - base) > activations.rows or wanted[1] - wanted[0] > len(logits):
            raise SettingError(f"there is no room for {n} tokens at position {stop - n}")  # kernels check no bounds
        if cache.capacity * ROWS > self._scratch.shape[1]:
            self._make_scratch(cache.capacity)
        self._team.run(
            forward, ids, base, stop, self._starts,
            config.n_embd, config.n_head, self._epsilon, parameters.arena, plan.blocks, plan.ends,
            weights.words, weights.stored, weights.scales, weights.share, self._panels,
            activations.arena, activations.places, activations.embedding, activations.final_norm, activations.rows,
            True, cache.keys, cache.values, cache.capacity,
            _TABLE, self.optimizations.gelu_table, self._scratch, np.float32(0.0), np.uint32(0),
            logits, *wanted, self.times,
        )  # fmt: skip
