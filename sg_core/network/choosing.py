"""The next tokens of several texts, each drawn from logits of its own, by a team of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core.kernels.drawing import BINS, LANES
from sg_core.kernels.jit import entry
from sg_core.kernels.team import Team, barrier, share_start
from sg_core.network.burst import chosen
from sg_core.types import FloatArray


@entry
def choose_rows(
    thread: int, threads: int, cells: Any, logits: Any, limit: int, unnamed: Any,
    room: Any, floats: Any, places: Any, members: Any, tables: Any,
    greedy: bool, temperature: float, top_k: int, top_p: float, depth: float, keys: Any,
    ids: Any, logprobs: Any, top_ids: Any, top_logprobs: Any, fine: Any,
) -> None:  # fmt: skip
    """A token for each row of logits (n, V), as `chosen` takes it; each thread has rows and memory of its own."""
    rows = keys.shape[0]
    for row in range(share_start(rows, thread, threads), share_start(rows, thread + 1, threads)):
        fine[row] = chosen(
            row, logits[row][:limit], unnamed, room[thread], floats[thread], places[thread], members[thread],
            tables[thread], greedy, temperature, top_k, top_p, depth, keys, ids, logprobs, top_ids, top_logprobs,
        )  # fmt: skip
    barrier(cells, threads)


class Choosing:
    """Memory for the choices of up to `most` texts, and those made last: ids, logprobs (most,), top_ids and
    top_logprobs (most, k)."""

    def __init__(self, threads: int, limit: int, unnamed: npt.NDArray[np.int64], k: int, most: int) -> None:
        self._limit, self._unnamed, self.threads = limit, unnamed, threads
        self._room = (
            np.empty((threads, limit), np.float32), np.empty((threads, 3, limit), np.float32),
            np.empty((threads, 2, limit), np.uint16), np.empty((threads, limit), np.int32),
            np.empty((threads, 2, BINS + 1, 2 * LANES), np.float64),
        )  # fmt: skip
        self.ids, self.logprobs = np.zeros(most, np.int64), np.zeros(most)
        self.top_ids, self.top_logprobs = np.zeros((most, k), np.int64), np.zeros((most, k))

    def run(
        self, team: Team, logits: FloatArray, greedy: bool, filters: tuple[float, int, float, float],
        keys: npt.NDArray[np.uint64],
    ) -> bool:  # fmt: skip
        """Choose a token for each of len(keys) rows of logits (n, V); False where some are not finite.

        team: of as many threads as there is memory for, or fewer. filters, keys: see `BurstPass.run`.
        """
        fine = np.zeros(len(keys), np.bool_)
        team.run(
            choose_rows, logits, self._limit, self._unnamed, *self._room, greedy, *filters, keys,
            self.ids, self.logprobs, self.top_ids, self.top_logprobs, fine,
        )  # fmt: skip
        return bool(fine.all())

    def told(self, row: int) -> tuple[int, float, tuple[tuple[int, float], ...]]:
        """The id, its log-probability and the likeliest of a row, as `Writer.take` wants them."""
        top = tuple(zip(self.top_ids[row].tolist(), self.top_logprobs[row].tolist(), strict=True))
        return int(self.ids[row]), float(self.logprobs[row]), top
