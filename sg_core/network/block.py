"""A block of GPT-2: x + attention(ln_1(x)), then + mlp(ln_2(x)).

Each operation is told from which row on it computes; that is all an optimization changes. A `hook` after it is where
probes and interventions act (see `kernels.probe`); without them it compiles to nothing, as adapters do (see
`kernels.low_rank`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload as _overload

from sg_core.kernels.activation import activation_forward
from sg_core.kernels.attention import attention_cached, attention_forward, scatter_keys_values
from sg_core.kernels.dropout import dropout, mix
from sg_core.kernels.formats import FLOAT32
from sg_core.kernels.jit import part
from sg_core.kernels.layernorm import layernorm_forward
from sg_core.kernels.linear import linear_forward
from sg_core.kernels.low_rank import low_rank_forward
from sg_core.kernels.probe import (
    ATTN_OUT,
    KEYS,
    LN1_SCALE,
    LN2_SCALE,
    MIXED,
    MLP_OUT,
    MLP_POST,
    MLP_PRE,
    QUERIES,
    RESID_MID,
    RESID_POST,
    RESID_PRE,
    VALUES,
    hook,
    norm_hook,
)
from sg_core.kernels.residual import residual_forward
from sg_core.kernels.shared_attention import attention_shared, shared_until
from sg_core.kernels.simd import ZERO, constants, nanoseconds
from sg_core.kernels.stored_attention import attention_stored, round_as_stored, scatter_stored
from sg_core.kernels.team import barrier
from sg_core.network.activations import ATT, FC, GELU, LN1, LN2, MLP, PROJ, QKV, RES1, RES2
from sg_core.network.parameters import (
    FC_B,
    FC_W,
    LN1_B,
    LN1_W,
    LN2_B,
    LN2_W,
    MLP_B,
    MLP_W,
    PROJ_B,
    PROJ_W,
    QKV_B,
    QKV_W,
)

overload: Any = _overload  # Numba does not annotate it

# Operations whose time is told apart; the sampler adds its own.
OPERATIONS = ("embedding", "layernorm", "qkv", "attention", "linear", "gelu", "residual", "unembedding")
EMBEDDING_TIME, LAYERNORM_TIME, QKV_TIME, ATTENTION_TIME, LINEAR_TIME, GELU_TIME, RESIDUAL_TIME, UNEMBEDDING_TIME = (
    constants(8)
)
CLOCK = constants(9)[8]  # the cell of `times` that holds when the last operation ended
# Sites of dropout in a block; each draws its own mask.
ATTENTION_DROPOUT, PROJECTION_DROPOUT, MLP_DROPOUT = constants(3)
ADAPT_QKV, ADAPT_PROJ, ADAPT_FC, ADAPT_MLP = constants(4)  # projections, as `adapters.PROJECTIONS` counts them


class Context(NamedTuple):
    """What the operations of a pass share, made once in each thread. M = length rows."""

    thread: int
    threads: int
    cells: Any  # of the barrier
    heads: int
    hidden: int  # H
    epsilon: Any
    attention_scales: Any  # (L,)
    activation: int
    table: Any
    use_table: bool
    parameters: Any  # flat: embeddings, norms and biases are read here
    blocks: Any  # (L, 12): where a block's tensors begin
    words: Any  # the matrices, as `linear_forward` wants them
    stored: int
    scales: Any
    group_size: int
    panel: Any
    activations: Any  # flat
    places: Any  # (L, 10): where the rows of a block's operations begin
    rows: int  # that there is memory for
    sequences: int  # B
    base: int  # position of the first row of each sequence
    stop: int  # position after the last
    length: int  # M, rows of this pass
    new_from: int  # first row of a new token
    norm_from: int  # first row each kind of operation computes
    attend_from: int
    linear_from: int
    activation_from: int
    residual_from: int
    cached: bool
    kv: int  # the format of keys and values
    keys: Any
    values: Any
    key_scales: Any
    value_scales: Any
    capacity: int
    spans: Any  # of positions whose keys and values other texts share
    scratch: Any
    rate: Any  # of dropout
    key: Any
    times: Any
    adapters: Any
    window: Any


@part
def block(g: Any, layer: int, x: Any) -> Any:
    """x (M, C) -> (M, C)."""
    C, H = x.shape[1], g.hidden
    p, a = g.blocks[layer], g.places[layer]
    look(g, layer, RESID_PRE, x, ZERO, C, g.new_from if layer == 0 else g.residual_from)

    norm = layer_norm(g, a[LN1], x, p[LN1_W], p[LN1_B], layer, LN1_SCALE)  # (M, C)
    qkv = linear(g, a[QKV], 3 * C, norm, p[QKV_W], p[QKV_B], layer, ADAPT_QKV, g.attend_from, QKV_TIME)  # (M, 3C)
    look(g, layer, QUERIES, qkv, ZERO, C, g.attend_from)
    look(g, layer, KEYS, qkv, C, C, g.attend_from)
    look(g, layer, VALUES, qkv, 2 * C, C, g.attend_from)
    mixed = attention(g, a[ATT], layer, qkv)  # (M, C)
    look(g, layer, MIXED, mixed, ZERO, C, g.attend_from)
    branch = linear(g, a[PROJ], C, mixed, p[PROJ_W], p[PROJ_B], layer, ADAPT_PROJ, g.linear_from, LINEAR_TIME)  # (M, C)
    look(g, layer, ATTN_OUT, branch, ZERO, C, g.linear_from)
    drop(g, branch, layer + 1, PROJECTION_DROPOUT)
    middle = residual(g, a[RES1], x, branch)  # (M, C)
    look(g, layer, RESID_MID, middle, ZERO, C, g.residual_from)

    norm = layer_norm(g, a[LN2], middle, p[LN2_W], p[LN2_B], layer, LN2_SCALE)  # (M, C)
    wide = linear(g, a[FC], H, norm, p[FC_W], p[FC_B], layer, ADAPT_FC, g.linear_from, LINEAR_TIME)  # (M, H)
    look(g, layer, MLP_PRE, wide, ZERO, H, g.linear_from)
    active = activate(g, a[GELU], wide)  # (M, H)
    look(g, layer, MLP_POST, active, ZERO, H, g.activation_from)
    branch = linear(g, a[MLP], C, active, p[MLP_W], p[MLP_B], layer, ADAPT_MLP, g.linear_from, LINEAR_TIME)  # (M, C)
    look(g, layer, MLP_OUT, branch, ZERO, C, g.linear_from)
    drop(g, branch, layer + 1, MLP_DROPOUT)
    out = residual(g, a[RES2], middle, branch)  # (M, C)
    look(g, layer, RESID_POST, out, ZERO, C, g.residual_from)
    return out


# ---------------------------------------------------------------- operations


@part
def matrix(arena: Any, place: int, rows: int, columns: int) -> Any:
    """(rows, columns) view of a flat arena."""
    return arena[place : place + rows * columns].reshape((rows, columns))


@part
def dropout_key(key: Any, layer: int, site: int) -> Any:
    """The key of one dropout site: block 0 is the embedding."""
    return mix(key, np.uint32(layer * 3 + site))


@part
def done(g: Any, operation: int) -> None:
    """An operation ends when every thread is through with it; thread 0 books the time since the one before."""
    barrier(g.cells, g.threads)
    if g.thread == 0:
        now = nanoseconds()
        g.times[operation] += now - g.times[CLOCK]
        g.times[CLOCK] = now


@part
def look(g: Any, layer: int, site: int, x: Any, column: int, width: int, first: int) -> None:
    """Let probes and interventions see rows from `first` on of what an operation gave."""
    hook(g.window, layer, site, x, column, width, first, g.length, g.thread, g.threads, g.cells)


@part
def drop(g: Any, x: Any, layer: int, site: int) -> None:
    """Dropout of x (M, C) in place, in training."""
    if g.rate > 0:
        dropout(x, g.rate, dropout_key(g.key, layer, site), g.length, g.thread, g.threads)
        barrier(g.cells, g.threads)


@part
def layer_norm(g: Any, place: int, x: Any, w: int, b: int, layer: int, site: int) -> Any:
    """x (M, C) -> (M, C)."""
    C = x.shape[1]
    out = matrix(g.activations, place, g.rows, C)
    weight, bias = g.parameters[w : w + C], g.parameters[b : b + C]
    layernorm_forward(out, x, weight, bias, g.epsilon, g.norm_from, g.length, g.thread, g.threads)
    done(g, LAYERNORM_TIME)
    norm_hook(
        g.window, layer, site, out, x, weight, bias, g.epsilon, g.norm_from, g.length, g.thread, g.threads, g.cells
    )
    return out


@part
def linear(
    g: Any, place: int, N: int, x: Any, w: int, b: int, layer: int, projection: int, first: int, operation: int
) -> Any:
    """x (M, K)·wᵀ + b, and what adapters add -> (M, N)."""
    out = matrix(g.activations, place, g.rows, N)
    linear_forward(
        out, x, g.words, w, g.stored, g.scales, g.group_size, g.panel, g.parameters[b : b + N],
        first, g.length, g.thread, g.threads,
    )  # fmt: skip
    low_rank_forward(
        g.adapters, layer, projection, out, x, first, g.length, g.key, g.thread, g.threads, g.cells
    )  # fmt: skip
    done(g, operation)
    return out


@part
def activate(g: Any, place: int, x: Any) -> Any:
    """x (M, H) -> (M, H)."""
    out = matrix(g.activations, place, g.rows, g.hidden)
    activation_forward(
        out, x, g.activation, g.table, g.use_table, g.activation_from, g.length, g.thread, g.threads
    )  # fmt: skip
    done(g, GELU_TIME)
    return out


@part
def residual(g: Any, place: int, x: Any, branch: Any) -> Any:
    """x (M, C) + branch (M, C) -> (M, C)."""
    out = matrix(g.activations, place, g.rows, x.shape[1])
    residual_forward(out, x, branch, g.residual_from, g.length, g.thread, g.threads)
    done(g, RESIDUAL_TIME)
    return out


@part
def attention(g: Any, place: int, layer: int, qkv: Any) -> Any:
    """qkv (M, 3C) -> (M, C), over the caches or, in whole sequences without them, inside the rows."""
    C = qkv.shape[1] // 3
    out = matrix(g.activations, place, g.rows, C)
    scale = g.attention_scales[layer]
    if g.cached:
        attend_to_caches(g, out, qkv, layer, scale)
    else:
        if g.kv != FLOAT32:
            barrier(g.cells, g.threads)  # others may still look at them
            round_as_stored(g.kv, qkv, g.sequences, g.stop, g.heads, g.thread, g.threads)
        site = dropout_key(g.key, layer + 1, ATTENTION_DROPOUT)
        attention_forward(
            out, qkv, g.sequences, g.stop, g.heads, g.scratch, scale, g.rate, site, g.window, layer, g.thread, g.threads
        )
    done(g, ATTENTION_TIME)
    return out


def attend_to_caches(g: Any, mixed: Any, qkv: Any, layer: int, scale: Any) -> None:
    """Positions from `attend_from` on of each sequence enter its cache, and attend to it."""


@overload(attend_to_caches)  # not inlined: Numba then drops what `done` books
def _attend_to_caches(g, mixed, qkv, layer, scale):  # type: ignore[no-untyped-def]
    def float32(g, mixed, qkv, layer, scale):  # type: ignore[no-untyped-def]
        _attend_to_float32(g, mixed, qkv, layer, scale)

    def stored(g, mixed, qkv, layer, scale):  # type: ignore[no-untyped-def]
        _attend_to_stored(g, mixed, qkv, layer, scale)

    return float32 if g.types[g.fields.index("keys")].dtype == types.float32 else stored


@part
def _attend_to_float32(g: Any, mixed: Any, qkv: Any, layer: int, scale: Any) -> None:
    """Positions from `attend_from` on of each sequence enter its cache, and attend to it."""
    C, length = mixed.shape[1], g.stop - g.base
    head_size, span = C // g.heads, C * g.capacity
    start, own = g.base + g.attend_from, shared_until(g.spans)
    for b in range(g.sequences):
        place = (b * g.blocks.shape[0] + layer) * span
        keys = g.keys[place : place + span].reshape((g.heads, head_size, g.capacity))
        values = g.values[place : place + span].reshape((g.heads, g.capacity, head_size))
        rows = qkv[b * length : (b + 1) * length]
        scatter_keys_values(
            keys, values, rows, g.base - own, start - own, g.stop - own, g.heads, head_size, g.thread, g.threads
        )
    barrier(g.cells, g.threads)
    for b in range(g.sequences):
        place = (b * g.blocks.shape[0] + layer) * span
        keys = g.keys[place : place + span].reshape((g.heads, head_size, g.capacity))
        values = g.values[place : place + span].reshape((g.heads, g.capacity, head_size))
        some = slice(b * length, (b + 1) * length)
        if own:
            attention_shared(
                mixed[some], qkv[some], keys, values, g.spans, g.base, start, g.stop, g.scratch, scale, g.window,
                layer, b, g.thread, g.threads,
            )  # fmt: skip
        else:
            attention_cached(
                mixed[some], qkv[some], keys, values, g.base, start, g.stop, g.scratch, scale, g.window, layer, b,
                g.thread, g.threads,
            )  # fmt: skip


@part
def _attend_to_stored(g: Any, mixed: Any, qkv: Any, layer: int, scale: Any) -> None:
    C, length = mixed.shape[1], g.stop - g.base
    start, own, layers = g.base + g.attend_from, shared_until(g.spans), g.blocks.shape[0]
    for b in range(g.sequences):
        scatter_stored(
            g.kv, g.keys, g.values, g.key_scales, g.value_scales, (b * layers + layer) * g.heads, g.capacity,
            qkv[b * length : (b + 1) * length], g.base - own, start - own, g.stop - own, g.heads, C // g.heads,
            g.thread, g.threads,
        )  # fmt: skip
    barrier(g.cells, g.threads)
    for b in range(g.sequences):
        some = slice(b * length, (b + 1) * length)
        attention_stored(
            mixed[some], qkv[some], g.kv, g.keys, g.values, g.key_scales, g.value_scales,
            (b * layers + layer) * g.heads, g.capacity, g.spans, g.base, start, g.stop, g.heads, g.scratch, scale,
            g.window, layer, b, g.thread, g.threads,
        )  # fmt: skip
