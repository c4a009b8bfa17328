"""exp as a polynomial, so that loops over it become vector code (the C library's exp is a call a number)."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.jit import kernel
from sg_core.kernels.reductions import row_sum
from sg_core.kernels.simd import float32_of_bits, largest

_LOG2_E = np.float32(1.44269504088896341)
_LN2_HIGH = np.float32(0.693359375)  # exactly representable, so that n * _LN2_HIGH has no rounding error
_LN2_LOW = np.float32(-2.12194440e-4)
_LOWEST, _HIGHEST = np.float32(-87.33), np.float32(88.37)
_HALF, _ONE = np.float32(0.5), np.float32(1.0)
# Coefficients of Cephes' expf (Moshier), relative error below 2e-7 on [-ln2/2, ln2/2].
_P0, _P1, _P2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_P3, _P4, _P5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


@kernel
def exp(x: Any) -> Any:
    """e^x of a float32, relative error below 2e-7; arguments beyond float32's range are clipped, NaN stays NaN."""
    x = _LOWEST if x < _LOWEST else x  # written so that NaN passes through
    x = _HIGHEST if x > _HIGHEST else x
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5
    return (p * r * r + r + _ONE) * float32_of_bits(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))


@kernel
def softmax_row(row: Any, scale: Any) -> None:
    """row = softmax(scale * row) in place, (n,) float32, scale > 0."""
    peak = largest(row, 0, row.shape[0])
    for i in range(row.shape[0]):
        row[i] = exp((row[i] - peak) * scale)
    inverse = _ONE / row_sum(row)
    for i in range(row.shape[0]):
        row[i] *= inverse
