"""Causal multi-head attention: softmax(q·kᵀ / sqrt(hs))·v, a block of query rows at a time.

One kernel serves a single new token against the cache and a whole training batch. Keys lie transposed, (hs, n) a head,
so that the scores of neighbouring keys are one vector; values lie (n, hs). Every sum then runs in order over hs, or
over the keys, whatever the number of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.copying import copy, row_stride, stride_of, transpose
from sg_core.kernels.dropout import drop_range
from sg_core.kernels.elementary import softmax_row
from sg_core.kernels.jit import kernel
from sg_core.kernels.probe import keep_pattern, keep_scores
from sg_core.kernels.products import add_outer
from sg_core.kernels.reductions import row_dot
from sg_core.kernels.simd import LANES, ONE, ZERO, apart
from sg_core.kernels.team import share_start

ROWS = 24  # query rows of one block: a multiple of the outer tile's height
_ZERO = np.float32(0.0)


@kernel
def scatter_keys_values(
    keys: Any,
    values: Any,
    qkv: Any,
    base: int,
    start: int,
    stop: int,
    heads: int,
    head_size: int,
    thread: int,
    threads: int,
) -> None:
    """Copy k and v of positions start:stop out of qkv (rows, 3C), whose row 0 is position `base`, into the cache.

    keys (NH, hs, capacity), values (NH, capacity, hs). Each thread takes a range of heads.
    """
    C, capacity = heads * head_size, values.shape[1]
    flat_values, flat_qkv = values.reshape(-1), qkv.reshape(-1)
    h0, h1 = share_start(heads, thread, threads), share_start(heads, thread + 1, threads)
    # A vector of positions at a time: rows of qkv are read in long runs, each line of the cache is written once, whole.
    for t in range(start, stop, LANES):
        count = min(LANES, stop - t)
        rows = qkv[t - base : t - base + count]
        for h in range(h0, h1):
            first = C + h * head_size
            for i in range(count):
                source = (t + i - base) * 3 * C + first + C
                copy(flat_values, (h * capacity + t + i) * head_size, flat_qkv, source, head_size)
            for j in range(head_size):
                for i in range(count):
                    keys[h, j, t + i] = rows[i, first + j]


@kernel
def causal_softmax(scores: Any, s_stride: int, first: int, rows: int, columns: int, scale: Any) -> None:
    """Row r, the query at position first + r, becomes probabilities of columns 0..first+r, zeros after."""
    apart()
    for r in range(rows):
        seen = first + r + 1
        softmax_row(scores[r * s_stride : r * s_stride + seen], scale)
        scores[r * s_stride + seen : r * s_stride + columns] = _ZERO


@kernel
def padded(columns: int) -> int:
    """`columns`, rounded up to whole vectors."""
    return (columns + LANES - 1) // LANES * LANES


@kernel
def _score(
    scores: Any, q: Any, q0: int, q_stride: int, keys: Any, k0: int, k_stride: int,
    first: int, rows: int, columns: int, head_size: int, scale: Any, window: Any, layer: int, unit: int,
) -> None:  # fmt: skip
    """The causal probabilities of a block of queries; `columns` is a number of whole vectors.

    window, layer, unit: where they are kept, when someone looks (see `probe`); unit: sequence * heads + head.

    What stands in keys after the block's last position is read as well, and does not count.
    """
    scores[: rows * columns] = _ZERO
    add_outer(scores, ZERO, columns, q, q0, q_stride, ONE, keys, k0, k_stride, rows, columns, head_size)
    keep_scores(window, layer, unit, scores, columns, first, rows, scale)
    causal_softmax(scores, columns, first, rows, columns, scale)
    keep_pattern(window, layer, unit, scores, columns, first, rows)


@kernel
def attend(
    out: Any, out0: int, out_stride: int, q: Any, q0: int, q_stride: int, keys: Any, k0: int, k_stride: int,
    values: Any, v0: int, v_stride: int, scores: Any, first: int, rows: int, head_size: int, scale: Any,
    rate: Any, key: Any, counter: int, window: Any, layer: int, unit: int,
) -> None:  # fmt: skip
    """One head's attention of `rows` queries at positions first..., over the keys up to each one's own position.

    Flat arrays; keys transposed with k_stride between dimensions, of which whole vectors are read.
    scores: room for rows * padded(first + rows). rate > 0 drops probabilities, the first of the block having this
    `counter`.
    """
    apart()
    columns = padded(first + rows)
    _score(scores, q, q0, q_stride, keys, k0, k_stride, first, rows, columns, head_size, scale, window, layer, unit)
    if rate > 0:
        drop_range(scores[: rows * columns], rate, key, counter)
    for r in range(rows):
        out[out0 + r * out_stride : out0 + r * out_stride + head_size] = _ZERO
    add_outer(out, out0, out_stride, scores, ZERO, columns, ONE, values, v0, v_stride, rows, head_size, first + rows)


@kernel
def attention_cached(
    out: Any,
    qkv: Any,
    keys: Any,
    values: Any,
    base: int,
    start: int,
    stop: int,
    scratch: Any,
    scale: Any,
    window: Any,
    layer: int,
    sequence: int,
    thread: int,
    threads: int,
) -> None:
    """Attention of positions start:stop into out (rows, C), from qkv (rows, 3C) and one layer of the KV cache.

    Row 0 of out and qkv is position `base`. keys (NH, hs, capacity), values (NH, capacity, hs), the capacity whole
    vectors.
    scratch: (threads, ROWS * capacity). scale: of the scores. window, layer, sequence: see `probe`.
    Blocks of rows and heads are dealt out in turn: later blocks see more keys.
    """
    heads, head_size, capacity = keys.shape
    C = heads * head_size
    flat_out, flat_qkv, flat_keys, flat_values = out.reshape(-1), qkv.reshape(-1), keys.reshape(-1), values.reshape(-1)
    blocks = (stop - start + ROWS - 1) // ROWS
    for unit in range(thread, heads * blocks, threads):
        h = unit % heads
        first = start + unit // heads * ROWS
        row = first - base
        attend(
            flat_out, row * C + h * head_size, C, flat_qkv, row * 3 * C + h * head_size, 3 * C,
            flat_keys, h * head_size * capacity, capacity, flat_values, h * capacity * head_size, head_size,
            scratch[thread], first, min(ROWS, stop - first), head_size, scale, _ZERO, np.uint32(0), ZERO,
            window, layer, sequence * heads + h,
        )  # fmt: skip


def forward_scratch(head_size: int, T: int) -> int:
    """float32 numbers of a thread's scratch in `attention_forward`."""
    return (ROWS + head_size) * row_stride(T)


