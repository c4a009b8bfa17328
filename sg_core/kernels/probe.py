"""The window into a forward pass: what its operations give is changed, then kept, where someone asks for it.

A window is None, and every function here compiles to nothing, or a tuple of arrays:

taps (L + 1, SITES) int64: where in `record` a site of a block begins, -1 where nobody looks; row L is what stands
outside the blocks. record: flat float32. frame (5,) int64: the position of row 0 of the pass, rows of a sequence in the
pass, first position kept, positions kept of each sequence, and how many numbers a row of a pattern has. edits (E, 7)
int64: layer, site, kind, position (-1: every one), first column, columns, place in `numbers`; they are obeyed in their
order. numbers: flat float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload as _overload

from sg_core.kernels.embedding import embedding_forward, position_rows, token_rows
from sg_core.kernels.jit import kernel
from sg_core.kernels.layernorm import mean_and_scale
from sg_core.kernels.simd import ZERO, constants
from sg_core.kernels.team import barrier, share_start

overload: Any = _overload  # Numba does not annotate it

SITES = 19
(
    EMBED, POS_EMBED, RESID_PRE, LN1_SCALE, LN1_NORMALIZED, QUERIES, KEYS, VALUES, SCORES, PATTERN, MIXED, ATTN_OUT,
    RESID_MID, LN2_SCALE, LN2_NORMALIZED, MLP_PRE, MLP_POST, MLP_OUT, RESID_POST,
) = constants(SITES)  # fmt: skip
LN_FINAL_SCALE = LN1_SCALE  # of the row outside the blocks
SCALE_EDIT, ADD_EDIT, REPLACE_EDIT = constants(3)  # by one number; a vector; by a vector
_MINUS_INFINITY = np.float32(-np.inf)
_ONE = np.float32(1.0)


# ---------------------------------------------------------------- rows of an operation


@kernel
def _edited(edits: Any, layer: int, site: int) -> bool:
    """Whether some edit is meant for this site."""
    found = False
    for e in range(edits.shape[0]):
        found = found or (edits[e, 0] == layer and edits[e, 1] == site)
    return found


@kernel
def _edit_row(row: Any, edits: Any, numbers: Any, layer: int, site: int, column: int, position: int) -> None:
    """Obey the edits of a site; its first number is row[column]."""
    for e in range(edits.shape[0]):
        if edits[e, 0] == layer and edits[e, 1] == site and (edits[e, 3] < 0 or edits[e, 3] == position):
            first, count, place = column + edits[e, 4], edits[e, 5], edits[e, 6]
            for i in range(count):
                if edits[e, 2] == SCALE_EDIT:
                    row[first + i] *= numbers[place]
                elif edits[e, 2] == ADD_EDIT:
                    row[first + i] += numbers[place + i]
                else:
                    row[first + i] = numbers[place + i]


@kernel
def _kept_row(frame: Any, m: int) -> int:
    """Which of the kept rows row m of the pass is; -1 if it is not kept."""
    first_position, length, first_kept, kept = frame[0], frame[1], frame[2], frame[3]
    place = first_position + m % length - first_kept
    return m // length * kept + place if 0 <= place < kept else -1


def hook(
    window: Any, layer: int, site: int, x: Any, column: int, width: int, start: int, stop: int,
    thread: int, threads: int, cells: Any,
) -> None:  # fmt: skip
    """Columns column:column+width of rows start:stop of x (M, N) have just been computed, and all threads know."""


@overload(hook)
def _hook(window, layer, site, x, column, width, start, stop, thread, threads, cells):  # type: ignore[no-untyped-def]
    def closed(window, layer, site, x, column, width, start, stop, thread, threads, cells):  # type: ignore[no-untyped-def]
        return

    def opened(window, layer, site, x, column, width, start, stop, thread, threads, cells):  # type: ignore[no-untyped-def]
        taps, record, frame, edits, numbers = window
        edited, tap = _edited(edits, layer, site), taps[layer, site]
        if not edited and tap < 0:
            return
        rows = stop - start
        for m in range(start + share_start(rows, thread, threads), start + share_start(rows, thread + 1, threads)):
            if edited:
                _edit_row(x[m], edits, numbers, layer, site, column, frame[0] + m % frame[1])
            kept = _kept_row(frame, m)
            if tap >= 0 and kept >= 0:
                for i in range(width):
                    record[tap + kept * width + i] = x[m, column + i]
        if edited:
            barrier(cells, threads)

    return closed if isinstance(window, types.NoneType) else opened


def norm_hook(
    window: Any, layer: int, site: int, out: Any, x: Any, weight: Any, bias: Any, epsilon: Any,
    start: int, stop: int, thread: int, threads: int, cells: Any,
) -> None:  # fmt: skip
    """Rows start:stop of out (M, C), a layer norm of x (M, C), have just been computed, and all threads know.

    site: that of the scale, the standard deviation; the next one is that of what comes before gain and bias.
    """


@overload(norm_hook)
def _norm_hook(window, layer, site, out, x, weight, bias, epsilon, start, stop, thread, threads, cells):  # type: ignore[no-untyped-def]
    def closed(window, layer, site, out, x, weight, bias, epsilon, start, stop, thread, threads, cells):  # type: ignore[no-untyped-def]
        return

    def opened(window, layer, site, out, x, weight, bias, epsilon, start, stop, thread, threads, cells):  # type: ignore[no-untyped-def]
        taps, record, frame, edits, numbers = window
        C = x.shape[1]
        edited, scale_tap, tap = _edited(edits, layer, site + 1), taps[layer, site], taps[layer, site + 1]
        if not edited and tap < 0 and scale_tap < 0:
            return
        rows = stop - start
        for m in range(start + share_start(rows, thread, threads), start + share_start(rows, thread + 1, threads)):
            kept = _kept_row(frame, m)
            if not edited and kept < 0:
                continue
            source, target = x[m], out[m]
            mean, factor = mean_and_scale(source, epsilon)
            if edited:
                for i in range(C):
                    target[i] = (source[i] - mean) * factor
                _edit_row(target, edits, numbers, layer, site + 1, ZERO, frame[0] + m % frame[1])
            if scale_tap >= 0 and kept >= 0:
                record[scale_tap + kept] = _ONE / factor
            if tap >= 0 and kept >= 0:
                for i in range(C):
                    record[tap + kept * C + i] = target[i] if edited else (source[i] - mean) * factor
            if edited:
                for i in range(C):
                    target[i] = target[i] * weight[i] + bias[i]
        if edited:
            barrier(cells, threads)

    return closed if isinstance(window, types.NoneType) else opened


# ---------------------------------------------------------------- the embedding


def embed(
    window: Any, layer: int, x: Any, room: Any, ids: Any, words: Any, place: int, stored: int, scales: Any, share: int,
    panel: Any, wpe: Any, position: int, first: int, thread: int, threads: int, cells: Any,
) -> None:  # fmt: skip
    """Rows of x (M, C) from `first` on = embeddings of ids (B, T) at `position`, ...; room: as large as x.

    words to panel: see `embedding.embedding_forward`.
    """


@overload(embed)
def _embed(  # type: ignore[no-untyped-def]
    window, layer, x, room, ids, words, place, stored, scales, share, panel, wpe, position, first,
    thread, threads, cells,
):  # fmt: skip
    def closed(  # type: ignore[no-untyped-def]
        window, layer, x, room, ids, words, place, stored, scales, share, panel, wpe, position, first,
        thread, threads, cells,
    ):  # fmt: skip
        embedding_forward(x[first:], ids, words, place, stored, scales, share, panel, wpe, position, thread, threads)
        barrier(cells, threads)

    def opened(  # type: ignore[no-untyped-def]
        window, layer, x, room, ids, words, place, stored, scales, share, panel, wpe, position, first,
        thread, threads, cells,
    ):  # fmt: skip
        count, C = ids.shape[0] * ids.shape[1], x.shape[1]
        token_rows(x[first:], ids, words, place, stored, scales, share, panel, thread, threads)
        position_rows(room[first:], ids, wpe, position, thread, threads)
        barrier(cells, threads)
        hook(window, layer, EMBED, x, ZERO, C, first, first + count, thread, threads, cells)
        hook(window, layer, POS_EMBED, room, ZERO, C, first, first + count, thread, threads, cells)
        barrier(cells, threads)
        for m in range(first + share_start(count, thread, threads), first + share_start(count, thread + 1, threads)):
            for i in range(C):
                x[m, i] += room[m, i]
        barrier(cells, threads)

    return closed if isinstance(window, types.NoneType) else opened


# ---------------------------------------------------------------- scores and patterns of a head


def keep_scores(
    window: Any, layer: int, unit: int, scores: Any, stride: int, first: int, rows: int, scale: Any
) -> None:
    """Scores of `rows` queries at positions first..., before the softmax; unit: sequence * heads + head."""


@overload(keep_scores)
def _keep_scores(window, layer, unit, scores, stride, first, rows, scale):  # type: ignore[no-untyped-def]
    def closed(window, layer, unit, scores, stride, first, rows, scale):  # type: ignore[no-untyped-def]
        return

    def opened(window, layer, unit, scores, stride, first, rows, scale):  # type: ignore[no-untyped-def]
        taps, record, frame = window[0], window[1], window[2]
        if taps[layer, SCORES] < 0:
            return
        for r in range(rows):
            row = _pattern_row(taps[layer, SCORES], frame, unit, first + r)
            if row >= 0:
                seen = first + r + 1
                for c in range(seen):
                    record[row + c] = scores[r * stride + c] * scale
                record[row + seen : row + frame[4]] = _MINUS_INFINITY

    return closed if isinstance(window, types.NoneType) else opened


def keep_pattern(window: Any, layer: int, unit: int, scores: Any, stride: int, first: int, rows: int) -> None:
    """As `keep_scores`, of the probabilities that the softmax made of them."""


@overload(keep_pattern)
def _keep_pattern(window, layer, unit, scores, stride, first, rows):  # type: ignore[no-untyped-def]
    def closed(window, layer, unit, scores, stride, first, rows):  # type: ignore[no-untyped-def]
        return

    def opened(window, layer, unit, scores, stride, first, rows):  # type: ignore[no-untyped-def]
        taps, record, frame = window[0], window[1], window[2]
        if taps[layer, PATTERN] < 0:
            return
        for r in range(rows):
            row = _pattern_row(taps[layer, PATTERN], frame, unit, first + r)
            if row >= 0:
                seen = first + r + 1
                for c in range(seen):
                    record[row + c] = scores[r * stride + c]
                record[row + seen : row + frame[4]] = np.float32(0.0)

    return closed if isinstance(window, types.NoneType) else opened


@kernel
def _pattern_row(tap: int, frame: Any, unit: int, position: int) -> int:
    """Where a query's row stands: (sequence, head, kept query, key); -1 if it is not kept."""
    place = position - frame[2]
    return tap + (unit * frame[3] + place) * frame[4] if 0 <= place < frame[3] else -1
