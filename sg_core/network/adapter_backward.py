"""The gradients of adapters, through a base that learns nothing: no matrix of it, norm or embedding gets any."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sg_core.kernels.activation import activation_backward
from sg_core.kernels.attention import attention_backward
from sg_core.kernels.cross_entropy import cross_entropy_backward
from sg_core.kernels.distillation import distillation_backward
from sg_core.kernels.dropout import dropout_of
from sg_core.kernels.jit import entry, kernel, part
from sg_core.kernels.layernorm import layernorm_backward_input
from sg_core.kernels.low_rank import low_rank_backward
from sg_core.kernels.stored import stored_backward_input
from sg_core.kernels.team import barrier, share_start
from sg_core.network.activations import ATT, FC, GELU, LN1, LN2, QKV, RES1, RES2
from sg_core.network.backward import unembed
from sg_core.network.block import (
    ADAPT_FC,
    ADAPT_MLP,
    ADAPT_PROJ,
    ADAPT_QKV,
    ATTENTION_DROPOUT,
    MLP_DROPOUT,
    PROJECTION_DROPOUT,
    dropout_key,
    matrix,
)
from sg_core.network.parameters import FC_W, HEAD, LN1_W, LN2_W, LNF_W, MLP_W, PROJ_W, QKV_W


class Frozen(NamedTuple):
    """What the operations of a backward pass share, made once in each thread. M = B*T rows."""

    thread: int
    threads: int
    cells: Any  # of the barrier
    epsilon: Any
    parameters: Any  # flat: norms are read here
    words: Any  # the matrices, as `linear_forward` wants them
    stored: int
    scales: Any
    group_size: int
    room: Any
    panel: Any
    activations: Any
    statistics: Any
    dbranch: Any
    rate: Any
    key: Any
    adapters: Any
    dadapters: Any


@kernel
def frozen_loss_backward(
    thread: int, threads: int, cells: Any, losses: Any, dfinal: Any, final: Any, words: Any, place: int, stored: int,
    scales: Any, group_size: int, panel: Any, targets: Any, logits: Any, scale: Any, room: Any, back_panel: Any,
    soft: Any, mix: Any, temperature: Any,
) -> None:  # fmt: skip
    """As `backward.loss_backward`, without the gradient of the head, which may be in any storage but int4."""
    M, R = final.shape[0], logits.shape[0]
    for first in range(0, M, R):
        rows = min(R, M - first)
        some = final[first : first + rows]
        unembed(logits, some, words, place, stored, scales, group_size, panel, rows, thread, threads)
        barrier(cells, threads)
        if soft.shape[0]:
            distillation_backward(
                losses, logits, targets, soft, mix, temperature, scale, first, rows, thread, threads
            )  # fmt: skip
        else:
            cross_entropy_backward(losses, logits, targets, scale, first, rows, thread, threads)
        barrier(cells, threads)
        stored_backward_input(
            dfinal[first : first + rows], logits, words, place, stored, scales, group_size, rows, room, back_panel,
            thread, threads,
        )  # fmt: skip
        barrier(cells, threads)


@part
def projection_backward(g: Any, layer: int, projection: int, dx: Any, dy: Any, x: Any, w: int) -> None:
    """dx (M, K) = what dy (M, N) means for x (M, K), through the base and adapters; gradients of the latter +=."""
    stored_backward_input(
        dx, dy, g.words, w, g.stored, g.scales, g.group_size, x.shape[0], g.room, g.panel, g.thread, g.threads
    )  # fmt: skip
    low_rank_backward(
        g.adapters, g.dadapters, layer, projection, dx, dy, x, g.key, g.room, g.thread, g.threads, g.cells
    )  # fmt: skip
    barrier(g.cells, g.threads)


@part
def norm_backward(g: Any, dx: Any, dy: Any, x: Any, w: int) -> None:
    """dx (M, C) += what dy means for the x of a layer norm."""
    M, C = x.shape
    layernorm_backward_input(
        dx, dy, x, g.parameters[w : w + C], g.statistics, g.epsilon, M, g.thread, g.threads
    )  # fmt: skip
    barrier(g.cells, g.threads)


@part
def branch_gradient(g: Any, dx: Any, layer: int, site: int) -> Any:
    """What reaches a residual branch: dx, after dropout's own gradient."""
    if g.rate > 0:
        dropout_of(g.dbranch, dx, g.rate, dropout_key(g.key, layer + 1, site), dx.shape[0], g.thread, g.threads)
        barrier(g.cells, g.threads)
        return g.dbranch
    return dx


