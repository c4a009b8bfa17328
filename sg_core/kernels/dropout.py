"""Dropout (Srivastava et al. 2014) from a counter: a mask is a pure function of a key and a place, never stored.

The backward pass asks for the same mask again, and no thread or batch order can change it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.copying import copy
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
def drop_range(values: Any, rate: Any, key: Any, place: int) -> None:
    """In place on (n,) float32 numbers, the first having the counter `place`.

    Each is kept with probability 1 - rate and divided by it, else it becomes 0.
    """
    threshold = dropout_threshold(rate)
    scale = np.float32(1.0 / (1.0 - rate))
    counter = np.uint32(place)
    for i in range(values.shape[0]):
        kept = mix(key, counter + np.uint32(i)) >= threshold
        values[i] = values[i] * scale if kept else _ZERO


@kernel
def dropout(x: Any, rate: Any, key: Any, rows: int, thread: int, threads: int) -> None:
    """In place on the first rows of x (M, N). Applied to the gradient with the same key it is its own backward pass."""
    count = rows * x.shape[1]
    first, last = share_start(count, thread, threads), share_start(count, thread + 1, threads)
    drop_range(x.reshape(-1)[first:last], rate, key, first)


@kernel
def dropout_of(out: Any, x: Any, rate: Any, key: Any, rows: int, thread: int, threads: int) -> None:
    """As `dropout`, but x (M, N) stays and the result goes to out (M, N), another array."""
    count = rows * x.shape[1]
    first, last = share_start(count, thread, threads), share_start(count, thread + 1, threads)
    target = out.reshape(-1)
    copy(target, first, x.reshape(-1), first, last - first)
    drop_range(target[first:last], rate, key, first)
