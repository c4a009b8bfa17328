"""Causal multi-head attention: softmax(q·kᵀ / sqrt(hs))·v, a block of query rows at a time.

One kernel serves a single new token against the cache and a whole training batch: queries, keys and values are
given by their place and stride in flat arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.dropout import dropout_threshold, mix
from sg_core.kernels.elementary import softmax_row
from sg_core.kernels.jit import kernel, row_kernel
from sg_core.kernels.linear import add_outer, dot_column, dot_full, dot_row, dot_single
from sg_core.kernels.simd import DOT_COLUMNS, DOT_ROWS

ROWS = 30  # query rows of one block: a multiple of every tile height
_ZERO = np.float32(0.0)


@kernel
def scatter_keys_values(
    keys: Any, values: Any, qkv: Any, base: int, start: int, stop: int, heads: int, head_size: int, thread: int, threads: int
) -> None:
    """Copy k and v of positions start:stop out of qkv (rows, 3C), whose row 0 is position `base`, into the cache.

    keys, values: (NH, capacity, hs), each head's rows contiguous. Each thread takes some heads.
    """
    C = heads * head_size
    for h in range(thread, heads, threads):
        for t in range(start, stop):
            for j in range(head_size):
                keys[h, t, j] = qkv[t - base, C + h * head_size + j]
                values[h, t, j] = qkv[t - base, 2 * C + h * head_size + j]


@kernel
def _scores(
    scores: Any, s0: int, s_stride: int, q: Any, q0: int, q_stride: int, k: Any, k0: int, k_stride: int,
    rows: int, columns: int, head_size: int,
) -> None:  # fmt: skip
    """scores[r, c] = q[r]·k[c] (unscaled) for r < rows, c < columns."""
    r_full = rows // DOT_ROWS * DOT_ROWS
    c_full = columns // DOT_COLUMNS * DOT_COLUMNS
    for r in range(rows):
        for c in range(columns):
            scores[s0 + r * s_stride + c] = _ZERO
    for c in range(0, c_full, DOT_COLUMNS):
        for r in range(0, r_full, DOT_ROWS):
            dot_full(q, q0 + r * q_stride, q_stride, k, k0 + c * k_stride, k_stride, head_size,
                     scores, s0 + r * s_stride + c, s_stride, 1)  # fmt: skip
        for r in range(r_full, rows):
            dot_row(q, q0 + r * q_stride, q_stride, k, k0 + c * k_stride, k_stride, head_size,
                    scores, s0 + r * s_stride + c, s_stride, 1)  # fmt: skip
    for c in range(c_full, columns):
        for r in range(0, r_full, DOT_ROWS):
            dot_column(q, q0 + r * q_stride, q_stride, k, k0 + c * k_stride, k_stride, head_size,
                       scores, s0 + r * s_stride + c, s_stride, 1)  # fmt: skip
        for r in range(r_full, rows):
            dot_single(q, q0 + r * q_stride, q_stride, k, k0 + c * k_stride, k_stride, head_size,
                       scores, s0 + r * s_stride + c, s_stride, 1)  # fmt: skip


@kernel
def _causal_softmax(scores: Any, s0: int, s_stride: int, first: int, rows: int, columns: int, scale: Any) -> None:
    """Row r, the query at position first + r, becomes probabilities of columns 0..first+r, zeros after."""
    for r in range(rows):
        row = s0 + r * s_stride
        seen = first + r + 1
        for c in range(seen):
            scores[row + c] *= scale
        softmax_row(scores, row, seen)
        for c in range(seen, columns):
            scores[row + c] = _ZERO


@kernel
def _drop_row(out: Any, x: Any, start: int, count: int, rate: Any, key: Any, place: int) -> None:
    threshold = dropout_threshold(rate)
    scale = np.float32(1.0 / (1.0 - rate))
    for c in range(count):
        kept = mix(key, np.uint32(place + c)) >= threshold
        out[start + c] = x[start + c] * scale if kept else _ZERO


@kernel
def attention_forward(
    out: Any, qkv: Any, keys: Any, k0: int, k_stride: int, k_head: int, values: Any, v0: int, v_stride: int, v_head: int,
    sequence: int, batch: int, base: int, start: int, stop: int, heads: int, head_size: int, scratch: Any, capacity: int,
    rate: Any, key: Any, thread: int, threads: int,
) -> None:  # fmt: skip
    """Attention of positions start:stop of each sequence into out (rows, C).

    out and qkv (rows, 3C) hold `sequence` rows a sequence, the first being position `base`. The key of position t and
    head h of sequence b lies in the flat `keys` at k0 + (b*sequence + t)*k_stride + h*k_head; values likewise.
    scratch: (threads, ROWS*capacity) float32. rate > 0 drops probabilities (training; base = 0).
    """
    C = heads * head_size
    scale = np.float32(1.0 / np.sqrt(np.float64(head_size)))
    scores = scratch[thread]
    flat_out, flat_qkv = out.reshape(-1), qkv.reshape(-1)
    blocks = (stop - start + ROWS - 1) // ROWS
    for unit in range(thread, batch * heads * blocks, threads):
        b = unit // (heads * blocks)
        h = unit // blocks % heads
        first = start + unit % blocks * ROWS
        rows = min(ROWS, stop - first)
        columns = first + rows
        row = b * sequence + first - base
        q0 = row * 3 * C + h * head_size
        place_k = k0 + b * sequence * k_stride + h * k_head
        place_v = v0 + b * sequence * v_stride + h * v_head
        _scores(scores, 0, capacity, flat_qkv, q0, 3 * C, keys, place_k, k_stride, rows, columns, head_size)
        _causal_softmax(scores, 0, capacity, first, rows, columns, scale)
        if rate > 0:
            for r in range(rows):
                place = ((b * heads + h) * stop + first + r) * stop
                _drop_row(scores, scores, r * capacity, first + r + 1, rate, key, place)
        for r in range(rows):
            for j in range(head_size):
                flat_out[(row + r) * C + h * head_size + j] = _ZERO
        add_outer(flat_out, row * C + h * head_size, C, scores, 0, capacity, 1, values, place_v, v_stride, rows, head_size, columns)


@row_kernel
def _softmax_backward_row(dscores: Any, probabilities: Any, start: int, count: int, scale: Any) -> None:
    """dscores = scale * p * (dp - sum(dp * p)) in place over one row."""
    total = np.float32(0.0)
    for c in range(start, start + count):
        total += dscores[c] * probabilities[c]
    for c in range(start, start + count):
        dscores[c] = scale * probabilities[c] * (dscores[c] - total)


@kernel
def attention_backward(
    dqkv: Any, dout: Any, qkv: Any, batch: int, T: int, heads: int, head_size: int, scratch: Any,
    rate: Any, key: Any, thread: int, threads: int,
) -> None:  # fmt: skip
    """dqkv (B*T, 3C) from dout (B*T, C) and the forward pass's qkv (B*T, 3C); probabilities are computed again.

    scratch: (threads, 3*T*T) float32. Each thread takes whole (sequence, head) pairs.
    """
    C = heads * head_size
    C3 = 3 * C
    scale = np.float32(1.0 / np.sqrt(np.float64(head_size)))
    area = scratch[thread]
    p, kept, d = 0, T * T, 2 * T * T  # places of the probabilities, of those kept by dropout, and of their gradient
    flat_d, flat_qkv, flat_out = dqkv.reshape(-1), qkv.reshape(-1), dout.reshape(-1)
    for unit in range(thread, batch * heads, threads):
        b, h = unit // heads, unit % heads
        q0 = b * T * C3 + h * head_size
        o0 = b * T * C + h * head_size
        for t in range(T):
            for part in range(3):
                for j in range(head_size):
                    flat_d[q0 + t * C3 + part * C + j] = _ZERO
        for first in range(0, T, ROWS):
            rows = min(ROWS, T - first)
            seen = first + rows
            block = first * T
            _scores(area, p + block, T, flat_qkv, q0 + first * C3, C3, flat_qkv, q0 + C, C3, rows, seen, head_size)
            _causal_softmax(area, p + block, T, first, rows, seen, scale)
            _scores(area, d + block, T, flat_out, o0 + first * C, C, flat_qkv, q0 + 2 * C, C3, rows, seen, head_size)
            for r in range(rows):
                row = block + r * T
                for c in range(seen):
                    area[kept + row + c] = area[p + row + c]
                if rate > 0:
                    place = ((b * heads + h) * T + first + r) * T
                    _drop_row(area[kept:], area[kept:], row, first + r + 1, rate, key, place)
                    _drop_row(area[d:], area[d:], row, first + r + 1, rate, key, place)
                _softmax_backward_row(area[d:], area[p:], row, first + r + 1, scale)
                for c in range(first + r + 1, seen):
                    area[d + row + c] = _ZERO
            # dq of the block's rows; dk and dv of every key the block has seen
            add_outer(flat_d, q0 + first * C3, C3, area, d + block, T, 1, flat_qkv, q0 + C, C3, rows, head_size, seen)
            add_outer(flat_d, q0 + C, C3, area, d + block, 1, T, flat_qkv, q0 + first * C3, C3, seen, head_size, rows)
            add_outer(flat_d, q0 + 2 * C, C3, area, kept + block, 1, T, flat_out, o0 + first * C, C, seen, head_size, rows)
