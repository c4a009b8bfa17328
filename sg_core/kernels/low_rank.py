"""LoRA (Hu et al. 2021): what an adapter adds to a projection, y += g·(x·Aᵀ)·B, and the gradients of A and B.

Adapters are None, and everything here compiles to nothing, or a tuple of arrays:

arena: flat float32, A (R, K) and B (R, N) of each adapted projection. places (L, 4, 4) int64: of a block's projection
(in the order of `adapters.PROJECTIONS`) where A and B begin, the rank R, 0 where nothing is added, and where its gains
begin. gains: flat float32, one for each of the R rows. room: flat float32, 2*M*R numbers. dropped: flat float32, M*K
numbers while some of x is dropped out, else none. rate: of that dropout.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload as _overload

from sg_core.kernels.dropout import dropout, dropout_of, mix
from sg_core.kernels.jit import kernel, part
from sg_core.kernels.linear import linear_backward_weight
from sg_core.kernels.products import add_outer, dots_float32
from sg_core.kernels.simd import ONE, ZERO, apart
from sg_core.kernels.team import barrier, share_start

overload: Any = _overload  # Numba does not annotate it

_SITES = np.uint32(0x10A4)  # dropout of adapters draws other masks than that of the blocks


@part
def _view(flat: Any, place: int, rows: int, columns: int) -> Any:
    return flat[place : place + rows * columns].reshape((rows, columns))


@kernel
def low_rank_key(key: Any, layer: int, projection: int) -> Any:
    """The dropout key of the adapter at one projection."""
    return mix(mix(key, _SITES), np.uint32(layer * 4 + projection))


@kernel
def _shrink(
    u: Any, x: Any, arena: Any, place: int, gains: Any, first_gain: int, start: int, stop: int, thread: int,
    threads: int,
) -> None:  # fmt: skip
    """Rows start:stop of u (M, R) = g·(x (M, K)·wᵀ), w (R, K) at a place of the arena; each thread a range of R."""
    apart()
    R = u.shape[1]
    r0, r1 = share_start(R, thread, threads), share_start(R, thread + 1, threads)
    for m in range(start, stop):
        u[m, r0:r1] = np.float32(0.0)
    dots_float32(u, x, arena, place, start, stop, r0, r1)
    for m in range(start, stop):
        for r in range(r0, r1):
            u[m, r] *= gains[first_gain + r]


@kernel
def _grow(
    out: Any, u: Any, arena: Any, place: int, start: int, stop: int, thread: int, threads: int
) -> None:  # fmt: skip
    """Rows start:stop of out (M, N) += u (M, R)·w, w (R, N) at a place of the arena; each thread a range of N."""
    N, R = out.shape[1], u.shape[1]
    n0, n1 = share_start(N, thread, threads), share_start(N, thread + 1, threads)
    add_outer(
        out.reshape(-1), start * N + n0, N, u.reshape(-1), start * R, R, ONE, arena, place + n0, N,
        stop - start, n1 - n0, R,
    )  # fmt: skip


def low_rank_forward(
    adapters: Any, layer: int, projection: int, out: Any, x: Any, start: int, stop: int, key: Any,
    thread: int, threads: int, cells: Any,
) -> None:  # fmt: skip
    """Add what adapters do to rows start:stop of out (M, N), a projection of x (M, K) that `linear_forward` made.

    Each thread adds to the columns it has computed itself; the rows of x are known to all threads.
    """


@overload(low_rank_forward)
def _low_rank_forward(  # type: ignore[no-untyped-def]
    adapters, layer, projection, out, x, start, stop, key, thread, threads, cells
):
    def none(adapters, layer, projection, out, x, start, stop, key, thread, threads, cells):  # type: ignore[no-untyped-def]
        return

    def some(adapters, layer, projection, out, x, start, stop, key, thread, threads, cells):  # type: ignore[no-untyped-def]
        arena, places, gains, room, dropped, rate = adapters
        a, b, R, gain = places[layer, projection]
        if R == 0:
            return
        seen = x
        if rate > 0:
            seen = _view(dropped, ZERO, stop, x.shape[1])
            site = low_rank_key(key, layer, projection)
            dropout_of(seen, x, rate, site, stop, thread, threads)
            barrier(cells, threads)
        u = _view(room, ZERO, stop, R)
        _shrink(u, seen, arena, a, gains, gain, start, stop, thread, threads)
        barrier(cells, threads)
        _grow(out, u, arena, b, start, stop, thread, threads)

    return none if isinstance(adapters, types.NoneType) else some


@kernel
def low_rank_backward(
    adapters: Any, dadapters: Any, layer: int, projection: int, dx: Any, dy: Any, x: Any, key: Any, panels: Any,
    thread: int, threads: int, cells: Any,
) -> None:  # fmt: skip
    """dx (M, K) += what goes through the adapter of a projection, dadapters (as its arena) += gradients of A and B.

    x, dy (M, N) are known to all threads, and of dx each thread's own columns. panels: as `add_blocked` wants it.
    """
    arena, places, gains, room, dropped, rate = adapters
    a, b, R, gain = places[layer, projection]
    if R == 0:
        return
    M, K, N = x.shape[0], x.shape[1], dy.shape[1]
    site = low_rank_key(key, layer, projection)
    seen = x
    if rate > 0:
        seen = _view(dropped, ZERO, M, K)
        dropout_of(seen, x, rate, site, M, thread, threads)
        barrier(cells, threads)
    u, du = _view(room, ZERO, M, R), _view(room, M * R, M, R)
    _shrink(u, seen, arena, a, gains, gain, ZERO, M, thread, threads)
    _shrink(du, dy, arena, b, gains, gain, ZERO, M, thread, threads)
    barrier(cells, threads)
    none = gains[0:0]
    linear_backward_weight(_view(dadapters, b, R, N), none, u, dy, M, panels, thread, threads)
    linear_backward_weight(_view(dadapters, a, R, K), none, du, seen, M, panels, thread, threads)
    if rate > 0:
        barrier(cells, threads)
        k0, k1 = share_start(K, thread, threads), share_start(K, thread + 1, threads)
        for m in range(M):
            seen[m, k0:k1] = np.float32(0.0)
        _grow(seen, du, arena, a, ZERO, M, thread, threads)
        barrier(cells, threads)
        dropout(seen, rate, site, M, thread, threads)
        barrier(cells, threads)
        for m in range(M):
            for k in range(k0, k1):
                dx[m, k] += seen[m, k]
    else:
        _grow(dx, du, arena, a, ZERO, M, thread, threads)
    barrier(cells, threads)