@entry
def adapter_backward(
    thread: int, threads: int, cells: Any,
    C: int, heads: int, H: int, epsilon: Any, attention_scales: Any, activation: int, parameters: Any, blocks: Any,
    ends: Any, words: Any, stored: int, scales: Any, group_size: int, panels: Any, B: int, targets: Any,
    activations: Any, places: Any, embedding_place: int, final_place: int,
    dx: Any, dbranch: Any, dnorm: Any, dwide: Any, dqkv: Any, statistics: Any, scratch: Any, rooms: Any,
    back_panels: Any, rate: Any, key: Any, logits: Any, losses: Any, scale: Any, soft: Any, mix: Any, temperature: Any,
    adapters: Any, dadapters: Any, lowest: int,
) -> None:  # fmt: skip
    """dadapters += gradients of scale * sum(losses); losses (M,) = nats of each of the M = B*T targets.

    As `backward.backward`, with matrices in any storage but int4, and back_panels (threads, STORED_ROOM). The way back
    ends in block `lowest`, below which nothing is adapted.
    """
    M = targets.shape[0]
    g = Frozen(
        thread, threads, cells, epsilon, parameters, words, stored, scales, group_size, rooms[thread],
        back_panels[thread], activations, statistics, dbranch, rate, key, adapters, dadapters,
    )  # fmt: skip
    frozen_loss_backward(
        thread, threads, cells, losses, dnorm, matrix(activations, final_place, M, C), words, ends[HEAD], stored,
        scales, group_size, panels[thread], targets, logits, scale, g.room, g.panel, soft, mix, temperature,
    )  # fmt: skip
    for m in range(share_start(M, thread, threads), share_start(M, thread + 1, threads)):
        dx[m, :] = np.float32(0.0)
    barrier(cells, threads)
    norm_backward(g, dx, dnorm, matrix(activations, places[places.shape[0] - 1, RES2], M, C), ends[LNF_W])
    for layer in range(places.shape[0] - 1, lowest - 1, -1):
        p, a = blocks[layer], places[layer]

        dout = branch_gradient(g, dx, layer, MLP_DROPOUT)
        projection_backward(g, layer, ADAPT_MLP, dwide, dout, matrix(activations, a[GELU], M, H), p[MLP_W])
        activation_backward(dwide, matrix(activations, a[FC], M, H), activation, M, thread, threads)
        barrier(cells, threads)
        projection_backward(g, layer, ADAPT_FC, dnorm, dwide, matrix(activations, a[LN2], M, C), p[FC_W])
        norm_backward(g, dx, dnorm, matrix(activations, a[RES1], M, C), p[LN2_W])

        dout = branch_gradient(g, dx, layer, PROJECTION_DROPOUT)
        projection_backward(g, layer, ADAPT_PROJ, dnorm, dout, matrix(activations, a[ATT], M, C), p[PROJ_W])
        attention_backward(
            dqkv, dnorm, matrix(activations, a[QKV], M, 3 * C), B, M // B, heads, scratch, attention_scales[layer],
            rate, dropout_key(key, layer + 1, ATTENTION_DROPOUT), thread, threads,
        )  # fmt: skip
        barrier(cells, threads)
        projection_backward(g, layer, ADAPT_QKV, dnorm, dqkv, matrix(activations, a[LN1], M, C), p[QKV_W])
        x_place = embedding_place if layer == 0 else places[layer - 1, RES2]
        norm_backward(g, dx, dnorm, matrix(activations, x_place, M, C), p[LN1_W])
