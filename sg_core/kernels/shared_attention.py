"""Attention over a KV cache whose earlier positions lie in arrays that other texts share.

The same sums in the same order as `attention_cached`: scores are a column a key, values are added key after key.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from sg_core.kernels.attention import ROWS, causal_softmax, padded
from sg_core.kernels.jit import kernel
from sg_core.kernels.probe import keep_pattern, keep_scores
from sg_core.kernels.products import add_outer
from sg_core.kernels.simd import ONE, apart, constants, i64, intrinsic

# Columns of `spans` (S, 5) int64, a row for each run of shared positions: where it ends (the first begins at 0, each
# other one where the one before it ends), the position that its arrays begin with, how many these have room for, and
# the addresses of keys (L, NH, hs, capacity) and values (L, NH, capacity, hs), and of the scales of both (L, NH,
# capacity), where they have some. All but addresses are multiples of 16.
SPAN_FIELDS = 7
(
    SPAN_STOP, SPAN_FIRST, SPAN_CAPACITY, SPAN_KEYS, SPAN_VALUES, SPAN_KEY_SCALES, SPAN_VALUE_SCALES,
) = constants(SPAN_FIELDS)  # fmt: skip
_ZERO = np.float32(0.0)


@intrinsic
def array_at(typing, like, address, count):  # type: ignore[no-untyped-def]
    """(count,) numbers at an address, whose owner keeps them; `like`: an array of this type."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array = context.make_array(sig.return_type)(context, builder)
        element = context.get_data_type(sig.return_type.dtype)
        size = i64(context.get_abi_sizeof(element))
        context.populate_array(
            array, data=builder.inttoptr(args[1], element.as_pointer()), shape=[args[2]], strides=[size],
            itemsize=size, meminfo=None,
        )  # fmt: skip
        return array._getvalue()

    return like(like, types.int64, types.int64), generate


@kernel
def shared_until(spans: Any) -> int:
    """The first position that is a text's own."""
    count = spans.shape[0]
    return spans[count - 1, SPAN_STOP] if count else 0


@kernel
def attention_shared(
    out: Any, qkv: Any, keys: Any, values: Any, spans: Any, base: int, start: int, stop: int, scratch: Any, scale: Any,
    window: Any, layer: int, sequence: int, thread: int, threads: int,
) -> None:  # fmt: skip
    """As `attention_cached`, of positions after the shared ones; keys and values hold those from there on.

    scratch: (threads, ROWS * positions).
    """
    apart()
    heads, head_size, capacity = keys.shape
    C = heads * head_size
    size = head_size * capacity
    flat_out, flat_qkv, flat_keys, flat_values = out.reshape(-1), qkv.reshape(-1), keys.reshape(-1), values.reshape(-1)
    blocks = (stop - start + ROWS - 1) // ROWS
    own = shared_until(spans)
    scores = scratch[thread]
    for unit in range(thread, heads * blocks, threads):
        h = unit % heads
        first = start + unit // heads * ROWS
        rows, row = min(ROWS, stop - first), first - base
        seen, columns = first + rows, padded(first + rows)
        q0, o0 = row * 3 * C + h * head_size, row * C + h * head_size
        scores[: rows * columns] = _ZERO
        begin = 0
        for s in range(spans.shape[0]):
            width, place, end = spans[s, SPAN_CAPACITY], begin - spans[s, SPAN_FIRST], spans[s, SPAN_STOP]
            span = head_size * width
            their_keys = array_at(flat_keys, spans[s, SPAN_KEYS] + (layer * heads + h) * span * 4, span)
            add_outer(
                scores, begin, columns, flat_qkv, q0, 3 * C, ONE, their_keys, place, width, rows, end - begin, head_size
            )
            begin = end
        add_outer(
            scores, own, columns, flat_qkv, q0, 3 * C, ONE, flat_keys, h * size, capacity, rows, columns - own,
            head_size,
        )  # fmt: skip
        keep_scores(window, layer, sequence * heads + h, scores, columns, first, rows, scale)
        causal_softmax(scores, columns, first, rows, columns, scale)
        keep_pattern(window, layer, sequence * heads + h, scores, columns, first, rows)
        for r in range(rows):
            flat_out[o0 + r * C : o0 + r * C + head_size] = _ZERO
        begin = 0
        for s in range(spans.shape[0]):
            width, place, end = spans[s, SPAN_CAPACITY], begin - spans[s, SPAN_FIRST], spans[s, SPAN_STOP]
            span = head_size * width
            their_values = array_at(flat_keys, spans[s, SPAN_VALUES] + (layer * heads + h) * span * 4, span)
            add_outer(
                flat_out, o0, C, scores, begin, columns, ONE, their_values, place * head_size, head_size, rows,
                head_size, end - begin,
            )  # fmt: skip
            begin = end
        add_outer(
            flat_out, o0, C, scores, own, columns, ONE, flat_values, h * size, head_size, rows, head_size, seen - own
        )
