"""The activation of the MLP: GELU (Hendrycks & Gimpel 2016) in its forms, and ReLU; computed, or read from a table.

| name | f(x) |
|---|---|
| gelu_new | GELU's tanh form, GPT-2's own: x / (1 + exp(-2u)), u = sqrt(2/pi)·(x + 0.044715·x³) |
| gelu | GELU itself: x·Phi(x), Phi the normal distribution function |
| quick_gelu | x / (1 + exp(-1.702·x)) |
| relu | max(x, 0) |

The table holds what f adds to max(x, 0), as fp16, for each of the 2^16 fp16 numbers: 128 KB. That difference is small
(GELU: at most 0.17) and vanishes for large |x|, so the error is below 1e-4 everywhere, against 4e-3 near x = 8 for a
table of GELU itself.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from sg_core.kernels.elementary import exp
from sg_core.kernels.jit import kernel
from sg_core.kernels.simd import constants, float32_of_half, half_bits
from sg_core.kernels.team import share_start

NAMES = ("gelu_new", "gelu", "quick_gelu", "relu")
GELU_TANH, GELU_ERF, QUICK_GELU, RELU = constants(4)  # what kernels are told: a place in NAMES

_CUBIC = np.float32(0.044715)
_TWICE_ROOT = np.float32(2.0 * np.sqrt(2.0 / np.pi))
_QUICK = np.float32(1.702)
_ROOT_HALF = np.float32(np.sqrt(0.5))
_DENSITY = np.float32(1.0 / np.sqrt(2.0 * np.pi))
_HALF, _ZERO, _ONE, _THREE = (np.float32(number) for number in (0.5, 0.0, 1.0, 3.0))
# erfc(z) = t·(c1 + t·(c2 + ...))·exp(-z²), t = 1 / (1 + p·z), z >= 0: Abramowitz & Stegun 7.1.26, error below 2e-7
_P = np.float32(0.3275911)
_C1, _C2, _C3 = np.float32(0.254829592), np.float32(-0.284496736), np.float32(1.421413741)
_C4, _C5 = np.float32(-1.453152027), np.float32(1.061405429)


@lru_cache(maxsize=len(NAMES))
def activation_table(name: str) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """(65536,) uint16: bits of fp16(f(x) - max(x, 0)) at the bits of each fp16 x; 0 where x is not finite."""
    with np.errstate(invalid="ignore"):  # of the NaNs, which ARM tells
        x = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
    x[~np.isfinite(x)] = 0.0
    if name == "gelu_new":
        u = np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)
        y = 0.5 * x * (1.0 + np.tanh(u))
    elif name == "gelu":
        y = 0.5 * x * np.array([math.erfc(-value) for value in x * math.sqrt(0.5)])
    elif name == "quick_gelu":
        y = x * 0.5 * (1.0 + np.tanh(0.851 * x))  # the logistic function of 1.702·x, without overflow
    else:
        y = np.maximum(x, 0.0)
    table: np.ndarray[Any, np.dtype[np.uint16]] = (y - np.maximum(x, 0.0)).astype(np.float16).view(np.uint16)
    return table


@kernel
def _normal(value: Any) -> Any:
    """The normal distribution function Phi(value)."""
    z = abs(value) * _ROOT_HALF
    t = _ONE / (_ONE + _P * z)
    tail = _HALF * t * (_C1 + t * (_C2 + t * (_C3 + t * (_C4 + t * _C5)))) * exp(-z * z)
    return tail if value < _ZERO else _ONE - tail


@kernel
def activation_forward(
    out: Any, x: Any, activation: int, table: Any, use_table: bool, start: int, stop: int, thread: int, threads: int
) -> None:
    """Rows start:stop of out (M, N) = f(x) (M, N), all numbers of these rows shared evenly."""
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
    elif activation == GELU_TANH:
        for i in range(last - first):
            value = source[i]
            target[i] = value / (_ONE + exp(-_TWICE_ROOT * (value + _CUBIC * value * value * value)))
    elif activation == GELU_ERF:
        for i in range(last - first):
            value = source[i]
            target[i] = value * _normal(value)
    elif activation == QUICK_GELU:
        for i in range(last - first):
            value = source[i]
            target[i] = value / (_ONE + exp(-_QUICK * value))
    else:
        for i in range(last - first):
            value = source[i]
            target[i] = _ZERO if value < _ZERO else value  # NaN stays NaN


@kernel
def activation_backward(dy: Any, x: Any, activation: int, rows: int, thread: int, threads: int) -> None:
    """dy (M, N) *= f'(x), of the computed form, in place."""
    N = x.shape[1]
    first, last = share_start(rows * N, thread, threads), share_start(rows * N, thread + 1, threads)
    source, gradient = x.reshape(-1)[first:last], dy.reshape(-1)[first:last]
    if activation == GELU_TANH:
        for i in range(last - first):
            value = source[i]
            gate = _ONE / (_ONE + exp(-_TWICE_ROOT * (value + _CUBIC * value * value * value)))
            slope = _TWICE_ROOT * (_ONE + _THREE * _CUBIC * value * value)
            gradient[i] *= gate + value * gate * (_ONE - gate) * slope
    elif activation == GELU_ERF:
        for i in range(last - first):
            value = source[i]
            gradient[i] *= _normal(value) + value * _DENSITY * exp(-_HALF * value * value)
    elif activation == QUICK_GELU:
        for i in range(last - first):
            value = source[i]
            gate = _ONE / (_ONE + exp(-_QUICK * value))
            gradient[i] *= gate + _QUICK * value * gate * (_ONE - gate)
    else:
        for i in range(last - first):
            gradient[i] *= _ONE if source[i] > _ZERO else _ZERO
