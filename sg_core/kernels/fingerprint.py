"""A number that changes with an array: to notice that somebody has edited it."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.jit import entry

_ODD = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)


@entry
def fingerprint(bits: Any) -> Any:
    """uint64 of (n,) uint32: each number times an odd factor of its place, added; one changed number always shows."""
    total = np.uint64(0)
    for i in range(bits.shape[0]):
        total += np.uint64(bits[i]) * (np.uint64(i) * _ODD | _ONE)
    return total
