"""Token plus position embedding."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import overload as _overload

from sg_core.kernels.copying import copy
from sg_core.kernels.formats import BFLOAT16, FORMATS, INT4_GROUP, INT8
from sg_core.kernels.jit import kernel
from sg_core.kernels.products import PANEL_SIZE
from sg_core.kernels.simd import ZERO
from sg_core.kernels.team import share_start
from sg_core.kernels.tiles import expansion

overload: Any = _overload  # Numba does not annotate it

_expand_bfloat16, _expand_int8, _expand_int4, _expand_float16 = (expansion(stored) for stored in FORMATS[1:])


def _token_row(row: Any, token: int, words: Any, place: int, stored: int, scales: Any, share: int, panel: Any) -> None:
    """row (C,) = a row of the table that begins at number `place` of `words`; see `linear.linear_forward`."""


@overload(_token_row)
def _choose_token_row(row, token, words, place, stored, scales, share, panel):  # type: ignore[no-untyped-def]
    def float32(row, token, words, place, stored, scales, share, panel):  # type: ignore[no-untyped-def]
        C = row.shape[0]
        copy(row, ZERO, words, place + token * C, C)

    def reduced(row, token, words, place, stored, scales, share, panel):  # type: ignore[no-untyped-def]
        C = row.shape[0]
        first = place + token * C
        if stored == BFLOAT16:
            _expand_bfloat16(row, ZERO, words, first, scales, ZERO, C)
        elif stored == INT8:
            for c in range(0, C, share):
                _expand_int8(row, c, words, first + c, scales, (first + c) // share, share)
        else:  # whole groups, which may end behind the row
            stride = (C + INT4_GROUP - 1) // INT4_GROUP * INT4_GROUP
            first = place + token * stride
            for c in range(0, C, PANEL_SIZE):
                source, length = first + c, min(PANEL_SIZE, stride - c)
                _expand_int4(panel, ZERO, words, source, scales, source // INT4_GROUP, length)
                copy(row, c, panel, ZERO, min(length, C - c))

    def halves(row, token, words, place, stored, scales, share, panel):  # type: ignore[no-untyped-def]
        C = row.shape[0]
        first = place + token * C
        if stored == BFLOAT16:
            _expand_bfloat16(row, ZERO, words, first, scales, ZERO, C)
        else:
            _expand_float16(row, ZERO, words, first, scales, ZERO, C)

    return {types.float32: float32, types.uint16: halves}.get(words.dtype, reduced)


@kernel
def embedding_forward(
    out: Any, ids: Any, words: Any, place: int, stored: int, scales: Any, share: int, panel: Any, wpe: Any,
    position: int, thread: int, threads: int,
) -> None:  # fmt: skip
    """out (B*T, C) = rows `ids` (B, T) of the tokens' table + wpe[position : position + T].

    The table begins at number `place` of `words`; see `linear.linear_forward`. Each thread a range of rows.
    """
    B, T = ids.shape
    for m in range(share_start(B * T, thread, threads), share_start(B * T, thread + 1, threads)):
        row, added = out[m], wpe[position + m % T]
        _token_row(row, ids[m // T, m % T], words, place, stored, scales, share, panel)
        for c in range(row.shape[0]):
            row[c] += added[c]


@kernel
def token_rows(
    out: Any, ids: Any, words: Any, place: int, stored: int, scales: Any, share: int, panel: Any,
    thread: int, threads: int,
) -> None:  # fmt: skip
    """The first term of `embedding_forward` alone."""
    B, T = ids.shape
    for m in range(share_start(B * T, thread, threads), share_start(B * T, thread + 1, threads)):
        _token_row(out[m], ids[m // T, m % T], words, place, stored, scales, share, panel)


@kernel
def position_rows(out: Any, ids: Any, wpe: Any, position: int, thread: int, threads: int) -> None:
    """The second term of `embedding_forward` alone."""
    B, T = ids.shape
    for m in range(share_start(B * T, thread, threads), share_start(B * T, thread + 1, threads)):
        row, source = out[m], wpe[position + m % T]
        for c in range(row.shape[0]):
            row[c] = source[c]


@kernel
def embedding_backward(dwte: Any, dwpe: Any, dy: Any, ids: Any, thread: int, threads: int) -> None:
    """dwte[ids] += dy and dwpe[t] += dy; each thread a range of columns, so that equal ids never collide."""
    B, T = ids.shape
    C = dwte.shape[1]
    c0, c1 = share_start(C, thread, threads), share_start(C, thread + 1, threads)
    for b in range(B):
        for t in range(T):
            gradient = dy[b * T + t, c0:c1]
            token, place = dwte[ids[b, t], c0:c1], dwpe[t, c0:c1]
            for c in range(c1 - c0):
                token[c] += gradient[c]
                place[c] += gradient[c]
