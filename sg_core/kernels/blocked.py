"""Large outer products, in blocks that stay in the caches whatever the strides of the operands are."""

from __future__ import annotations

from typing import Any

from sg_core.kernels.copying import copy
from sg_core.kernels.jit import kernel
from sg_core.kernels.products import SUM_BLOCK, add_outer
from sg_core.kernels.simd import apart
from sg_core.kernels.tiles import OUTER_ROWS, OUTER_VECTORS, PANEL, outer_tile

_ROW_BLOCK = 192  # rows of a, SUM_BLOCK of each, that stay in the L2 cache while b passes: a multiple of OUTER_ROWS
_FAR = 1024  # floats: rows of an operand a page or more apart are copied together, or they would crowd each other out
_GROUP = 128  # columns of b copied at once, in long runs of each row: a multiple of PANEL
_PANEL_PLACE = _ROW_BLOCK * SUM_BLOCK  # where the panels of b begin in the room; the block of a is before them
BLOCKED_ROOM = _PANEL_PLACE + _GROUP * SUM_BLOCK  # float32 numbers of a thread's room

_several = outer_tile(OUTER_ROWS, OUTER_VECTORS, ahead=True)
_pair = outer_tile(2, OUTER_VECTORS)
_single = outer_tile(1, OUTER_VECTORS)


@kernel
def _copy_rows(room: Any, a: Any, a0: int, a_k: int, rows: int, terms: int) -> None:
    """Tile by tile of OUTER_ROWS rows, neighbours in a: the numbers that a step of the tile multiplies side by side."""
    for k in range(terms):
        source = a[a0 + k * a_k : a0 + k * a_k + rows]
        target = room[k * OUTER_ROWS :]
        for tile in range(rows // OUTER_ROWS):
            for r in range(OUTER_ROWS):
                target[tile * OUTER_ROWS * terms + r] = source[tile * OUTER_ROWS + r]


@kernel
def _copy_panels(room: Any, b: Any, b0: int, b_stride: int, columns: int, terms: int) -> None:
    """Panel by panel of PANEL columns."""
    for k in range(terms):
        source = b0 + k * b_stride
        for n in range(0, columns, PANEL):
            target = n * terms + k * PANEL
            copy(room, target, b, source + n, PANEL)


@kernel
def _block(
    out: Any, out0: int, out_stride: int, a: Any, a0: int, a_row: int, a_k: int, b: Any, b0: int, b_stride: int,
    rows: int, columns: int, terms: int, room: Any,
) -> None:  # fmt: skip
    """`add_blocked` for at most _ROW_BLOCK rows, SUM_BLOCK terms, and whole panels of columns."""
    apart()
    full = rows // OUTER_ROWS * OUTER_ROWS
    tiles, tile0, tile_stride, tile_row, tile_k = a, a0, OUTER_ROWS * a_row, a_row, a_k
    if a_row == 1 and a_k >= _FAR:
        _copy_rows(room, a, a0, a_k, full, terms)
        tiles, tile0, tile_stride, tile_row, tile_k = room, 0, OUTER_ROWS * terms, 1, OUTER_ROWS
    panels, panel_stride = b, b_stride
    if b_stride >= _FAR:
        panels, panel_stride = room[_PANEL_PLACE:], PANEL
    for n in range(0, columns, PANEL):
        place = b0 + n
        if b_stride >= _FAR:
            if n % _GROUP == 0:
                _copy_panels(panels, b, b0 + n, b_stride, min(_GROUP, columns - n), terms)
            place = n % _GROUP * terms
        for m in range(0, full, OUTER_ROWS):
            source, target = tile0 + m // OUTER_ROWS * tile_stride, out0 + m * out_stride + n
            _several(tiles, source, tile_row, tile_k, panels, place, panel_stride, terms, out, target, out_stride)
        for m in range(full, rows - 1, 2):
            target = out0 + m * out_stride + n
            _pair(a, a0 + m * a_row, a_row, a_k, panels, place, panel_stride, terms, out, target, out_stride)
        if (rows - full) % 2:
            target = out0 + (rows - 1) * out_stride + n
            source = a0 + (rows - 1) * a_row
            _single(a, source, a_row, a_k, panels, place, panel_stride, terms, out, target, out_stride)


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
