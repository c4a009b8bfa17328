"""How far two distributions lie apart, from their logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.elementary import exp
from sg_core.kernels.jit import entry
from sg_core.kernels.reductions import shifted_dot_float64, sum_float64
from sg_core.kernels.simd import largest
from sg_core.kernels.team import barrier, share_start


@entry
def divergence_forward(
    thread: int, threads: int, cells: Any, divergences: Any, logits: Any, others: Any, room: Any
) -> None:
    """divergences (M,) float64: Kullback-Leibler divergence, nats, of the distribution of a row of logits (M, V) from
    that of the same row of others (M, V), sum of p·(log p - log q). room (threads, V) float32. Sums are in float64."""
    M, V = logits.shape
    mine = room[thread]
    for m in range(share_start(M, thread, threads), share_start(M, thread + 1, threads)):
        row, other = logits[m], others[m]
        peak, other_peak = largest(row, 0, V), largest(other, 0, V)
        for i in range(V):
            mine[i] = exp(other[i] - other_peak)
        other_total = sum_float64(mine)
        for i in range(V):
            mine[i] = exp(row[i] - peak)
        total = sum_float64(mine)
        # sum of p·((a - peak) - (b - other peak)), less the difference of the logarithms of the sums
        apart = shifted_dot_float64(mine, row, peak) - shifted_dot_float64(mine, other, other_peak)
        divergences[m] = apart / total - (np.log(total) - np.log(other_total))
    barrier(cells, threads)
