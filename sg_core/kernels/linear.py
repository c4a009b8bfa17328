"""y = x·Wᵀ + b, its gradients, and the plain matrix products under them. W is stored (N, K) = (out, in)."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.jit import kernel
from sg_core.kernels.simd import (
    DOT_COLUMNS,
    DOT_ROWS,
    LANES,
    OUTER_ROWS,
    OUTER_VECTORS,
    PANEL,
    dot_tile,
    outer_tile,
)
from sg_core.kernels.team import share_start

_K_BLOCK = 1024  # a dot is summed in blocks of this length: DOT_COLUMNS rows of W then fit the L1 cache
_M_BLOCK = 60  # rows of x that stay in the L2 cache while W streams past; a multiple of DOT_ROWS
_SUM_BLOCK = 256  # terms of an outer product added before the next panel: the panel then stays in the L2 cache

dot_full = dot_tile(DOT_ROWS, DOT_COLUMNS)
dot_row = dot_tile(1, DOT_COLUMNS)
dot_column = dot_tile(DOT_ROWS, 1)
dot_single = dot_tile(1, 1)
outer_full = outer_tile(OUTER_ROWS, OUTER_VECTORS)
outer_row = outer_tile(1, OUTER_VECTORS)
outer_narrow = outer_tile(OUTER_ROWS, 1)
outer_narrow_row = outer_tile(1, 1)
outer_single = outer_tile(1, 0)


@kernel
def _add_dots_of_row(out: Any, x: Any, w: Any, m: int, n0: int, n1: int) -> None:
    """out[m, n0:n1] += x[m]·w[n0:n1]ᵀ, read as DOT_COLUMNS far-apart streams: more of the memory bandwidth than one."""
    K = x.shape[1]
    N = out.shape[1]
    stream = (n1 - n0) // DOT_COLUMNS
    for n in range(n0, n0 + stream):
        for k in range(0, K, _K_BLOCK):
            length = min(_K_BLOCK, K - k)
            dot_row(x, m * K + k, 0, w, n * K + k, stream * K, length, out, m * N + n, 0, stream)
    for n in range(n0 + stream * DOT_COLUMNS, n1):
        for k in range(0, K, _K_BLOCK):
            dot_single(x, m * K + k, 0, w, n * K + k, 0, min(_K_BLOCK, K - k), out, m * N + n, 0, 0)


@kernel
def add_dots(out: Any, x: Any, w: Any, m0: int, m1: int, n0: int, n1: int) -> None:
    """out[m0:m1, n0:n1] += x[m0:m1]·w[n0:n1]ᵀ. (M, N), (M, K), (N, K)."""
    if m1 - m0 < DOT_ROWS:
        for m in range(m0, m1):
            _add_dots_of_row(out, x, w, m, n0, n1)
        return
    K = x.shape[1]
    N = out.shape[1]
    n_full = n0 + (n1 - n0) // DOT_COLUMNS * DOT_COLUMNS
    for m_block in range(m0, m1, _M_BLOCK):
        m_end = min(m_block + _M_BLOCK, m1)
        m_full = m_block + (m_end - m_block) // DOT_ROWS * DOT_ROWS
        for k in range(0, K, _K_BLOCK):
            length = min(_K_BLOCK, K - k)
            for n in range(n0, n_full, DOT_COLUMNS):
                for m in range(m_block, m_full, DOT_ROWS):
                    dot_full(x, m * K + k, K, w, n * K + k, K, length, out, m * N + n, N, 1)
                for m in range(m_full, m_end):
                    dot_row(x, m * K + k, K, w, n * K + k, K, length, out, m * N + n, N, 1)
            for n in range(n_full, n1):
                for m in range(m_block, m_full, DOT_ROWS):
                    dot_column(x, m * K + k, K, w, n * K + k, K, length, out, m * N + n, N, 1)
                for m in range(m_full, m_end):
                    dot_single(x, m * K + k, K, w, n * K + k, K, length, out, m * N + n, N, 1)


@kernel
def add_outer(
    out: Any, out0: int, out_stride: int, a: Any, a0: int, a_row: int, a_k: int, b: Any, b0: int, b_stride: int,
    rows: int, columns: int, terms: int,
) -> None:  # fmt: skip
    """out[m, n] += sum over i < terms of a[m, i]·b[i, n] for m < rows, n < columns; places and strides count floats."""
    m_full = rows // OUTER_ROWS * OUTER_ROWS
    n_panel = columns // PANEL * PANEL
    n_vector = columns // LANES * LANES
    for i in range(0, terms, _SUM_BLOCK):
        count = min(_SUM_BLOCK, terms - i)
        ai = a0 + i * a_k
        bi = b0 + i * b_stride
        for n in range(0, n_panel, PANEL):
            for m in range(0, m_full, OUTER_ROWS):
                outer_full(
                    a,
                    ai + m * a_row,
                    a_row,
                    a_k,
                    b,
                    bi + n,
                    b_stride,
                    count,
                    out,
                    out0 + m * out_stride + n,
                    out_stride,
                )
            for m in range(m_full, rows):
                outer_row(
                    a,
                    ai + m * a_row,
                    a_row,
                    a_k,
                    b,
                    bi + n,
                    b_stride,
                    count,
                    out,
                    out0 + m * out_stride + n,
                    out_stride,
                )
        for n in range(n_panel, n_vector, LANES):
            for m in range(0, m_full, OUTER_ROWS):
                outer_narrow(
                    a,
                    ai + m * a_row,
                    a_row,
                    a_k,
                    b,
                    bi + n,
                    b_stride,
                    count,
                    out,
                    out0 + m * out_stride + n,
                    out_stride,
                )
            for m in range(m_full, rows):
                outer_narrow_row(
                    a,
                    ai + m * a_row,
                    a_row,
                    a_k,
                    b,
                    bi + n,
                    b_stride,
                    count,
                    out,
                    out0 + m * out_stride + n,
                    out_stride,
                )
        for m in range(rows):
            for n in range(n_vector, columns):
                outer_single(
                    a,
                    ai + m * a_row,
                    a_row,
                    a_k,
                    b,
                    bi + n,
                    b_stride,
                    count,
                    out,
                    out0 + m * out_stride + n,
                    out_stride,
                )


@kernel
def linear_forward(out: Any, x: Any, weight: Any, bias: Any, start: int, stop: int, thread: int, threads: int) -> None:
    """Rows start:stop of out (M, N) = x (M, K)·weightᵀ (N, K) + bias (N,); an empty bias counts as zeros."""
    N = weight.shape[0]
    n0, n1 = share_start(N, thread, threads), share_start(N, thread + 1, threads)
    for m in range(start, stop):
        if bias.shape[0]:
            out[m, n0:n1] = bias[n0:n1]
        else:
            out[m, n0:n1] = np.float32(0.0)
    add_dots(out, x, weight, start, stop, n0, n1)


@kernel
def linear_backward_input(dx: Any, dy: Any, weight: Any, rows: int, thread: int, threads: int) -> None:
    """dx (M, K) = dy (M, N)·weight (N, K), each thread a range of columns."""
    N, K = weight.shape
    k0, k1 = share_start(K, thread, threads), share_start(K, thread + 1, threads)
    for m in range(rows):
        dx[m, k0:k1] = np.float32(0.0)
    add_outer(dx, k0, K, dy, 0, N, 1, weight, k0, K, rows, k1 - k0, N)


@kernel
def linear_backward_weight(dweight: Any, dbias: Any, dy: Any, x: Any, rows: int, thread: int, threads: int) -> None:
    """dweight (N, K) += dyᵀ (N, M)·x (M, K) and dbias (N,) += column sums of dy, each thread a range of N."""
    N, K = dweight.shape
    n0, n1 = share_start(N, thread, threads), share_start(N, thread + 1, threads)
    add_outer(dweight, n0 * K, K, dy, n0, 1, N, x, 0, K, n1 - n0, K, rows)
    if dbias.shape[0]:
        sums = dbias[n0:n1]
        for m in range(rows):
            row = dy[m, n0:n1]
            for n in range(n1 - n0):
                sums[n] += row[n]
