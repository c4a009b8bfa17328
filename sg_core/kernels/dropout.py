"""Dropout (Srivastava et al. 2014) from a counter: a mask is a pure function of a key and a place, never stored.

The backward pass asks for the same mask again, and no thread or batch order can change it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.jit import kernel
from sg_core.kernels.team import share_start

_WEYL = np.uint32(0x9E3779B9)
_MIX_1 = np.uint32(0x85EBCA6B)
_MIX_2 = np.uint32(0xC2B2AE35)
_ZERO = np.float32(0.0)


@kernel
def mix(key: Any, counter: Any) -> Any:
    """32 well-mixed bits of two uint32 (the finalizer of MurmurHash3, Appleby 2011, on a Weyl sequence)."""
    h = np.uint32(np.uint32(counter) * _WEYL) ^ np.uint32(key)
    h = np.uint32(h ^ np.uint32(h >> np.uint32(16)))
    h = np.uint32(h * _MIX_1)
    h = np.uint32(h ^ np.uint32(h >> np.uint32(13)))
    h = np.uint32(h * _MIX_2)
    return np.uint32(h ^ np.uint32(h >> np.uint32(16)))


@kernel
def dropout_threshold(rate: Any) -> Any:
    """A place is kept when its 32 bits are at least this."""
    return np.uint32(rate * 4294967295.0)


@kernel
def dropout(out: Any, x: Any, rate: Any, key: Any, rows: int, thread: int, threads: int) -> None:
    """out (M, N) = x (M, N) with each number kept with probability 1 - rate and divided by it; out may be x.

    It is its own backward pass: apply it to the gradient with the same key.
    """
    N = x.shape[1]
    flat_x, flat_out = x.reshape(-1), out.reshape(-1)
    threshold = dropout_threshold(rate)
    scale = np.float32(1.0 / (1.0 - rate))
    for i in range(share_start(rows * N, thread, threads), share_start(rows * N, thread + 1, threads)):
        kept = mix(key, np.uint32(i)) >= threshold
        flat_out[i] = flat_x[i] * scale if kept else _ZERO