def backward_scratch(head_size: int, T: int) -> int:
    """float32 numbers of a thread's scratch in `attention_backward`."""
    return (3 * ROWS + 2 * head_size) * row_stride(T)


@kernel
def attention_forward(
    out: Any, qkv: Any, batch: int, T: int, heads: int, scratch: Any, scale: Any, rate: Any, key: Any,
    window: Any, layer: int, thread: int, threads: int,
) -> None:  # fmt: skip
    """Attention inside each of `batch` whole sequences of T rows: out (B*T, C) from qkv (B*T, 3C).

    scratch: (threads, forward_scratch(hs, T)). scale: of the scores. rate > 0 drops probabilities. window, layer: see
    `probe`. Each thread takes whole (sequence, head) pairs.
    """
    C = out.shape[1]
    head_size = C // heads
    C3, width = 3 * C, stride_of(T)
    flat_out, flat_qkv = out.reshape(-1), qkv.reshape(-1)
    scores, keys = scratch[thread, : ROWS * width], scratch[thread, ROWS * width :]
    for unit in range(thread, batch * heads, threads):
        row, h = unit // heads * T, unit % heads
        q0 = row * C3 + h * head_size
        transpose(keys, width, flat_qkv, q0 + C, C3, T, head_size)
        for first in range(0, T, ROWS):
            attend(
                flat_out, (row + first) * C + h * head_size, C, flat_qkv, q0 + first * C3, C3,
                keys, ZERO, width, flat_qkv, q0 + 2 * C, C3,
                scores, first, min(ROWS, T - first), head_size, scale, rate, key, (unit * T + first) * width,
                window, layer, unit,
            )  # fmt: skip


