"""GPT-2's forward pass: one path for decoding, prompts, training, every set of optimizations, and looking inside."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.config import ACTIVATIONS, GPT2Config
from sg_core.errors import SettingError
from sg_core.kernels.activation import activation_table
from sg_core.kernels.attention import ROWS, forward_scratch
from sg_core.kernels.formats import FLOAT32
from sg_core.kernels.jit import entry
from sg_core.kernels.linear import linear_forward
from sg_core.kernels.probe import LN_FINAL_SCALE, embed
from sg_core.kernels.products import PANEL_SIZE
from sg_core.kernels.simd import ZERO, nanoseconds
from sg_core.kernels.team import Team
from sg_core.memory import aligned
from sg_core.network.activations import PROJ, Activations
from sg_core.network.adapters import Adapters
from sg_core.network.block import (
    CLOCK,
    EMBEDDING_TIME,
    OPERATIONS,
    UNEMBEDDING_TIME,
    Context,
    block,
    done,
    drop,
    layer_norm,
    matrix,
)
from sg_core.network.kv_cache import KVCache
from sg_core.network.parameters import HEAD, LNF_B, LNF_W, WPE, WTE, Parameters
from sg_core.network.recompute import block_again
from sg_core.network.weights import Weights
from sg_core.types import FloatArray

# Cells of `starts`: the first position each kind of operation computes, in the order of optimizations.STAGES.
LAYERNORM, ATTENTION, LINEAR, GELU, RESIDUAL = range(5)


@entry
def forward(
    thread: int, threads: int, cells: Any,
    C: int, heads: int, hidden: int, epsilon: Any, attention_scales: Any, activation: int, table: Any, parameters: Any,
    blocks: Any, ends: Any, words: Any, stored: int, scales: Any, group_size: int, panels: Any,
    ids: Any, base: int, stop: int, starts: Any, use_table: bool,
    activations: Any, places: Any, embedding_place: int, final_place: int, rows: int,
    cached: bool, kv: int, keys: Any, values: Any, key_scales: Any, value_scales: Any, capacity: int, spans: Any,
    scratch: Any, rate: Any, key: Any,
    logits: Any, logits_from: int, logits_to: int, times: Any, adapters: Any, window: Any,
) -> None:  # fmt: skip
    """Run positions up to `stop` through the model; every thread of a team calls it with the same arguments.

    ids (B, n) int32 are the new tokens: positions stop-n:stop of each of B sequences. Buffers of `activations` have
    `rows` rows; row b*(stop-base) + t - base belongs to position t of sequence b. starts (5,) are first positions;
    with B > 1 all of them are `base`. With `cached`, keys (B, L, NH, hs, capacity) and values (B, L, NH, capacity, hs),
    flat, receive the positions that attention computes; else attention stays inside the rows, and sees them as such
    caches would give them back. They are float32 beside float32 weights, else bytes in the format `kv` with scales
    (B, L, NH, capacity) (see `kernels.stored_attention`).
    spans: positions before those, which other texts share (see `kernels.shared_attention`).
    rate > 0 drops out. Rows logits_from:logits_to of the final norm become logits (n, V) from row 0 on.
    times (9,) int64 gains the nanoseconds of each operation. adapters: see `kernels.low_rank`; window: see
    `kernels.probe`.
    """
    B, L = ids.shape[0], places.shape[0]
    new = stop - ids.shape[1]
    # with several sequences all rows are new, and those of one operation are one range
    g = Context(
        thread, threads, cells, heads, hidden, epsilon, attention_scales, activation, table, use_table,
        parameters, blocks, words, stored, scales, group_size, panels[thread], activations, places, rows,
        B, base, stop, B * (stop - base), new - base,
        starts[LAYERNORM] - base, starts[ATTENTION] - base, starts[LINEAR] - base, starts[GELU] - base,
        starts[RESIDUAL] - base, cached, kv, keys, values, key_scales, value_scales,
        capacity, spans, scratch, rate, key, times, adapters, window,
    )  # fmt: skip
    if thread == 0:
        times[CLOCK] = nanoseconds()

    x = matrix(activations, embedding_place, rows, C)  # (M, C)
    wpe = matrix(parameters, ends[WPE], stop, C)
    room = matrix(activations, places[0, PROJ], rows, C)
    embed(
        window, L, x, room, ids, words, ends[WTE], stored, scales, group_size, panels[thread], wpe, new, g.new_from,
        thread, threads, cells,
    )  # fmt: skip
    drop(g, x, ZERO, ZERO)
    done(g, EMBEDDING_TIME)
    for layer in range(L):
        x = block(g, layer, x)  # (M, C)
    final = layer_norm(g, final_place, x, ends[LNF_W], ends[LNF_B], L, LN_FINAL_SCALE)  # (M, C)
    if logits_to > logits_from:
        linear_forward(
            logits, final[logits_from:logits_to], words, ends[HEAD], stored, scales, group_size, panels[thread],
            parameters[0:0], ZERO, logits_to - logits_from, thread, threads,
        )  # fmt: skip
        done(g, UNEMBEDDING_TIME)


class Pass:
    """Calls `forward` for one set of weights and one team: the only place that knows the order of its arguments.

    times (8,) int64: nanoseconds of each of OPERATIONS in the last pass.
    """

    def __init__(self, parameters: Parameters, weights: Weights, team: Team, adapters: Adapters | None = None) -> None:
        config = parameters.config
        activation = config.activation_function
        parameters = parameters.vectors
        self.parameters, self.weights, self.team = parameters, weights, team
        self._no_cache = KVCache(config, weights.storage.cached, 0).read_by(weights.storage)
        self._times = np.zeros(len(OPERATIONS) + 1, np.int64)
        self.times = self._times[: len(OPERATIONS)]
        self._scratch = aligned(team.threads, 0)
        self._packed = None if adapters is None else adapters.packed()
        self._adapters: Any = None  # as kernels see them
        self._adapted = (0, 0.0)  # rows they have room for, and their dropout
        self._model = (
            config.n_embd, config.n_head, config.hidden_size, np.float32(config.layer_norm_epsilon),
            attention_scales(config), ACTIVATIONS.index(activation), activation_table(activation),
            parameters.arena, *weights.places(parameters.layout), weights.words, weights.stored, weights.scales,
            weights.share, aligned(team.threads, PANEL_SIZE),
        )  # fmt: skip

    def run(
        self, ids: Any, stop: int, starts: Any, activations: Activations, logits: FloatArray, wanted: tuple[int, int],
        *, cache: KVCache | None, use_table: bool, rate: float = 0.0, key: int = 0, adapter_rate: float = 0.0,
        window: Any = None,
    ) -> None:  # fmt: skip
        """One pass over new tokens ids (B, n) int32 at positions stop-n:stop; see `forward`.

        starts (5,): the first position each kind of operation computes. `wanted` rows of the final norm become rows of
        logits. adapter_rate: of dropout before adapters. Without a cache whole sequences are computed. Raises
        SettingError where there is no room: kernels check no bounds.
        """
        B, n = ids.shape
        base = 0 if activations.kept else stop - n
        size = self.parameters.config.head_size
        if (
            B * (stop - base) > activations.rows
            or wanted[1] - wanted[0] > len(logits)
            or (cache is not None and (stop > cache.positions or cache.count < B))
        ):
            raise SettingError(f"there is no room for {n} tokens at position {stop - n}")
        self._reserve(forward_scratch(size, stop) if cache is None else ROWS * cache.positions)
        kept = self._no_cache if cache is None else cache.read_by(self.weights.storage)
        if cache is None and activations.kept:
            kept = (FLOAT32, *kept[1:])  # what learns sees its keys and values as they are
        self._times.fill(0)
        self.team.run(
            forward, *self._model, ids, base, stop, starts, use_table,
            activations.arena, activations.places, activations.embedding, activations.final_norm, activations.rows,
            cache is not None, *kept, self._scratch, np.float32(rate), np.uint32(key), logits, *wanted, self._times,
            self.adapters(activations.rows, adapter_rate), window,
        )  # fmt: skip

    def again(self, layer: int, shape: tuple[int, int], activations: Activations, rate: float, key: int) -> None:
        """Compute one block of the last pass over whole sequences of this shape once more, from its input."""
        self.team.run(
            block_again, *self._model, layer, *shape, activations.arena, activations.places, activations.embedding,
            activations.rows, *self._no_cache, self._scratch, np.float32(rate), np.uint32(key), self._times,
        )  # fmt: skip

    def adapters(self, rows: int, rate: float) -> Any:
        """As kernels see them, with room for so many rows; None where there are none."""
        if self._packed is not None and (rows > self._adapted[0] or rate != self._adapted[1]):
            self._adapters, self._adapted = self._packed.arrays(rows, rate), (rows, rate)
        return self._adapters

    def _reserve(self, size: int) -> None:
        if self._scratch.shape[1] < size:
            self._scratch = aligned(self.team.threads, size)


def attention_scales(config: GPT2Config) -> FloatArray:
    """(L,) what scores are multiplied by in each layer: 1/sqrt(hs), by the layer's number where the model says so."""
    scale = 1.0 / np.sqrt(np.float64(config.head_size)) if config.scale_attn_weights else 1.0
    layers = np.arange(1, config.n_layer + 1) if config.scale_attn_by_inverse_layer_idx else 1
    return (np.full(config.n_layer, scale) / layers).astype(np.float32)
