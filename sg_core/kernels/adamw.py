"""AdamW (Loshchilov & Hutter 2019), and the global gradient norm, each in one pass over the arena."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.jit import kernel
from sg_core.kernels.reductions import squares_float64
from sg_core.kernels.team import share_start

NORM_BLOCK = 1 << 16  # numbers summed together; the blocks are then added in order, whatever the threads


@kernel
def block_squares(sums: Any, values: Any, thread: int, threads: int) -> None:
    """sums[i] (float64) = sum of squares of the i-th block of NORM_BLOCK numbers."""
    for block in range(thread, sums.shape[0], threads):
        start = block * NORM_BLOCK
        sums[block] = squares_float64(values[start : min(start + NORM_BLOCK, values.shape[0])])


@kernel
def adamw(
    parameters: Any, gradients: Any, first: Any, second: Any, decayed: int, learning_rate: Any, beta1: Any, beta2: Any,
    epsilon: Any, decay: Any, step: int, gradient_scale: Any, thread: int, threads: int,
) -> None:  # fmt: skip
    """One update of flat float32 arenas; `step` counts from 1. The first `decayed` numbers (the matrices) decay.

    `gradient_scale` multiplies the gradients first (clipping); they are zero afterwards, ready for the next step.
    """
    count = parameters.shape[0]
    one = np.float32(1.0)
    b1, b2 = np.float32(beta1), np.float32(beta2)
    rest1, rest2 = np.float32(1.0 - beta1), np.float32(1.0 - beta2)
    root_correction = np.float32(1.0 / np.sqrt(1.0 - beta2**step))
    rate = np.float32(learning_rate / (1.0 - beta1**step))
    scale, small = np.float32(gradient_scale), np.float32(epsilon)
    shrink = np.float32(1.0 - learning_rate * decay)
    start, stop = share_start(count, thread, threads), share_start(count, thread + 1, threads)
    for part in range(2):
        lower = max(start, 0 if part == 0 else decayed)
        upper = min(stop, decayed if part == 0 else count)
        keep = shrink if part == 0 else one
        upper = max(lower, upper)
        p, dp, m, v = parameters[lower:upper], gradients[lower:upper], first[lower:upper], second[lower:upper]
        for i in range(upper - lower):
            g = dp[i] * scale
            m_new = b1 * m[i] + rest1 * g
            v_new = b2 * v[i] + rest2 * g * g
            dp[i] = np.float32(0.0)
            m[i] = m_new
            v[i] = v_new
            p[i] = p[i] * keep - rate * m_new / (np.sqrt(v_new) * root_correction + small)
