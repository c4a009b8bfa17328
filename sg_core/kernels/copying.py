"""Copies: a vector at a time (to assign a slice to a slice takes Numba four times as long), and transposed."""

from __future__ import annotations

from typing import Any

from sg_core.kernels.formats import FORMATS
from sg_core.kernels.jit import kernel
from sg_core.kernels.simd import ZERO
from sg_core.kernels.tiles import LINE, expansion

_expand_float32 = expansion(FORMATS[0])


@kernel
def copy(out: Any, out0: int, x: Any, x0: int, count: int) -> None:
    """out[out0:][:count] = x[x0:][:count], flat float32 arrays."""
    _expand_float32(out, out0, x, x0, x, ZERO, count)


def row_stride(columns: int) -> int:
    """Floats from one row to the next of a matrix that is read across its rows: whole cache lines, and so vectors.

    A multiple of 1 KiB is avoided, or the rows would crowd each other out of the first cache: attention over 256
    positions took a third longer.
    """
    stride = (columns + LINE - 1) // LINE * LINE
    return stride + LINE if stride % 256 == 0 else stride


stride_of = kernel(row_stride)


@kernel
def transpose(out: Any, out_stride: int, flat: Any, place: int, stride: int, rows: int, columns: int) -> None:
    """out (columns, rows), flat, = the transpose of (rows, columns) at `place`; both with their strides."""
    for r in range(rows):
        row = flat[place + r * stride : place + r * stride + columns]
        target = out[r:]
        for c in range(columns):
            target[c * out_stride] = row[c]
