"""Softmax, cross-entropy and its gradient, in one pass over each row of logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.elementary import exp
from sg_core.kernels.jit import kernel
from sg_core.kernels.reductions import row_sum
from sg_core.kernels.simd import largest
from sg_core.kernels.team import share_start


@kernel
def exponentials(row: Any) -> Any:
    """row (V,) becomes exp(row - max), in place; returns log(sum(exp(row))) of what it was, as float64."""
    peak = largest(row, 0, row.shape[0])
    for i in range(row.shape[0]):
        row[i] = exp(row[i] - peak)
    return np.float64(peak) + np.log(np.float64(row_sum(row)))


@kernel
def cross_entropy_forward(
    losses: Any, logits: Any, targets: Any, first: int, rows: int, thread: int, threads: int
) -> None:
    """losses[first + m] (float64, nats) = -log softmax(logits (M, V))[targets[first + m]]; logits are used up."""
    for m in range(share_start(rows, thread, threads), share_start(rows, thread + 1, threads)):
        likelihood = np.float64(logits[m, targets[first + m]])
        losses[first + m] = exponentials(logits[m]) - likelihood


@kernel
def cross_entropy_backward(
    losses: Any, logits: Any, targets: Any, scale: Any, first: int, rows: int, thread: int, threads: int
) -> None:
    """As the forward pass, and logits become their gradient: scale * (softmax - one-hot)."""
    for m in range(share_start(rows, thread, threads), share_start(rows, thread + 1, threads)):
        row = logits[m]
        target = targets[first + m]
        likelihood = np.float64(row[target])
        losses[first + m] = exponentials(row) - likelihood
        share = scale / row_sum(row)
        for i in range(row.shape[0]):
            row[i] *= share
        row[target] -= scale