@kernel
def _softmax_backward_row(dscores: Any, probabilities: Any, scale: Any) -> None:
    """dscores = scale * p * (dp - sum(dp * p)) in place, (n,) each."""
    total = row_dot(dscores, probabilities)
    for c in range(dscores.shape[0]):
        dscores[c] = scale * probabilities[c] * (dscores[c] - total)


@kernel
def attention_backward(
    dqkv: Any, dout: Any, qkv: Any, batch: int, T: int, heads: int, scratch: Any, scale: Any, rate: Any, key: Any,
    thread: int, threads: int,
) -> None:  # fmt: skip
    """dqkv (B*T, 3C) from dout (B*T, C) and the forward pass's qkv (B*T, 3C); probabilities are computed again.

    scratch: (threads, backward_scratch(hs, T)). Each thread takes whole (sequence, head) pairs.
    """
    C = dout.shape[1]
    head_size = C // heads
    C3, width = 3 * C, stride_of(T)
    flat_d, flat_qkv, flat_out = dqkv.reshape(-1), qkv.reshape(-1), dout.reshape(-1)
    area = scratch[thread]
    block = ROWS * width
    p, kept, d = area[:block], area[block : 2 * block], area[2 * block : 3 * block]
    keys, values = area[3 * block : 3 * block + head_size * width], area[3 * block + head_size * width :]
    for unit in range(thread, batch * heads, threads):
        row, h = unit // heads * T, unit % heads
        q0 = row * C3 + h * head_size
        transpose(keys, width, flat_qkv, q0 + C, C3, T, head_size)
        transpose(values, width, flat_qkv, q0 + 2 * C, C3, T, head_size)
        for t in range(T):
            for part in range(3):
                start = q0 + t * C3 + part * C
                flat_d[start : start + head_size] = _ZERO
        for first in range(0, T, ROWS):
            rows = min(ROWS, T - first)
            seen = first + rows
            columns = padded(seen)
            q_block, o_block = q0 + first * C3, (row + first) * C + h * head_size
            _score(
                p, flat_qkv, q_block, C3, keys, ZERO, width, first, rows, columns, head_size, scale, None, ZERO, ZERO
            )
            d[: rows * columns] = _ZERO
            add_outer(d, ZERO, columns, flat_out, o_block, C, ONE, values, ZERO, width, rows, columns, head_size)
            weights = p
            if rate > 0:
                weights = kept
                counter = (unit * T + first) * width
                copy(kept, ZERO, p, ZERO, rows * columns)
                drop_range(kept[: rows * columns], rate, key, counter)
                drop_range(d[: rows * columns], rate, key, counter)
            for r in range(rows):
                start = r * columns
                _softmax_backward_row(d[start : start + seen], p[start : start + seen], scale)
            # dq of the block's rows; dk and dv of every key the block has seen
            add_outer(flat_d, q_block, C3, d, ZERO, columns, ONE, flat_qkv, q0 + C, C3, rows, head_size, seen)
            add_outer(flat_d, q0 + C, C3, d, ZERO, ONE, columns, flat_qkv, q_block, C3, seen, head_size, rows)
            add_outer(flat_d, q0 + 2 * C, C3, weights, ZERO, ONE, columns, flat_out, o_block, C, seen, head_size, rows)
