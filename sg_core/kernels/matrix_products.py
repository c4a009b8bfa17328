"""out += x·wᵀ of bfloat16 weights with a matrix unit: rows of w as they lie, times rows of x, rounded and transposed.

A product is that of 32 rows of w and up to 32 of x, summed over SPAN numbers in the unit's own order, before it is
added. No element depends on what stands beside it, so that a row has the same bits alone and among others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.jit import kernel, variant
from sg_core.kernels.matrix_units import ROW_BYTES, ROWS, MatrixUnit, amx, prefetch_rows, transpose_words
from sg_core.kernels.products import PANEL_SIZE
from sg_core.kernels.simd import ZERO, apart, put_bfloat16

SPAN = 2048  # numbers of a row that are summed before they are added to the rest
STEP = 32  # those of one product
PRODUCTS = ((0, 4, 6), (1, 4, 7), (2, 5, 6), (3, 5, 7))  # sums, rows of w, rows of x
_PAIR = 2 * ROWS  # rows of each side
# Words of a register, and of the room: four of sums, one of them transposed, what is copied of w, rounded rows, others.
_REGISTER: Any = np.int64(ROWS * ROW_BYTES // 4)
_SUMS: Any = np.int64(0)
_TURNED = _SUMS + 4 * _REGISTER
_COPY = _TURNED + _REGISTER
_ROUNDED = _COPY + 2 * _REGISTER
_LAID = _ROUNDED + ROWS * SPAN // 2
_STRIDE: Any = np.int64(ROW_BYTES)
_AHEAD: Any = np.int64(8 * STEP)  # numbers: how far before its use a weight is asked for, there or in the next 32 rows
_NONE: Any = np.int64(-1)
_ZERO = np.float32(0.0)


@kernel
def _lay(room: Any, place: int, x: Any, m0: int, m1: int, k0: int, length: int, steps: int) -> None:
    """Rows m0:m1 of x (M, K), at most 16, numbers k0:k0 + length, as `steps` registers from room[place] on."""
    K, flat, words = x.shape[1], x.reshape(-1), steps * STEP // 2
    for r in range(ROWS):
        row, count = _ROUNDED + r * words, length if m0 + r < m1 else 0
        for j in range(count):
            put_bfloat16(room, 2 * row + j, flat[(m0 + r) * K + k0 + j])
        for j in range(count, 2 * words):
            put_bfloat16(room, 2 * row + j, _ZERO)
    for step in range(steps):
        transpose_words(room, place + step * _REGISTER, room, _ROUNDED + step * ROWS, words)


@kernel
def _copy_weights(room: Any, w: Any, first: int, K: int, rows: int, length: int) -> None:
    """`length` numbers of `rows` rows of w from number `first` on, with zeros beside and below them, into the room."""
    numbers, copied = w.view(np.uint16), room[_COPY:_ROUNDED].view(np.uint16)
    for r in range(_PAIR):
        for j in range(STEP):
            copied[r * STEP + j] = numbers[first + r * K + j] if r < rows and j < length else np.uint16(0)


@kernel
def _add(out: Any, room: Any, sums: int, m0: int, m1: int, n0: int, n1: int) -> None:
    """out[m0:m1, n0:n1] += 16 x 16 sums, whose rows are columns there, as far as they go."""
    transpose_words(room, _TURNED, room, sums, ROWS)
    for m in range(m0, min(m1, m0 + ROWS)):
        row, place = out[m, n0 : min(n1, n0 + ROWS)], _TURNED + (m - m0) * ROWS
        for n in range(row.shape[0]):
            row[n] += room[place + n]


def matrix_products(unit: MatrixUnit, name: str) -> Any:
    """As `products.dots_bfloat16`, by a unit."""
    begin, end = unit.begin, unit.end
    zero0, zero1, zero2, zero3 = (unit.zero[t] for t in range(4))
    store0, store1, store2, store3 = (unit.store[t] for t in range(4))
    load_w0, load_w1, load_x0, load_x1 = (unit.load[t] for t in range(4, 8))
    multiply0, multiply1, multiply2, multiply3 = (unit.multiply[one] for one in PRODUCTS)

    @variant(name)
    def multiply(room: Any, w: Any, byte: int, stride: int, x0: int, x1: int) -> None:
        """32 rows of w, `stride` bytes apart, times what is laid at words x0 and, where there is more, x1."""
        load_w0(room, w, byte, stride)
        load_w1(room, w, byte + ROWS * stride, stride)
        load_x0(room, room, 4 * x0, _STRIDE)
        multiply0(room)
        multiply2(room)
        if x1 >= 0:
            load_x1(room, room, 4 * x1, _STRIDE)
            multiply1(room)
            multiply3(room)

    @variant(name)
    def pair(
        out: Any, room: Any, w: Any, first: int, K: int, length: int, x0: int, x1: int, m0: int, m1: int, n0: int,
        n1: int,
    ) -> None:  # fmt: skip
        """Up to 32 rows m0:m1, laid at x0 and x1, times up to 32 rows n0:n1 of w from number `first` of it on."""
        apart()
        zero0(room)
        zero1(room)
        zero2(room)
        zero3(room)
        rows, laid = n1 - n0, _REGISTER // STEP
        whole = length // STEP * STEP if rows == _PAIR else ZERO
        for k in range(0, whole, STEP):
            if x1 < 0:  # for few rows of x reading is what takes the time
                ahead = k + _AHEAD
                later = first + ahead if ahead < whole else first + _PAIR * K + ahead - whole
                prefetch_rows(w, 2 * later, 2 * K)
            multiply(room, w, 2 * (first + k), 2 * K, x0 + k * laid, x1 + k * laid if x1 >= 0 else _NONE)
        for k in range(whole, length, STEP):
            _copy_weights(room, w, first + k, K, rows, min(STEP, length - k))
            multiply(room, room, 4 * _COPY, _STRIDE, x0 + k * laid, x1 + k * laid if x1 >= 0 else _NONE)
        store0(room, room, 4 * _SUMS, _STRIDE)
        store2(room, room, 4 * (_SUMS + 2 * _REGISTER), _STRIDE)
        _add(out, room, _SUMS, m0, m1, n0, n1)
        _add(out, room, _SUMS + 2 * _REGISTER, m0, m1, n0 + ROWS, n1)
        if x1 >= 0:
            store1(room, room, 4 * (_SUMS + _REGISTER), _STRIDE)
            store3(room, room, 4 * (_SUMS + 3 * _REGISTER), _STRIDE)
            _add(out, room, _SUMS + _REGISTER, m0 + ROWS, m1, n0, n1)
            _add(out, room, _SUMS + 3 * _REGISTER, m0 + ROWS, m1, n0 + ROWS, n1)

    @variant(name)
    def dots(
        out: Any, x: Any, w: Any, w0: int, scales: Any, share: int, room: Any, m0: int, m1: int, n0: int, n1: int
    ) -> None:
        """out[m0:m1, n0:n1] += x[m0:m1]·w[n0:n1]ᵀ; the registers are this call's alone."""
        apart()
        begin(room)
        K = x.shape[1]
        far = (min(K, SPAN) + STEP - 1) // STEP * _REGISTER
        at_once = (PANEL_SIZE - _LAID) // far * ROWS
        for m in range(m0, m1, at_once):
            m_end = min(m + at_once, m1)
            for k in range(0, K, SPAN):
                length = min(SPAN, K - k)
                for r in range(m, m_end, ROWS):
                    _lay(room, _LAID + (r - m) // ROWS * far, x, r, m_end, k, length, (length + STEP - 1) // STEP)
                for n in range(n0, n1, _PAIR):
                    n_end = min(n + _PAIR, n1)
                    for r in range(m, m_end, _PAIR):
                        x0 = _LAID + (r - m) // ROWS * far
                        x1 = x0 + far if r + ROWS < m_end else _NONE
                        pair(out, room, w, w0 + n * K + k, K, length, x0, x1, r, m_end, n, n_end)
        end(room)

    return dots


dots_tiled = matrix_products(amx(PRODUCTS), "amx")
