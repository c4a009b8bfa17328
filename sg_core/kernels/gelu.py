"""GELU (Hendrycks & Gimpel 2016) in GPT-2's tanh form, computed or read from a table.

0.5·x·(1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2/pi)·(x + 0.044715·x³).

The table holds what GELU adds to max(x, 0), as fp16, for each of the 2^16 fp16 numbers: 128 KB. That difference is
small (at most 0.17) and vanishes for large |x|, so the error is below 1e-4 everywhere, against 4e-3 near x = 8 for a
table of GELU itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.elementary import exp
from sg_core.kernels.jit import kernel
from sg_core.kernels.simd import float32_of_half, half_bits
from sg_core.kernels.team import share_start

_CUBIC = np.float32(0.044715)
_TWICE_ROOT = np.float32(2.0 * np.sqrt(2.0 / np.pi))
_THREE = np.float32(3.0)
_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)


def gelu_table() -> np.ndarray[Any, np.dtype[np.uint16]]:
    """(65536,) uint16: bits of fp16(gelu(x) - max(x, 0)) at the bits of each fp16 x; 0 where x is not finite."""
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
    x[~np.isfinite(x)] = 0.0
    u = np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)
    table: np.ndarray[Any, np.dtype[np.uint16]] = (
        (0.5 * x * (1.0 + np.tanh(u)) - np.maximum(x, 0.0)).astype(np.float16).view(np.uint16)
    )
    return table


@kernel
def gelu_forward(
    out: Any, x: Any, table: Any, use_table: bool, start: int, stop: int, thread: int, threads: int
) -> None:
    """Rows start:stop of out (M, N) = gelu(x) (M, N), all numbers of these rows shared evenly."""
    N = x.shape[1]
    flat_x, flat_out = x.reshape(-1), out.reshape(-1)
    count = (stop - start) * N
    first = start * N + share_start(count, thread, threads)
    last = start * N + share_start(count, thread + 1, threads)
    source, target = flat_x[first:last], flat_out[first:last]
    if use_table:
        for i in range(last - first):
            value = source[i]
            target[i] = max(value, _ZERO) + float32_of_half(table[half_bits(value)])
    else:
        for i in range(last - first):
            value = source[i]
            target[i] = value / (_ONE + exp(-_TWICE_ROOT * (value + _CUBIC * value * value * value)))


@kernel
def gelu_backward(dy: Any, x: Any, rows: int, thread: int, threads: int) -> None:
    """dy (M, N) *= gelu'(x), of the computed form, in place."""
    N = x.shape[1]
    first, last = share_start(rows * N, thread, threads), share_start(rows * N, thread + 1, threads)
    source, gradient = x.reshape(-1)[first:last], dy.reshape(-1)[first:last]
    for i in range(last - first):
        value = source[i]
        gate = _ONE / (_ONE + exp(-_TWICE_ROOT * (value + _CUBIC * value * value * value)))
        slope = _TWICE_ROOT * (_ONE + _THREE * _CUBIC * value * value)
        gradient[i] *= gate + value * gate * (_ONE - gate) * slope
