"""out += x·wᵀ with both sides in 16 or 8 bits: rows of x are rounded, some at a time, then multiplied as they lie.

Every thread rounds all rows that it multiplies, in a room of its own: that costs a hundredth of the product, and a
barrier more. A row is rounded alike whatever stands beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.jit import kernel, variant
from sg_core.kernels.narrow_tiles import BFLOAT16_PAIRS, INT8_QUADS, STEP_BYTES, Narrow, narrow_tile
from sg_core.kernels.products import FEW, PANEL_SIZE, SEVERAL_ROWS, STREAMS
from sg_core.kernels.simd import LANES, ONE, apart, float32_of_bits, put_bfloat16, put_int8, quantize
from sg_core.kernels.tiles import DOT_COLUMNS, DOT_ROWS, LINE

_N_BLOCK = 64  # rows of w that stay in the L2 cache while the rows of x pass
_SPAN = PANEL_SIZE // FEW - 8 * LINE  # words
_ZERO, _ONE, _LARGEST = np.float32(0.0), np.float32(1.0), np.float32(127.0)
_UNSIGNED = np.int32(0x7FFFFFFF)


@kernel
def _round_bfloat16(room: Any, place: int, words: int, x: Any, start: int, length: int, scale: Any) -> Any:
    """x[start:][:length], flat, goes into the room from word `place` on; `words` are filled, with zeros."""
    for j in range(length):
        put_bfloat16(room, 2 * place + j, x[start + j])
    for j in range(length, 2 * words):
        put_bfloat16(room, 2 * place + j, _ZERO)
    return _ZERO


@kernel
def _round_int8(room: Any, place: int, words: int, x: Any, start: int, length: int, scale: Any) -> Any:
    """As `_round_bfloat16`, each number being worth q * scale; returns the sum of all q."""
    total = quantize(room, 4 * place, x, start, length, _ONE / scale if scale > _ZERO else _ZERO)
    for j in range(length, 4 * words):
        put_int8(room, 4 * place + j, _ZERO)
    return np.float32(total)


@kernel
def _no_scale(x: Any, start: int, length: int) -> Any:
    return _ONE


@kernel
def _scale(x: Any, start: int, length: int) -> Any:
    """What the largest of a row is when it is worth 127; not finite where one of them is not."""
    bits = x[start : start + length].view(np.int32)
    most = np.int32(0)
    for i in range(length):  # without their signs, numbers are in the order of their bits, and what is none behind them
        most = max(most, bits[i] & _UNSIGNED)
    return float32_of_bits(most) / _LARGEST


def _products(narrow: Narrow, scale_of: Any, rounded: Any) -> Any:
    full = narrow_tile(DOT_ROWS, DOT_COLUMNS, narrow, adjacent=True)
    several = narrow_tile(SEVERAL_ROWS, STREAMS, narrow)
    pair = narrow_tile(2, STREAMS, narrow)
    one = narrow_tile(1, STREAMS, narrow)
    single = narrow_tile(1, 1, narrow)
    in_step = STEP_BYTES * 8 // narrow.bits

    @variant(narrow.name)
    def few_rows(
        out: Any, room: Any, stride: int, numbers: int, w: Any, w0: int, scales: Any, share: int, K: int, k0: int,
        k1: int, block: int, words: int, m0: int, m1: int, n0: int, stream: int,
    ) -> None:  # fmt: skip
        """The sums of k0:k1 in the columns n0 to n0 + STREAMS * stream, for rows that lie in the room."""
        apart()
        N, far, flat = out.shape[1], stream * K, out.reshape(-1)
        s_far = far // share
        for n in range(n0, n0 + stream):
            for k in range(k0, k1, block):
                b, length, wn = (k - k0) // block, min(block, K - k), w0 + n * K + k
                number, sn, m = numbers + b * words, wn // share, m0
                while m + SEVERAL_ROWS <= m1:
                    row, to = (m - m0) * stride, m * N + n
                    several(
                        room, row, stride, number, b + 1, w, wn, far, scales, sn, s_far, length, flat, to, N, stream
                    )
                    m += SEVERAL_ROWS
                while m + 2 <= m1:
                    row, to = (m - m0) * stride, m * N + n
                    pair(room, row, stride, number, b + 1, w, wn, far, scales, sn, s_far, length, flat, to, N, stream)
                    m += 2
                if m < m1:
                    row, to = (m - m0) * stride, m * N + n
                    one(room, row, stride, number, b + 1, w, wn, far, scales, sn, s_far, length, flat, to, N, stream)

    @variant(narrow.name)
    def many_rows(
        out: Any, room: Any, stride: int, number: int, total: int, w: Any, w0: int, K: int, scales: Any, s0: int,
        s_row: int, length: int, m0: int, m1: int, n0: int, n1: int,
    ) -> None:  # fmt: skip
        """A block of the sums in columns n0:n1, for rows that lie in the room; its weights stay in the L2 cache."""
        apart()
        N, flat = out.shape[1], out.reshape(-1)
        n_full, m_full = n1 - (n1 - n0) % STREAMS, m1 - (m1 - m0) % DOT_ROWS
        m_pairs = m1 - (m1 - m_full) % 2
        for m in range(m0, m_full, DOT_ROWS):
            row = (m - m0) * stride
            for n in range(n0, n_full, DOT_COLUMNS):
                wn, sn, place = w0 + (n - n0) * K, s0 + (n - n0) * s_row, m * N + n
                full(room, row, stride, number, total, w, wn, K, scales, sn, s_row, length, flat, place, N, ONE)
        for m in range(m_full, m_pairs, 2):
            row = (m - m0) * stride
            for n in range(n0, n_full, STREAMS):
                wn, sn, place = w0 + (n - n0) * K, s0 + (n - n0) * s_row, m * N + n
                pair(room, row, stride, number, total, w, wn, K, scales, sn, s_row, length, flat, place, N, ONE)
        for m in range(m_pairs, m1):
            row = (m - m0) * stride
            for n in range(n0, n_full, STREAMS):
                wn, sn, place = w0 + (n - n0) * K, s0 + (n - n0) * s_row, m * N + n
                one(room, row, stride, number, total, w, wn, K, scales, sn, s_row, length, flat, place, N, ONE)
        for m in range(m0, m1):
            row = (m - m0) * stride
            for n in range(n_full, n1):
                wn, sn, place = w0 + (n - n0) * K, s0 + (n - n0) * s_row, m * N + n
                single(room, row, stride, number, total, w, wn, K, scales, sn, s_row, length, flat, place, N, ONE)

    @variant(narrow.name)
    def dots(
        out: Any, x: Any, w: Any, w0: int, scales: Any, share: int, room: Any, m0: int, m1: int, n0: int, n1: int
    ) -> None:
        """out[m0:m1, n0:n1] += x[m0:m1]·w[n0:n1]ᵀ, as `products.dots_float32`; `share` numbers are summed at once.

        A row in the room: its scale, the sum of each of its blocks, and from a new cache line on its numbers.
        """
        apart()
        K, flat_x = x.shape[1], x.reshape(-1)
        block = min(share, K)
        words = (block + in_step - 1) // in_step * LANES  # of a block in the room
        span = max(1, _SPAN // words) * block
        numbers = (1 + (min(span, K) + block - 1) // block + LINE - 1) // LINE * LINE
        stride = numbers + (min(span, K) + block - 1) // block * words
        at_once = PANEL_SIZE // stride
        if at_once > DOT_ROWS:
            at_once -= at_once % DOT_ROWS
        for m in range(m0, m1, at_once):
            m_end = min(m + at_once, m1)
            stream = (n1 - n0) // STREAMS if m_end - m <= FEW else 0
            n_rest = n0 + stream * STREAMS
            for k0 in range(0, K, span):
                k1 = min(k0 + span, K)
                for r in range(m, m_end):
                    row, first = (r - m) * stride, r * K
                    room[row] = scale_of(flat_x, first, K)
                    for k in range(k0, k1, block):
                        b, length = (k - k0) // block, min(block, K - k)
                        place = row + numbers + b * words
                        room[row + 1 + b] = rounded(room, place, words, flat_x, first + k, length, room[row])
                few_rows(
                    out, room, stride, numbers, w, w0, scales, share, K, k0, k1, block, words, m, m_end, n0, stream
                )
                for k in range(k0, k1, block):
                    b, length = (k - k0) // block, min(block, K - k)
                    for n in range(n_rest, n1, _N_BLOCK):
                        wn, n_end = w0 + n * K + k, min(n + _N_BLOCK, n1)
                        many_rows(
                            out, room, stride, numbers + b * words, b + 1, w, wn, K, scales, wn // share, K // share,
                            length, m, m_end, n, n_end,
                        )  # fmt: skip

    return dots


dots_rounded = _products(BFLOAT16_PAIRS, _no_scale, _round_bfloat16)
dots_quantized = _products(INT8_QUADS, _scale, _round_int8)
