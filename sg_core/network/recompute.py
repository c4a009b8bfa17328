"""A block's activations, computed once more from its input: memory for time (Chen et al. 2016)."""

from __future__ import annotations

from typing import Any

from sg_core.kernels.jit import entry
from sg_core.kernels.simd import ZERO
from sg_core.kernels.system import nanoseconds
from sg_core.network.activations import RES2
from sg_core.network.block import CLOCK, Context, block, matrix


@entry
def block_again(
    thread: int, threads: int, cells: Any,
    C: int, heads: int, hidden: int, epsilon: Any, attention_scales: Any, activation: int, table: Any, parameters: Any,
    blocks: Any, ends: Any, words: Any, stored: int, scales: Any, group_size: int, panels: Any,
    layer: int, B: int, T: int, activations: Any, places: Any, embedding_place: int, rows: int,
    kv: int, keys: Any, values: Any, key_scales: Any, value_scales: Any, capacity: int, spans: Any, scratch: Any,
    rate: Any, key: Any, times: Any,
) -> None:  # fmt: skip
    """Block `layer` of a forward pass over whole sequences (B, T), bit for bit, from the input that lies there still.

    The arguments are those of `forward`, for a pass without caches.
    """
    g = Context(
        thread, threads, cells, heads, hidden, epsilon, attention_scales, activation, table, False,
        parameters, blocks, words, stored, scales, group_size, panels[thread], activations, places, rows,
        B, ZERO, T, B * T, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, False, kv, keys, values,
        key_scales, value_scales, capacity, spans, scratch, rate, key, times, None, None,
    )  # fmt: skip
    if thread == 0:
        times[CLOCK] = nanoseconds()
    place = embedding_place if layer == 0 else places[layer - 1, RES2]
    block(g, layer, matrix(activations, place, rows, C))
