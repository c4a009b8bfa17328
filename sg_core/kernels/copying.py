"""Copies a vector at a time: to assign a slice to a slice takes Numba four times as long."""

from __future__ import annotations

from typing import Any

from sg_core.kernels.formats import FORMATS
from sg_core.kernels.jit import kernel
from sg_core.kernels.simd import ZERO
from sg_core.kernels.tiles import expansion

_expand_float32 = expansion(FORMATS[0])


@kernel
def copy(out: Any, out0: int, x: Any, x0: int, count: int) -> None:
    """out[out0:][:count] = x[x0:][:count], flat float32 arrays."""
    _expand_float32(out, out0, x, x0, x, ZERO, count)
