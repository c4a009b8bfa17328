"""Several tokens in one compiled call: each is drawn from the logits before it and goes through the model at once.

Between them there is no Python, nobody waits for the interpreter's lock, and no thread is woken. Every number is that
of tokens that are asked for one by one: the same forward pass, the same draws.
"""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core.errors import SettingError
from sg_core.kernels.by_address import address_of, call_at
from sg_core.kernels.drawing import BINS, LANES, drawn
from sg_core.kernels.jit import entry, kernel
from sg_core.kernels.ranking import ranked
from sg_core.kernels.simd import ONE, ZERO
from sg_core.kernels.system import nanoseconds
from sg_core.kernels.team import atomic_load, barrier
from sg_core.memory import aligned
from sg_core.network.activations import Activations
from sg_core.network.block import OPERATIONS
from sg_core.network.forward import Pass, forward
from sg_core.network.kv_cache import KVCache
from sg_core.network.optimizations import STAGES

_NAMES = list(signature(forward).parameters)[3:]  # of `forward`'s arguments behind `cells`
_BASE = _NAMES.index("base")
_AFTER = _BASE + 2  # behind base and stop
_COMPUTING = len(OPERATIONS)  # columns of `ns`: each operation, computing the logits, choosing
_CHOOSING = _COMPUTING + 1


@kernel
def _chosen(
    step: int, logits: Any, unnamed: Any, room: Any, floats: Any, places: Any, members: Any, tables: Any,
    greedy: bool, temperature: float, top_k: int, top_p: float, depth: float, keys: Any,
    ids: Any, logprobs: Any, top_ids: Any, top_logprobs: Any,
) -> bool:  # fmt: skip
    """Choose from logits (V,) as `Writer.choose` does; False where they are not finite."""
    for place in range(unnamed.shape[0]):
        logits[unnamed[place]] = np.float32(-np.inf)
    total = ranked(top_ids[step], top_logprobs[step], logits, room)
    if not np.isfinite(total):
        return False
    if greedy:
        ids[step] = top_ids[step, 0]
    else:
        ids[step] = drawn(
            logits, floats, places, members, tables, temperature, top_k, top_p, depth, keys[step]
        )  # fmt: skip
    logprobs[step] = np.float64(logits[ids[step]]) - total
    return True


@entry
def burst(
    thread: int, threads: int, cells: Any, address: int, position: int, steps: int, control: Any, interrupt: Any,
    ends: Any, unnamed: Any, room: Any, floats: Any, places: Any, members: Any, tables: Any,
    greedy: bool, temperature: float, top_k: int, top_p: float, depth: float, keys: Any,
    ids: Any, logprobs: Any, top_ids: Any, top_logprobs: Any, ns: Any,
    new_ids: Any, starts: Any, logits: Any, times: Any, *arguments: Any,
) -> None:  # fmt: skip
    """Up to `steps` tokens from `position` on, where the id new_ids (1, 1) stands; every thread of a team calls it.

    address, arguments: of `forward`, and all it is called with behind `cells`, new_ids, starts, logits and times among
    it. It ends after a token of `ends`, and after the one during which `interrupt` (1,) becomes other than 0.
    For each token: ids, logprobs (steps,), the likeliest in top_ids and top_logprobs (steps, k), and ns
    (steps, operations + 2). control (2,): whether it goes on, and how many tokens were chosen. logits:
    (<= V,) the row that `forward` fills, as far as its ids are tokens; those of unnamed are none. Where they are not
    finite there is no token.
    """
    for step in range(steps):
        began = nanoseconds()
        stop = position + step + ONE
        moved = (stop - ONE, stop)
        call_at(address, (thread, threads, cells) + arguments[:_BASE] + moved + arguments[_AFTER:])  # noqa: RUF005 (Numba)
        if thread == 0:
            computed = nanoseconds()
            fine = _chosen(
                step, logits, unnamed, room, floats, places, members, tables,
                greedy, temperature, top_k, top_p, depth, keys, ids, logprobs, top_ids, top_logprobs,
            )  # fmt: skip
            over = not fine or atomic_load(interrupt, ZERO) != 0
            if fine:
                control[1] = step + 1
                for place in range(ends.shape[0]):
                    over = over or ids[step] == ends[place]
                new_ids[0, 0] = ids[step]
                for place in range(starts.shape[0]):
                    starts[place] = stop
            for operation in range(_COMPUTING):
                ns[step, operation] = times[operation]
                times[operation] = 0
            ns[step, _COMPUTING] = computed - began
            ns[step, _CHOOSING] = nanoseconds() - computed
            control[0] = not over
        barrier(cells, threads)
        if control[0] == 0:
            break
    barrier(cells, threads)


class BurstPass:
    """Bursts of one pass, `of`, for plain tokens: no adapters, no window, no earlier rows.

    For each token of the last burst, of which there are at most `most`: ids (most,), logprobs (most,), top_ids and
    top_logprobs (most, k), ns (most, operations + 2): each operation, computing all of it, choosing.
    """

    def __init__(
        self, model_pass: Pass, limit: int, unnamed: npt.NDArray[np.int64], k: int, most: int
    ) -> None:  # fmt: skip
        """limit: ids from there on are no tokens, nor are those of `unnamed`."""
        config = model_pass.parameters.config
        self.of = model_pass
        self._activations = Activations(config, 1, kept=False)
        self._logits = aligned(1, config.vocab_size)
        self._new, self._starts = np.zeros((1, 1), np.int32), np.zeros(len(STAGES), np.int64)
        self._room = (
            np.empty(limit, np.float32), np.empty((3, limit), np.float32), np.empty((2, limit), np.uint16),
            np.empty(limit, np.int32), np.empty((2, BINS + 1, 2 * LANES), np.float64),
        )  # fmt: skip
        self._unnamed = unnamed
        self._address = 0
        self.ids, self.logprobs = np.zeros(most, np.int64), np.zeros(most)
        self.top_ids, self.top_logprobs = np.zeros((most, k), np.int64), np.zeros((most, k))
        self.ns = np.zeros((most, len(OPERATIONS) + 2), np.int64)

    def run(
        self, id: int, position: int, cache: KVCache, use_table: bool,
        interrupt: npt.NDArray[np.int64], ends: npt.NDArray[np.int64],
        greedy: bool, filters: tuple[float, int, float, float], keys: npt.NDArray[np.uint64],
    ) -> int:  # fmt: skip
        """Write up to len(keys) tokens after `id`, the text's last, which stands at `position`: how many there are.

        The cache has room for all of them, and holds those before. filters: temperature, top_k, top_p and depth as
        `drawn` wants them; keys: of the draws; interrupt, ends: see `burst`. Raises SettingError.
        """
        steps = len(keys)
        self._new[0, 0] = id
        self._starts.fill(position)
        arguments = self.of.arguments(
            self._new, position + 1, self._starts, self._activations, self._logits, (0, 1),
            cache=cache, use_table=use_table,
        )  # fmt: skip
        if position + steps > cache.positions or steps > len(self.ids):
            raise SettingError(f"there is no room for {steps} tokens at position {position}")
        team, times, control = self.of.team, self.of.all_times, np.zeros(2, np.int64)
        if not self._address:
            self._address = address_of(forward, (0, 1, team.cells, *arguments))
        times.fill(0)
        team.run(
            burst, self._address, position, steps, control, interrupt, ends, self._unnamed, *self._room,
            greedy, *filters, keys, self.ids, self.logprobs, self.top_ids, self.top_logprobs, self.ns,
            self._new, self._starts, self._logits[0, : len(self._room[0])], times, *arguments,
        )  # fmt: skip
        return int(control[1])
