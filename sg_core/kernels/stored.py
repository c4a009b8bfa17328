"""dx = dy·W for a weight in any storage: the way back through a base that learns nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload as _overload

from sg_core.kernels.blocked import add_blocked
from sg_core.kernels.formats import BFLOAT16, FORMATS
from sg_core.kernels.jit import kernel
from sg_core.kernels.products import SUM_BLOCK
from sg_core.kernels.simd import ONE, ZERO, apart
from sg_core.kernels.team import share_start
from sg_core.kernels.tiles import expansion

overload: Any = _overload  # Numba does not annotate it

_COLUMNS = 512  # of W expanded at once, SUM_BLOCK rows of each: they stay in the L2 cache
STORED_ROOM = SUM_BLOCK * _COLUMNS  # float32 numbers of a thread's room for them

_expand_bfloat16, _expand_int8 = (expansion(stored) for stored in FORMATS[1:3])


@kernel
def _expand_piece(
    panel: Any, start: int, words: Any, first: int, stored: int, scales: Any, share: int, count: int
) -> None:
    """panel[start:][:count] = the numbers of `words` from `first` on, of one row; `share` have a scale in common."""
    if stored == BFLOAT16:
        _expand_bfloat16(panel, start, words, first, scales, ZERO, count)
        return
    done = ZERO
    while done < count:
        source = first + done
        length = min(count - done, share - source % share)
        _expand_int8(panel, start + done, words, source, scales, source // share, length)
        done += length


def add_back(
    dx: Any, dy: Any, words: Any, place: int, stored: int, scales: Any, share: int, k0: int, k1: int, rows: int,
    room: Any, panel: Any,
) -> None:  # fmt: skip
    """dx[:rows, k0:k1] += dy (M, N)·W (N, K), whose numbers begin at `place`."""


@overload(add_back)
def _add_back(dx, dy, words, place, stored, scales, share, k0, k1, rows, room, panel):  # type: ignore[no-untyped-def]
    def float32(dx, dy, words, place, stored, scales, share, k0, k1, rows, room, panel):  # type: ignore[no-untyped-def]
        K, N = dx.shape[1], dy.shape[1]
        flat_dx, flat_dy = dx.reshape(-1), dy.reshape(-1)
        add_blocked(flat_dx, k0, K, flat_dy, ZERO, N, ONE, words, place + k0, K, rows, k1 - k0, N, room)

    def reduced(dx, dy, words, place, stored, scales, share, k0, k1, rows, room, panel):  # type: ignore[no-untyped-def]
        K, N = dx.shape[1], dy.shape[1]
        flat_dx, flat_dy = dx.reshape(-1), dy.reshape(-1)
        for n in range(0, N, SUM_BLOCK):
            count = min(SUM_BLOCK, N - n)
            for k in range(k0, k1, _COLUMNS):
                width = min(_COLUMNS, k1 - k)
                for i in range(count):
                    source = place + (n + i) * K + k
                    _expand_piece(panel, i * _COLUMNS, words, source, stored, scales, share, width)
                add_blocked(flat_dx, k, K, flat_dy, n, N, ONE, panel, ZERO, _COLUMNS, rows, width, count, room)

    return float32 if words.dtype == types.float32 else reduced


@kernel
def stored_backward_input(
    dx: Any, dy: Any, words: Any, place: int, stored: int, scales: Any, share: int, rows: int, room: Any, panel: Any,
    thread: int, threads: int,
) -> None:  # fmt: skip
    """dx (M, K) = dy (M, N)·W (N, K), each thread a range of columns; W as `linear_forward` is told it, but no int4.

    room: as `add_blocked` wants it; panel: STORED_ROOM numbers of this thread's. The same bits as from W in float32.
    """
    apart()
    K = dx.shape[1]
    k0, k1 = share_start(K, thread, threads), share_start(K, thread + 1, threads)
    for m in range(rows):
        dx[m, k0:k1] = np.float32(0.0)
    add_back(dx, dy, words, place, stored, scales, share, k0, k1, rows, room, panel)
