"""The loss and its gradients, from the activations that the forward pass kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.activation import activation_backward
from sg_core.kernels.attention import attention_backward
from sg_core.kernels.cross_entropy import cross_entropy_backward, cross_entropy_forward
from sg_core.kernels.distillation import add_soft_targets, distillation_backward
from sg_core.kernels.dropout import dropout, dropout_of
from sg_core.kernels.embedding import embedding_backward
from sg_core.kernels.formats import FLOAT32
from sg_core.kernels.jit import entry, kernel
from sg_core.kernels.layernorm import layernorm_backward_input, layernorm_backward_weight
from sg_core.kernels.linear import linear_backward_input, linear_backward_weight, linear_forward
from sg_core.kernels.simd import ONE, ZERO
from sg_core.kernels.team import barrier, share_start
from sg_core.network.activations import ATT, FC, GELU, LN1, LN2, QKV, RES1, RES2
from sg_core.network.block import ATTENTION_DROPOUT, MLP_DROPOUT, PROJECTION_DROPOUT, dropout_key, matrix
from sg_core.network.parameters import (
    FC_B,
    FC_W,
    HEAD,
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


@kernel
def unembed(
    logits: Any, final: Any, words: Any, place: int, stored: int, scales: Any, group_size: int, panel: Any, rows: int,
    thread: int, threads: int,
) -> None:  # fmt: skip
    """logits (rows, V) = final (rows, C)·headᵀ (V, C); the head as `linear_forward` wants its weight."""
    none = scales[0:0]
    linear_forward(
        logits, final, words, place, stored, scales, group_size, panel, none, ZERO, rows, thread, threads
    )  # fmt: skip


@entry
def loss_forward(
    thread: int, threads: int, cells: Any, losses: Any, final: Any, words: Any, place: int, stored: int, scales: Any,
    group_size: int, panels: Any, targets: Any, logits: Any,
) -> None:  # fmt: skip
    """losses (M,) float64, nats, of final (M, C) against targets (M,); logits (R, V) is room for R rows at a time."""
    M = final.shape[0]
    R = logits.shape[0]
    for first in range(0, M, R):
        rows = min(R, M - first)
        some = final[first : first + rows]
        unembed(logits, some, words, place, stored, scales, group_size, panels[thread], rows, thread, threads)
        barrier(cells, threads)
        cross_entropy_forward(losses, logits, targets, first, rows, thread, threads)
        barrier(cells, threads)


@entry
def soft_targets(
    thread: int, threads: int, cells: Any, soft: Any, logits: Any, temperature: Any, share: Any
) -> None:  # fmt: skip
    """As `add_soft_targets`."""
    add_soft_targets(soft, logits, temperature, share, thread, threads)
    barrier(cells, threads)


@kernel
def loss_backward(
    thread: int, threads: int, cells: Any, losses: Any, dfinal: Any, dhead: Any, final: Any, head: Any, targets: Any,
    logits: Any, scale: Any, room: Any, soft: Any, mix: Any, temperature: Any,
) -> None:  # fmt: skip
    """As `loss_forward`; also dfinal (M, C) = and dhead (V, C) += the gradients of scale * sum(losses).

    soft: probabilities of teachers (M, V), or none (0, V); see `distillation_backward`.
    """
    M = final.shape[0]
    R = logits.shape[0]
    flat = head.reshape(-1)
    none = flat[0:0]
    for first in range(0, M, R):
        rows = min(R, M - first)
        some = final[first : first + rows]
        unembed(logits, some, flat, ZERO, FLOAT32, none, ONE, none, rows, thread, threads)
        barrier(cells, threads)
        if soft.shape[0]:
            distillation_backward(
                losses, logits, targets, soft, mix, temperature, scale, first, rows, thread, threads
            )  # fmt: skip
        else:
            cross_entropy_backward(losses, logits, targets, scale, first, rows, thread, threads)
        barrier(cells, threads)
        linear_backward_input(dfinal[first : first + rows], logits, head, rows, room, thread, threads)
        linear_backward_weight(dhead, none, logits, some, rows, room, thread, threads)
        barrier(cells, threads)


@kernel
def _linear(
    thread: int, threads: int, dx: Any, dparameters: Any, dy: Any, x: Any, parameters: Any, w_place: int, b_place: int,
    room: Any,
) -> None:  # fmt: skip
    """Gradients of one projection: dx =, and the weight's and bias's places in `dparameters` +=."""
    M, N = dy.shape
    K = x.shape[1]
    linear_backward_input(dx, dy, matrix(parameters, w_place, N, K), M, room, thread, threads)
    dbias = dparameters[b_place : b_place + N]
    linear_backward_weight(matrix(dparameters, w_place, N, K), dbias, dy, x, M, room, thread, threads)


@kernel
def _layernorm(
    thread: int, threads: int, cells: Any, dx: Any, dparameters: Any, dy: Any, x: Any, parameters: Any,
    w_place: int, b_place: int, statistics: Any, epsilon: Any,
) -> None:  # fmt: skip
    """Gradients of one layer norm: dx +=, and the weight's and bias's places +=."""
    M, C = x.shape
    weight = parameters[w_place : w_place + C]
    layernorm_backward_input(dx, dy, x, weight, statistics, epsilon, M, thread, threads)
    barrier(cells, threads)
    dweight, dbias = dparameters[w_place : w_place + C], dparameters[b_place : b_place + C]
    layernorm_backward_weight(dweight, dbias, dy, x, statistics, M, thread, threads)
    barrier(cells, threads)


@entry
def backward(
    thread: int, threads: int, cells: Any,
    C: int, heads: int, H: int, epsilon: Any, attention_scales: Any, activation: int, parameters: Any, blocks: Any,
    ends: Any, ids: Any, targets: Any, dparameters: Any,
    activations: Any, places: Any, embedding_place: int, final_place: int,
    dx: Any, dbranch: Any, dnorm: Any, dwide: Any, dqkv: Any, statistics: Any,
    scratch: Any, rooms: Any, rate: Any, key: Any, logits: Any, losses: Any, scale: Any,
    soft: Any, mix: Any, temperature: Any, bottom: int, top: int,
) -> None:  # fmt: skip
    """dparameters += gradients of scale * sum(losses); losses (M,) = nats of each of the M = B*T targets.

    Of blocks bottom:top alone, from the last ones on: with what lies behind the last block, and before the first one.

    ids (B, T), targets (M,) int32; `activations` are the kept ones of `forward` on the same ids, rate and key.
    Room: dx, dbranch, dnorm (M, C), dwide (M, H), dqkv (M, 3C), statistics (M, 2), and scratch as
    `attention_backward` wants it, rooms (threads, BLOCKED_ROOM).
    """
    room = rooms[thread]
    B, T = ids.shape
    M = B * T
    V = logits.shape[1]
    L = places.shape[0]
    if top == L:
        loss_backward(
            thread, threads, cells, losses, dnorm, matrix(dparameters, ends[HEAD], V, C),
            matrix(activations, final_place, M, C), matrix(parameters, ends[HEAD], V, C), targets, logits, scale, room,
            soft, mix, temperature,
        )  # fmt: skip
        for m in range(share_start(M, thread, threads), share_start(M, thread + 1, threads)):
            dx[m, :] = np.float32(0.0)
        barrier(cells, threads)
        last = matrix(activations, places[L - 1, RES2], M, C)
        _layernorm(
            thread, threads, cells, dx, dparameters, dnorm, last, parameters, ends[LNF_W], ends[LNF_B], statistics,
            epsilon,
        )  # fmt: skip
    for layer in range(top - 1, bottom - 1, -1):
        p = blocks[layer]
        a = places[layer]
        x_place = embedding_place if layer == 0 else places[layer - 1, RES2]
        dout = dx
        if rate > 0:
            dropout_of(dbranch, dx, rate, dropout_key(key, layer + 1, MLP_DROPOUT), M, thread, threads)
            barrier(cells, threads)
            dout = dbranch
        active = matrix(activations, a[GELU], M, H)
        _linear(thread, threads, dwide, dparameters, dout, active, parameters, p[MLP_W], p[MLP_B], room)
        barrier(cells, threads)
        activation_backward(dwide, matrix(activations, a[FC], M, H), activation, M, thread, threads)
        barrier(cells, threads)
        norm = matrix(activations, a[LN2], M, C)
        _linear(thread, threads, dnorm, dparameters, dwide, norm, parameters, p[FC_W], p[FC_B], room)
        barrier(cells, threads)
        middle = matrix(activations, a[RES1], M, C)
        _layernorm(
            thread, threads, cells, dx, dparameters, dnorm, middle, parameters, p[LN2_W], p[LN2_B], statistics, epsilon
        )
        dout = dx
        if rate > 0:
            dropout_of(dbranch, dx, rate, dropout_key(key, layer + 1, PROJECTION_DROPOUT), M, thread, threads)
            barrier(cells, threads)
            dout = dbranch
        mixed = matrix(activations, a[ATT], M, C)
        _linear(thread, threads, dnorm, dparameters, dout, mixed, parameters, p[PROJ_W], p[PROJ_B], room)
        barrier(cells, threads)
        attention_backward(
            dqkv, dnorm, matrix(activations, a[QKV], M, 3 * C), B, T, heads, scratch, attention_scales[layer],
            rate, dropout_key(key, layer + 1, ATTENTION_DROPOUT), thread, threads,
        )  # fmt: skip
        barrier(cells, threads)
        norm = matrix(activations, a[LN1], M, C)
        _linear(thread, threads, dnorm, dparameters, dqkv, norm, parameters, p[QKV_W], p[QKV_B], room)
        barrier(cells, threads)
        x = matrix(activations, x_place, M, C)
        _layernorm(
            thread, threads, cells, dx, dparameters, dnorm, x, parameters, p[LN1_W], p[LN1_B], statistics, epsilon
        )
    if bottom > 0:
        return
    if rate > 0:
        dropout(dx, rate, dropout_key(key, ZERO, ZERO), M, thread, threads)
        barrier(cells, threads)
    dwte, dwpe = matrix(dparameters, ends[WTE], V, C), matrix(dparameters, ends[WPE], T, C)
    embedding_backward(dwte, dwpe, dx, ids, thread, threads)
    barrier(cells, threads)
