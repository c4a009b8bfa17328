"""Layer norm (Ba et al. 2016): y = (x - mean) / sqrt(var + eps) * weight + bias, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.jit import kernel
from sg_core.kernels.reductions import centred_products, centred_squares, row_dot, row_sum
from sg_core.kernels.team import share_start

_ONE = np.float32(1.0)


@kernel
def mean_and_scale(x: Any, epsilon: Any) -> Any:
    """Mean and 1/sqrt(variance + eps) of a row (C,), in two passes: no cancellation."""
    C = np.float32(x.shape[0])
    mean = row_sum(x) / C
    return mean, _ONE / np.sqrt(centred_squares(x, mean) / C + epsilon)


@kernel
def layernorm_forward(
    out: Any, x: Any, weight: Any, bias: Any, epsilon: Any, start: int, stop: int, thread: int, threads: int
) -> None:
    """Rows start:stop of out (M, C) from x (M, C), weight (C,), bias (C,)."""
    rows = stop - start
    for m in range(start + share_start(rows, thread, threads), start + share_start(rows, thread + 1, threads)):
        row, target = x[m], out[m]
        mean, scale = mean_and_scale(row, epsilon)
        for i in range(row.shape[0]):
            target[i] = (row[i] - mean) * scale * weight[i] + bias[i]


@kernel
def _backward_row(dx: Any, dy: Any, x: Any, weight: Any, mean: Any, scale: Any) -> None:
    """dx += gradient through one row: with g = dy*weight and n = (x - mean)*scale, scale*(g - avg(g) - n*avg(g*n))."""
    C = x.shape[0]
    g_mean = row_dot(dy, weight) / np.float32(C)
    gn_mean = centred_products(dy, weight, x, mean) * scale / np.float32(C)
    for i in range(C):
        dx[i] += scale * (dy[i] * weight[i] - g_mean - (x[i] - mean) * scale * gn_mean)


@kernel
def layernorm_backward_input(
    dx: Any, dy: Any, x: Any, weight: Any, statistics: Any, epsilon: Any, rows: int, thread: int, threads: int
) -> None:
    """dx (M, C) += gradient; statistics (M, 2) receives each row's mean and scale for the weights' gradients."""
    for m in range(share_start(rows, thread, threads), share_start(rows, thread + 1, threads)):
        mean, scale = mean_and_scale(x[m], epsilon)
        statistics[m, 0] = mean
        statistics[m, 1] = scale
        _backward_row(dx[m], dy[m], x[m], weight, mean, scale)


@kernel
def layernorm_backward_weight(
    dweight: Any, dbias: Any, dy: Any, x: Any, statistics: Any, rows: int, thread: int, threads: int
) -> None:
    """dweight (C,), dbias (C,) += sums over the rows, each thread a range of columns."""
    C = x.shape[1]
    c0, c1 = share_start(C, thread, threads), share_start(C, thread + 1, threads)
    weight_sums, bias_sums = dweight[c0:c1], dbias[c0:c1]
    for m in range(rows):
        mean, scale = statistics[m, 0], statistics[m, 1]
        gradient, row = dy[m, c0:c1], x[m, c0:c1]
        for i in range(c1 - c0):
            weight_sums[i] += gradient[i] * (row[i] - mean) * scale
            bias_sums[i] += gradient[i]
