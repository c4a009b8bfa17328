"""Large outer products, in blocks that stay in the caches whatever the strides of the operands are."""

from __future__ import annotations

from typing import Any

from sg_core.kernels.copying import copy, row_stride, transpose
from sg_core.kernels.jit import kernel
from sg_core.kernels.products import SUM_BLOCK, add_outer, outer_band
from sg_core.kernels.simd import ONE, ZERO, apart
from sg_core.kernels.tiles import OUTER_VECTORS, PANEL

_ROW_BLOCK = 192  # rows of a, SUM_BLOCK of each, that stay in the L2 cache while b passes
_FAR = 1024  # floats: rows of an operand a page or more apart are copied together, or they would crowd each other out
_GROUP = 128  # columns of b copied at once, in long runs of each row: a multiple of PANEL
_ROW_STRIDE = row_stride(SUM_BLOCK)  # of the copied block of a
_PANEL_PLACE = _ROW_BLOCK * _ROW_STRIDE  # where the panels of b begin in the room; the block of a is before them
BLOCKED_ROOM = _PANEL_PLACE + _GROUP * SUM_BLOCK  # float32 numbers of a thread's room

_panels = outer_band(OUTER_VECTORS, ahead=True)


@kernel
def _copy_panels(room: Any, b: Any, b0: int, b_stride: int, columns: int, terms: int) -> None:
    """Panel by panel of PANEL columns."""
    for k in range(terms):
        for n in range(0, columns, PANEL):
            copy(room, n * terms + k * PANEL, b, b0 + k * b_stride + n, PANEL)


@kernel
def _block(
    out: Any, out0: int, out_stride: int, a: Any, a0: int, a_row: int, a_k: int, b: Any, b0: int, b_stride: int,
    rows: int, columns: int, terms: int, room: Any,
) -> None:  # fmt: skip
    """`add_blocked` for at most _ROW_BLOCK rows, SUM_BLOCK terms, and whole panels of columns."""
    apart()
    if a_row == 1 and a_k >= _FAR:
        transpose(room, _ROW_STRIDE, a, a0, a_k, terms, rows)
        a, a0, a_row, a_k = room, ZERO, _ROW_STRIDE, ONE
    if b_stride < _FAR:
        _panels(out, out0, out_stride, a, a0, a_row, a_k, b, b0, b_stride, rows, ZERO, columns, terms)
        return
    copied = room[_PANEL_PLACE:]
    for n in range(0, columns, PANEL):
        if n % _GROUP == 0:
            _copy_panels(copied, b, b0 + n, b_stride, min(_GROUP, columns - n), terms)
        panel = n % _GROUP * terms
        _panels(out, out0 + n, out_stride, a, a0, a_row, a_k, copied, panel, PANEL, rows, ZERO, PANEL, terms)


@kernel
def add_blocked(
    out: Any, out0: int, out_stride: int, a: Any, a0: int, a_row: int, a_k: int, b: Any, b0: int, b_stride: int,
    rows: int, columns: int, terms: int, room: Any,
) -> None:  # fmt: skip
    """`add_outer`, bit for bit, for many rows and columns. room: BLOCKED_ROOM numbers of this thread's."""
    apart()
    whole = columns // PANEL * PANEL
    for i in range(0, terms, SUM_BLOCK):
        count = min(SUM_BLOCK, terms - i)
        for m in range(0, rows, _ROW_BLOCK):
            _block(
                out, out0 + m * out_stride, out_stride, a, a0 + m * a_row + i * a_k, a_row, a_k,
                b, b0 + i * b_stride, b_stride, min(_ROW_BLOCK, rows - m), whole, count, room,
            )  # fmt: skip
    if whole < columns:
        add_outer(
            out, out0 + whole, out_stride, a, a0, a_row, a_k, b, b0 + whole, b_stride, rows, columns - whole, terms
        )
