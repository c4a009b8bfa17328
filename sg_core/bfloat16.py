"""bfloat16: the upper half of a float32, as models store and sessions read it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sg_core.types import FloatArray


def to_bfloat16(values: FloatArray) -> npt.NDArray[np.uint16]:
    """Bits of the nearest bfloat16 of each float32 number, ties to even; a NaN stays one."""
    bits = values.view(np.uint32)
    rounded: npt.NDArray[np.uint16] = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    nan = np.isnan(values)
    if nan.any():  # rounding could carry it to an infinity or to zero; it is cut instead and marked quiet
        rounded[nan] = (bits[nan] >> 16) | 0x40
    return rounded


def from_bfloat16(bits: npt.NDArray[np.uint16]) -> FloatArray:
    """The float32 numbers that bfloat16 bits stand for."""
    wide = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)
