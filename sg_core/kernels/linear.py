"""y = x·Wᵀ + b and its gradients. W is stored (N, K) = (out, in)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload as _overload

from sg_core.kernels.blocked import add_blocked
from sg_core.kernels.copying import copy
from sg_core.kernels.formats import BFLOAT16, INT8
from sg_core.kernels.jit import kernel
from sg_core.kernels.matrix_products import dots_tiled
from sg_core.kernels.narrow_products import dots_quantized, dots_rounded
from sg_core.kernels.products import dots_bfloat16, dots_float16, dots_float32, dots_int4, dots_int8
from sg_core.kernels.simd import ONE, ZERO, apart
from sg_core.kernels.team import share_start
from sg_core.kernels.units import BFLOAT16_DOTS, BFLOAT16_TILES

_ZERO = np.float32(0.0)
# Beside bfloat16 weights x is rounded to that too where the processor multiplies the two at once: every row of every
# pass alike, so that a token has the same bits in a prompt and on its own.
_dots_bfloat16 = dots_tiled if BFLOAT16_TILES else dots_rounded if BFLOAT16_DOTS else dots_bfloat16
overload: Any = _overload  # Numba does not annotate it


def _dots(
    out: Any, x: Any, words: Any, place: int, stored: int, scales: Any, share: int, panel: Any,
    m0: int, m1: int, n0: int, n1: int,
) -> None:  # fmt: skip
    """out[m0:m1, n0:n1] += x[m0:m1]·w[n0:n1]ᵀ, compiled for each kind of words when it is first used.

    int8 words say that x is rounded to that too, a row at a time; bytes tell their format in `stored`.
    """


@overload(_dots)
def _choose_dots(out, x, words, place, stored, scales, share, panel, m0, m1, n0, n1):  # type: ignore[no-untyped-def]
    def float32(out, x, words, place, stored, scales, share, panel, m0, m1, n0, n1):  # type: ignore[no-untyped-def]
        dots_float32(out, x, words, place, m0, m1, n0, n1)

    def reduced(out, x, words, place, stored, scales, share, panel, m0, m1, n0, n1):  # type: ignore[no-untyped-def]
        if stored == BFLOAT16:
            _dots_bfloat16(out, x, words, place, scales, share, panel, m0, m1, n0, n1)
        elif stored == INT8:
            dots_int8(out, x, words, place, scales, share, panel, m0, m1, n0, n1)
        else:
            dots_int4(out, x, words, place, scales, share, panel, m0, m1, n0, n1)

    def halves(out, x, words, place, stored, scales, share, panel, m0, m1, n0, n1):  # type: ignore[no-untyped-def]
        if stored == BFLOAT16:
            dots_bfloat16(out, x, words, place, scales, share, panel, m0, m1, n0, n1)
        else:
            dots_float16(out, x, words, place, scales, share, panel, m0, m1, n0, n1)

    def quantized(out, x, words, place, stored, scales, share, panel, m0, m1, n0, n1):  # type: ignore[no-untyped-def]
        dots_quantized(out, x, words, place, scales, share, panel, m0, m1, n0, n1)

    return {types.float32: float32, types.uint16: halves, types.int8: quantized}.get(words.dtype, reduced)


@kernel
def linear_forward(
    out: Any, x: Any, words: Any, place: int, stored: int, scales: Any, share: int, panel: Any, bias: Any,
    start: int, stop: int, thread: int, threads: int,
) -> None:  # fmt: skip
    """Rows start:stop of out (M, N) = x (M, K)·weightᵀ + bias (N,); an empty bias counts as zeros.

    The weight's N rows begin at number `place` of `words`, in the format `stored`, which tells how long they are there
    (see `formats`); `share` neighbours have one of `scales` in common. panel: this thread's room for weights expanded
    to float32.
    """
    apart()
    N = out.shape[1]
    n0, n1 = share_start(N, thread, threads), share_start(N, thread + 1, threads)
    flat_out = out.reshape(-1)
    for m in range(start, stop):
        if bias.shape[0]:
            copy(flat_out, m * N + n0, bias, n0, n1 - n0)
        else:
            out[m, n0:n1] = _ZERO
    _dots(out, x, words, place, stored, scales, share, panel, start, stop, n0, n1)


@kernel
def linear_backward_input(dx: Any, dy: Any, weight: Any, rows: int, room: Any, thread: int, threads: int) -> None:
    """dx (M, K) = dy (M, N)·weight (N, K), each thread a range of columns. room: as `add_blocked` wants it."""
    N, K = weight.shape
    k0, k1 = share_start(K, thread, threads), share_start(K, thread + 1, threads)
    for m in range(rows):
        dx[m, k0:k1] = _ZERO
    flat_dx, flat_dy, flat_weight = dx.reshape(-1), dy.reshape(-1), weight.reshape(-1)
    add_blocked(flat_dx, k0, K, flat_dy, ZERO, N, ONE, flat_weight, k0, K, rows, k1 - k0, N, room)


@kernel
def linear_backward_weight(
    dweight: Any, dbias: Any, dy: Any, x: Any, rows: int, room: Any, thread: int, threads: int
) -> None:
    """dweight (N, K) += dyᵀ (N, M)·x (M, K) and dbias (N,) += column sums of dy, each thread a range of N."""
    N, K = dweight.shape
    n0, n1 = share_start(N, thread, threads), share_start(N, thread + 1, threads)
    flat_dweight, flat_dy, flat_x = dweight.reshape(-1), dy.reshape(-1), x.reshape(-1)
    add_blocked(flat_dweight, n0 * K, K, flat_dy, n0, ONE, N, flat_x, ZERO, K, n1 - n0, K, rows, room)
    if dbias.shape[0]:
        sums = dbias[n0:n1]
        for m in range(rows):
            row = dy[m, n0:n1]
            for n in range(n1 - n0):
                sums[n] += row[n]
