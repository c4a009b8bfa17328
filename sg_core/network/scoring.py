"""What a model thought of each token of a sequence, from the activations of a pass: logits are made in pieces."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sg_core.kernels.jit import entry
from sg_core.kernels.surprise import surprise_forward
from sg_core.kernels.team import barrier
from sg_core.network.backward import unembed

Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]


class RowScores(NamedTuple):
    """Of M rows: logprobs, entropies and marked (M,) float64, ranks (M,) int64, top_ids and top_logprobs (M, k).

    See `kernels.surprise`.
    """

    logprobs: Doubles
    ranks: Longs
    entropies: Doubles
    marked: Doubles
    top_ids: Longs
    top_logprobs: Doubles

    @classmethod
    def empty(cls, rows: int, top: int) -> RowScores:
        """Room for so many rows."""
        one = (np.empty(rows), np.empty(rows, np.int64), np.empty(rows), np.empty(rows))
        return cls(*one, np.empty((rows, top), np.int64), np.empty((rows, top)))

    def before(self, stop: int) -> RowScores:
        """The first rows alone."""
        return RowScores._make(array[:stop] for array in self)


@entry
def scores_forward(
    thread: int, threads: int, cells: Any, logprobs: Any, ranks: Any, entropies: Any, marked: Any, top_ids: Any,
    top_logprobs: Any, final: Any, words: Any, place: int, stored: int, scales: Any, group_size: int, panels: Any,
    targets: Any, marks: Any, logits: Any, room: Any,
) -> None:  # fmt: skip
    """Fill the arrays of RowScores from final (M, C) and targets (M,) int32; logits (R, V) is room for R rows at a
    time, room (threads, V) float32 for the threads. marks (V,) float32 or empty."""
    M, R = final.shape[0], logits.shape[0]
    for first in range(0, M, R):
        rows = min(R, M - first)
        some = final[first : first + rows]
        unembed(logits, some, words, place, stored, scales, group_size, panels[thread], rows, thread, threads)
        barrier(cells, threads)
        surprise_forward(
            logprobs, ranks, entropies, marked, top_ids, top_logprobs, logits, targets, marks, room[thread],
            first, rows, thread, threads,
        )  # fmt: skip
        barrier(cells, threads)
