"""Softmax, cross-entropy and its gradient, in one pass over each row of logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.elementary import exp
from sg_core.kernels.jit import row_kernel
from sg_core.kernels.simd import largest
from sg_core.kernels.team import share_start


@row_kernel
def log_sum_exp(logits: Any) -> Any:
    """log(sum(exp(logits))) of (V,) float32, as float64."""
    peak = largest(logits, 0, logits.shape[0])
    total = np.float32(0.0)
    for i in range(logits.shape[0]):
        total += exp(logits[i] - peak)
    return np.float64(peak) + np.log(np.float64(total))


@row_kernel
def cross_entropy_forward(
    losses: Any, logits: Any, targets: Any, first: int, rows: int, thread: int, threads: int
) -> None:
    """losses[first + m] (float64, nats) = -log softmax(logits (M, V))[targets[first + m]]."""
    for m in range(share_start(rows, thread, threads), share_start(rows, thread + 1, threads)):
        losses[first + m] = log_sum_exp(logits[m]) - np.float64(logits[m, targets[first + m]])


@row_kernel
def cross_entropy_backward(
    losses: Any, logits: Any, targets: Any, scale: Any, first: int, rows: int, thread: int, threads: int
) -> None:
    """As the forward pass, and logits become their gradient: scale * (softmax - one-hot)."""
    for m in range(share_start(rows, thread, threads), share_start(rows, thread + 1, threads)):
        row = logits[m]
        target = targets[first + m]
        total = log_sum_exp(row)
        losses[first + m] = total - np.float64(row[target])
        offset = np.float32(total)
        for i in range(row.shape[0]):
            row[i] = scale * exp(row[i] - offset)
        row[target] -= scale
