"""What a row of logits says of the token that came: its log-probability and rank, the entropy, what was likelier."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.elementary import exp
from sg_core.kernels.jit import kernel
from sg_core.kernels.ranking import select
from sg_core.kernels.reductions import dot_float64, shifted_dot_float64, sum_float64
from sg_core.kernels.simd import ZERO, count_above, count_at_least, largest
from sg_core.kernels.team import share_start


@kernel
def rank_of(logits: Any, target: Any) -> Any:
    """The place of a token among the logits (V,), 1 for the highest; of equal ones the lowest id comes first."""
    value = logits[target]
    before = count_at_least(logits, ZERO, target, value)
    return before + count_above(logits, target + 1, logits.shape[0], value) + 1


@kernel
def surprise_forward(
    logprobs: Any, ranks: Any, entropies: Any, marked: Any, top_ids: Any, top_logprobs: Any,
    logits: Any, targets: Any, marks: Any, room: Any, first: int, rows: int, thread: int, threads: int,
) -> None:  # fmt: skip
    """For each of `rows` rows of logits (R, V), of which row m stands for place first + m of what is written:

    logprobs (M,) float64 nats and ranks (M,) int64 of targets (M,); entropies (M,) float64 nats; top_ids (M, k) int64
    and top_logprobs (M, k) float64, the likeliest first; marked (M,) float64, the log-probability of all tokens whose
    marks (V,) float32 are 1, where there are marks. room (V,) float32 is this thread's. Sums are made in float64.
    """
    V = logits.shape[1]
    for m in range(share_start(rows, thread, threads), share_start(rows, thread + 1, threads)):
        row, place = logits[m], first + m
        peak = largest(row, 0, V)
        for i in range(V):
            room[i] = exp(row[i] - peak)
        total = sum_float64(room)
        log_total = np.log(total)
        shift = np.float64(peak) + log_total
        logprobs[place] = np.float64(row[targets[place]]) - shift
        ranks[place] = rank_of(row, targets[place])
        entropies[place] = log_total - shifted_dot_float64(room, row, peak) / total
        if marks.shape[0]:
            marked[place] = np.log(dot_float64(room, marks)) - log_total
        select(top_ids[place], top_logprobs[place], row)
        for n in range(top_ids.shape[1]):
            top_logprobs[place, n] -= shift
