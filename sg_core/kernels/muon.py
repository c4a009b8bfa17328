"""Muon (Jordan 2024): momentum, made orthogonal by Newton and Schulz's iteration, as the step of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.formats import FLOAT32
from sg_core.kernels.jit import kernel
from sg_core.kernels.linear import linear_backward_input, linear_forward
from sg_core.kernels.reductions import squares_float64
from sg_core.kernels.simd import ONE, ZERO
from sg_core.kernels.team import barrier, share_start

_STEPS = 5
_A, _B, _C = np.float32(3.4445), np.float32(-4.7750), np.float32(2.0315)  # of the quintic, steep at 0
_SMALL = 1e-7
_RATE = 0.2  # times the root of the longer side: a step as large as one of AdamW (Liu et al. 2025)


@kernel
def orthogonalize(
    thread: int, threads: int, cells: Any, x: Any, gram: Any, polynomial: Any, next_x: Any, sums: Any, room: Any
) -> None:  # fmt: skip
    """x (n, m), n <= m, becomes about the nearest matrix with orthonormal rows: its singular values go to about 1.

    Scratch: gram, polynomial (n, n), next_x (n, m), sums (n,) float64, room as `linear_backward_input` wants it.
    """
    n, m = x.shape
    first, last = share_start(n, thread, threads), share_start(n, thread + 1, threads)
    for i in range(first, last):
        sums[i] = squares_float64(x[i])
    barrier(cells, threads)
    total = 0.0
    for i in range(n):
        total += sums[i]
    shrink = np.float32(1.0 / (np.sqrt(total) + _SMALL))
    for i in range(first, last):
        for j in range(m):
            x[i, j] *= shrink
    barrier(cells, threads)
    flat, flat_gram = x.reshape(-1), gram.reshape(-1)
    none = flat[0:0]
    for _ in range(_STEPS):
        linear_forward(gram, x, flat, ZERO, FLOAT32, none, ONE, none, none, ZERO, n, thread, threads)  # x·xᵀ
        barrier(cells, threads)
        linear_forward(polynomial, gram, flat_gram, ZERO, FLOAT32, none, ONE, none, none, ZERO, n, thread, threads)
        barrier(cells, threads)
        for i in range(first, last):
            for j in range(n):
                polynomial[i, j] = _B * gram[i, j] + _C * polynomial[i, j]
        barrier(cells, threads)
        linear_backward_input(next_x, polynomial, x, n, room, thread, threads)  # polynomial·x
        barrier(cells, threads)
        for i in range(first, last):
            for j in range(m):
                x[i, j] = _A * x[i, j] + next_x[i, j]
        barrier(cells, threads)


@kernel
def muon(
    thread: int, threads: int, cells: Any, weight: Any, gradient: Any, momentum: Any, rate: Any, beta: Any, decay: Any,
    gradient_scale: Any, x: Any, gram: Any, polynomial: Any, next_x: Any, sums: Any, room: Any,
) -> None:  # fmt: skip
    """One update of a matrix (N, K), with Nesterov's momentum. Scratch as `orthogonalize` wants it, n the shorter side.

    `gradient_scale` multiplies the gradient first (clipping); it is zero afterwards, ready for the next step.
    """
    N, K = weight.shape
    tall = N > K
    keep, rest, scale = np.float32(beta), np.float32(1.0 - beta), np.float32(gradient_scale)
    first, last = share_start(N, thread, threads), share_start(N, thread + 1, threads)
    for i in range(first, last):
        for j in range(K):
            g = gradient[i, j] * scale
            average = keep * momentum[i, j] + rest * g
            momentum[i, j] = average
            gradient[i, j] = np.float32(0.0)
            ahead = rest * g + keep * average
            if tall:
                x[j, i] = ahead
            else:
                x[i, j] = ahead
    barrier(cells, threads)
    orthogonalize(thread, threads, cells, x, gram, polynomial, next_x, sums, room)
    shrink = np.float32(1.0 - rate * decay)
    step = np.float32(rate * _RATE * np.sqrt(np.float64(max(N, K))))
    for i in range(first, last):
        for j in range(K):
            moved = x[j, i] if tall else x[i, j]
            weight[i, j] = weight[i, j] * shrink - step * moved
    barrier(cells, threads)
