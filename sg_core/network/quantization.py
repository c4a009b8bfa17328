"""float32 numbers rounded to 8 or 4 bits, groups of neighbours with a scale in common."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sg_core.kernels.simd import LANES
from sg_core.types import Bytes, FloatArray


def to_int8(groups: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """(n, share) numbers -> q (n, share) in -127..127 and scales (n,); each number is worth q * scale."""
    scales = np.abs(groups).max(axis=1) / np.float32(127.0)
    steps = np.where(scales > 0, scales, np.float32(1.0))
    with np.errstate(invalid="ignore"):  # of damaged weights the scale tells
        return np.rint(groups / steps[:, None]).astype(np.int8), scales


def to_int4(groups: FloatArray) -> tuple[Bytes, FloatArray]:
    """(n, 32) numbers -> packed bytes (16 n,) and scales (n,); a number is worth (q - 8) * scale, q in 0..15.

    Of several scales around that which puts the number of largest size at -8, the one with the least squared error. A
    group with a number that is not finite has a scale that is not: what it is multiplied with tells.
    """
    places = np.arange(len(groups))
    extreme = groups[places, np.abs(groups).argmax(axis=1)]  # NaN where there is one
    best_error = np.full(len(groups), np.inf, np.float32)
    best_scales = np.zeros(len(groups), np.float32)
    best = np.full(groups.shape, 8, np.uint8)
    with np.errstate(invalid="ignore"):
        for divisor in (-8.0, -7.0, -9.0, -7.5, -8.5):
            scales = (extreme / np.float32(divisor)).astype(np.float32)
            steps = np.where(scales != 0, scales, np.float32(1.0))
            q = np.clip(np.rint(groups / steps[:, None]) + 8, 0, 15).astype(np.uint8)
            error = np.square((q.astype(np.float32) - 8) * scales[:, None] - groups).sum(axis=1)
            better = error < best_error
            best_error[better], best_scales[better], best[better] = error[better], scales[better], q[better]
    best_scales[~np.isfinite(extreme)] = np.nan
    pairs = best.reshape(-1, 2, LANES)  # what one step of a dot reads: the low halves first
    packed: Bytes = (pairs[:, 0] | (pairs[:, 1] << 4)).astype(np.uint8).reshape(-1)
    return packed, best_scales


def from_int4(packed: Bytes, scales: FloatArray) -> FloatArray:
    """The numbers (n, 32) that packed bytes (16 n,) and scales (n,) are worth."""
    pairs = packed.reshape(-1, LANES)
    levels = np.stack([pairs & 15, pairs >> 4], axis=1).reshape(len(scales), -1)
    return (levels.astype(np.float32) - 8) * scales[:, None]
