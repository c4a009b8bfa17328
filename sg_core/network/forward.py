"""GPT-2's forward pass: one path for decoding, prefill, training and every set of optimizations.

Each operation is told from which position on it computes its rows; that is all an optimization switch changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.attention import attention_cached, attention_forward, scatter_keys_values
from sg_core.kernels.dropout import dropout, mix
from sg_core.kernels.embedding import embedding_forward
from sg_core.kernels.gelu import gelu_forward
from sg_core.kernels.jit import entry, kernel
from sg_core.kernels.layernorm import layernorm_forward
from sg_core.kernels.linear import linear_forward
from sg_core.kernels.residual import residual_forward
from sg_core.kernels.simd import ZERO, apart, constants, nanoseconds
from sg_core.kernels.team import barrier
from sg_core.network.activations import ATT, FC, GELU, LN1, LN2, MLP, PROJ, QKV, RES1, RES2
from sg_core.network.parameters import (
    FC_B,
    FC_W,
    LN1_B,
    LN1_W,
    LN2_B,
    LN2_W,
    LNF_B,
    LNF_W,
    MLP_B,
    MLP_W,
    PROJ_B,
    PROJ_W,
    QKV_B,
    QKV_W,
    WPE,
    WTE,
)  # fmt: skip

# Operations whose time is told apart; the sampler adds its own.
OPERATIONS = ("embedding", "layernorm", "qkv", "attention", "linear", "gelu", "residual", "unembedding")
EMBEDDING_TIME, LAYERNORM_TIME, QKV_TIME, ATTENTION_TIME, LINEAR_TIME, GELU_TIME, RESIDUAL_TIME, UNEMBEDDING_TIME = (
    constants(8)
)
# Cells of `starts`: the first position each kind of operation computes.
LAYERNORM, ATTENTION, LINEAR, GELU_START, RESIDUAL = range(5)
# Sites of dropout in a block; each draws its own mask.
ATTENTION_DROPOUT, PROJECTION_DROPOUT, MLP_DROPOUT = constants(3)


@kernel
def matrix(arena: Any, place: int, rows: int, columns: int) -> Any:
    """(rows, columns) view of a flat arena."""
    return arena[place : place + rows * columns].reshape((rows, columns))


@kernel
def dropout_key(key: Any, layer: int, site: int) -> Any:
    """The key of one dropout site: block 0 is the embedding."""
    return mix(key, np.uint32(layer * 3 + site))


@kernel
def _tick(times: Any, operation: int, before: int, thread: int) -> int:
    """Thread 0 books the time since `before`; returns the time now."""
    apart()
    now: int = nanoseconds()
    if thread == 0:
        times[operation] += now - before
    return now


@kernel
def attend_to_caches(
    mixed: Any, qkv: Any, keys: Any, values: Any, place: int, distance: int, B: int, base: int, start: int, stop: int,
    heads: int, capacity: int, scratch: Any, thread: int, threads: int, cells: Any,
) -> None:  # fmt: skip
    """Positions start:stop of B sequences enter their caches, which lie `distance` apart, and attend to them."""
    head_size = mixed.shape[1] // heads
    span, length = heads * capacity * head_size, stop - base
    for b in range(B):
        k = keys[b * distance + place : b * distance + place + span].reshape((heads, head_size, capacity))
        v = values[b * distance + place : b * distance + place + span].reshape((heads, capacity, head_size))
        scatter_keys_values(
            k, v, qkv[b * length : (b + 1) * length], base, start, stop, heads, head_size, thread, threads
        )
    barrier(cells, threads)
    for b in range(B):
        k = keys[b * distance + place : b * distance + place + span].reshape((heads, head_size, capacity))
        v = values[b * distance + place : b * distance + place + span].reshape((heads, capacity, head_size))
        rows = slice(b * length, (b + 1) * length)
        attention_cached(mixed[rows], qkv[rows], k, v, base, start, stop, scratch, thread, threads)


@entry
def forward(
    thread: int, threads: int, cells: Any,
    ids: Any, base: int, stop: int, starts: Any,
    C: int, heads: int, epsilon: Any, parameters: Any, blocks: Any, ends: Any,
    words: Any, stored: int, scales: Any, share: int, panels: Any,
    activations: Any, places: Any, embedding_place: int, final_place: int, rows: int,
    cached: bool, keys: Any, values: Any, capacity: int,
    table: Any, use_table: bool, scratch: Any, rate: Any, key: Any,
    logits: Any, logits_from: int, logits_to: int, times: Any,
) -> None:  # fmt: skip
    """Run positions up to `stop` through the model; every thread of a team calls it with the same arguments.

    ids (B, n) int32 are the new tokens: positions stop-n:stop of each of B sequences. Buffers of `activations` have
    `rows` rows; row b*(stop-base) + t - base belongs to position t of sequence b. starts (5,) are first positions;
    with B > 1 all of them are `base`. With `cached`, keys (B, L, NH, hs, capacity) and values (B, L, NH, capacity, hs),
    flat, receive the positions that attention computes; else attention stays inside the rows.
    rate > 0 drops out. Rows logits_from:logits_to of the final norm become logits (n, V) from row 0 on.
    times (8,) int64 gains the nanoseconds of each operation.
    """
    B = ids.shape[0]
    length = stop - base
    count = B * length
    L = places.shape[0]
    V = logits.shape[1]
    new = stop - ids.shape[1]
    span = C * capacity
    # with several sequences all rows are new, and those of one operation are one range
    norm_from, attend_from, linear_from = starts[LAYERNORM] - base, starts[ATTENTION] - base, starts[LINEAR] - base
    gelu_from, residual_from = starts[GELU_START] - base, starts[RESIDUAL] - base
    wte = matrix(parameters, ends[WTE], V, C)
    wpe = matrix(parameters, ends[WPE], stop, C)
    panel = panels[thread]

    clock = nanoseconds()
    x = matrix(activations, embedding_place, rows, C)
    embedding_forward(x[new - base :], ids, wte, wpe, new, thread, threads)
    barrier(cells, threads)
    if rate > 0:
        dropout(x, rate, dropout_key(key, ZERO, ZERO), count, thread, threads)
        barrier(cells, threads)
    clock = _tick(times, EMBEDDING_TIME, clock, thread)

    for layer in range(L):
        p = blocks[layer]
        a = places[layer]
        norm = matrix(activations, a[LN1], rows, C)
        layernorm_forward(
            norm, x, parameters[p[LN1_W] : p[LN1_W] + C], parameters[p[LN1_B] : p[LN1_B] + C], epsilon,
            norm_from, count, thread, threads,
        )  # fmt: skip
        barrier(cells, threads)
        clock = _tick(times, LAYERNORM_TIME, clock, thread)

        qkv = matrix(activations, a[QKV], rows, 3 * C)
        linear_forward(
            qkv, norm, words, p[QKV_W], stored, scales, share, panel, parameters[p[QKV_B] : p[QKV_B] + 3 * C],
            attend_from, count, thread, threads,
        )  # fmt: skip
        barrier(cells, threads)
        clock = _tick(times, QKV_TIME, clock, thread)

        mixed = matrix(activations, a[ATT], rows, C)
        if cached:
            attend_to_caches(
                mixed, qkv, keys, values, layer * span, L * span, B, base, starts[ATTENTION], stop, heads, capacity,
                scratch, thread, threads, cells,
            )  # fmt: skip
        else:
            site = dropout_key(key, layer + 1, ATTENTION_DROPOUT)
            attention_forward(mixed, qkv, B, stop, heads, scratch, rate, site, thread, threads)
        barrier(cells, threads)
        clock = _tick(times, ATTENTION_TIME, clock, thread)

        branch = matrix(activations, a[PROJ], rows, C)
        linear_forward(
            branch, mixed, words, p[PROJ_W], stored, scales, share, panel, parameters[p[PROJ_B] : p[PROJ_B] + C],
            linear_from, count, thread, threads,
        )  # fmt: skip
        barrier(cells, threads)
        clock = _tick(times, LINEAR_TIME, clock, thread)

        if rate > 0:
            dropout(branch, rate, dropout_key(key, layer + 1, PROJECTION_DROPOUT), count, thread, threads)
            barrier(cells, threads)
        middle = matrix(activations, a[RES1], rows, C)
        residual_forward(middle, x, branch, residual_from, count, thread, threads)
        barrier(cells, threads)
        clock = _tick(times, RESIDUAL_TIME, clock, thread)

        norm = matrix(activations, a[LN2], rows, C)
        layernorm_forward(
            norm, middle, parameters[p[LN2_W] : p[LN2_W] + C], parameters[p[LN2_B] : p[LN2_B] + C], epsilon,
            norm_from, count, thread, threads,
        )  # fmt: skip
        barrier(cells, threads)
        clock = _tick(times, LAYERNORM_TIME, clock, thread)

        wide = matrix(activations, a[FC], rows, 4 * C)
        linear_forward(
            wide, norm, words, p[FC_W], stored, scales, share, panel, parameters[p[FC_B] : p[FC_B] + 4 * C],
            linear_from, count, thread, threads,
        )  # fmt: skip
        barrier(cells, threads)
        clock = _tick(times, LINEAR_TIME, clock, thread)

        active = matrix(activations, a[GELU], rows, 4 * C)
        gelu_forward(active, wide, table, use_table, gelu_from, count, thread, threads)
        barrier(cells, threads)
        clock = _tick(times, GELU_TIME, clock, thread)

        branch = matrix(activations, a[MLP], rows, C)
        linear_forward(
            branch, active, words, p[MLP_W], stored, scales, share, panel, parameters[p[MLP_B] : p[MLP_B] + C],
            linear_from, count, thread, threads,
        )  # fmt: skip
        barrier(cells, threads)
        clock = _tick(times, LINEAR_TIME, clock, thread)

        if rate > 0:
            dropout(branch, rate, dropout_key(key, layer + 1, MLP_DROPOUT), count, thread, threads)
            barrier(cells, threads)
        x = matrix(activations, a[RES2], rows, C)
        residual_forward(x, middle, branch, residual_from, count, thread, threads)
        barrier(cells, threads)
        clock = _tick(times, RESIDUAL_TIME, clock, thread)

    final = matrix(activations, final_place, rows, C)
    layernorm_forward(
        final, x, parameters[ends[LNF_W] : ends[LNF_W] + C], parameters[ends[LNF_B] : ends[LNF_B] + C], epsilon,
        norm_from, count, thread, threads,
    )  # fmt: skip
    barrier(cells, threads)
    clock = _tick(times, LAYERNORM_TIME, clock, thread)
    if logits_to > logits_from:
        linear_forward(
            logits, final[logits_from:logits_to], words, ends[WTE], stored, scales, share, panel, parameters[0:0],
            ZERO, logits_to - logits_from, thread, threads,
        )  # fmt: skip
        barrier(cells, threads)
        _tick(times, UNEMBEDDING_TIME, clock, thread)
