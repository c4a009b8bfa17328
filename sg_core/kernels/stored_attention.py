"""Attention over a KV cache of reduced weights: keys and values in 32, 16 or 8 bits, of a text's own and shared ones.

In 8 bits a number is worth q * scale, each head and position having a scale of its keys and one of its values: that of
a key multiplies its score, that of a value its probability, so that q itself is what is multiplied and added. The order
of the sums is that of `attention.attention_cached`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.attention import ROWS, causal_softmax, padded
from sg_core.kernels.formats import BFLOAT16, INT8, UNSCALED
from sg_core.kernels.jit import kernel
from sg_core.kernels.probe import keep_pattern, keep_scores
from sg_core.kernels.products import outer_product
from sg_core.kernels.shared_attention import (
    SPAN_CAPACITY,
    SPAN_FIRST,
    SPAN_KEY_SCALES,
    SPAN_KEYS,
    SPAN_STOP,
    SPAN_VALUE_SCALES,
    SPAN_VALUES,
    array_at,
    shared_until,
)
from sg_core.kernels.simd import ZERO, apart, as_bfloat16, as_int8, put_bfloat16, put_float32, put_int8
from sg_core.kernels.team import share_start

_ZERO = np.float32(0.0)
_LARGEST = np.float32(127.0)
_add_float32, _add_bfloat16, _add_int8 = (outer_product(stored) for stored in UNSCALED)


@kernel
def _put(kv: int, words: Any, place: int, value: Any) -> None:
    """Number `place` of `words` becomes a value, of 32 or 16 bits."""
    if kv == BFLOAT16:
        put_bfloat16(words, place, value)
    else:
        put_float32(words, place, value)


@kernel
def _scale(row: Any) -> Any:
    """What the largest of some numbers is when it is worth 127; not finite where one of them is not."""
    most, damage = _ZERO, _ZERO
    for i in range(row.shape[0]):
        most = max(most, abs(row[i]))
        damage += row[i] * _ZERO
    return most / _LARGEST + damage


@kernel
def scatter_stored(
    kv: int, keys: Any, values: Any, key_scales: Any, value_scales: Any, unit: int, capacity: int, qkv: Any,
    base: int, start: int, stop: int, heads: int, head_size: int, thread: int, threads: int,
) -> None:  # fmt: skip
    """As `attention.scatter_keys_values`, in the format `kv`, into the heads from number `unit` on of a cache.

    keys (units, hs, capacity), values (units, capacity, hs), flat bytes; scales (units, capacity), flat.
    """
    C = heads * head_size
    for h in range(share_start(heads, thread, threads), share_start(heads, thread + 1, threads)):
        for t in range(start, stop):
            row, first, place = qkv[t - base], C + h * head_size, (unit + h) * capacity + t
            some, others = row[first : first + head_size], row[first + C : first + C + head_size]
            key, value = (unit + h) * head_size * capacity + t, place * head_size
            if kv == INT8:
                some_scale, other_scale = _scale(some), _scale(others)
                key_scales[place], value_scales[place] = some_scale, other_scale
                some_factor = np.float32(1.0) / some_scale if some_scale > _ZERO else _ZERO
                other_factor = np.float32(1.0) / other_scale if other_scale > _ZERO else _ZERO
                for j in range(head_size):
                    put_int8(keys, key + j * capacity, some[j] * some_factor)
                    put_int8(values, value + j, others[j] * other_factor)
            else:
                for j in range(head_size):
                    _put(kv, keys, key + j * capacity, some[j])
                    _put(kv, values, value + j, others[j])


@kernel
def round_as_stored(kv: int, qkv: Any, batch: int, T: int, heads: int, thread: int, threads: int) -> None:
    """Keys and values of `batch` whole sequences of T rows, qkv (B*T, 3C), become what a cache would give back.

    Each thread takes the (sequence, head) pairs that `attention.attention_forward` gives it next.
    """
    C = qkv.shape[1] // 3
    head_size = C // heads
    for unit in range(thread, batch * heads, threads):
        row, first = unit // heads * T, C + unit % heads * head_size
        for t in range(row, row + T):
            _round(kv, qkv[t, first : first + head_size])
            _round(kv, qkv[t, first + C : first + C + head_size])


@kernel
def _round(kv: int, numbers: Any) -> None:
    scale = _scale(numbers)
    factor = np.float32(1.0) / scale if scale > _ZERO else _ZERO
    for j in range(numbers.shape[0]):
        numbers[j] = as_int8(numbers[j] * factor) * scale if kv == INT8 else as_bfloat16(numbers[j])


@kernel
def _add(
    kv: int, out: Any, out0: int, out_stride: int, a: Any, a0: int, a_row: int, b: Any, b0: int, b_stride: int,
    rows: int, columns: int, terms: int,
) -> None:  # fmt: skip
    """`products.add_outer` with numbers of `b` as they are stored."""
    if kv == INT8:
        _add_int8(out, out0, out_stride, a, a0, a_row, 1, b, b0, b_stride, rows, columns, terms)
    elif kv == BFLOAT16:
        _add_bfloat16(out, out0, out_stride, a, a0, a_row, 1, b, b0, b_stride, rows, columns, terms)
    else:
        _add_float32(out, out0, out_stride, a, a0, a_row, 1, b, b0, b_stride, rows, columns, terms)


@kernel
def _multiply(scores: Any, begin: int, stride: int, rows: int, scales: Any, first: int, count: int) -> None:
    """Columns begin:begin+count of some rows, each by its own of scales[first:]."""
    factors = scales[first : first + count]
    for r in range(rows):
        row = scores[r * stride + begin : r * stride + begin + count]
        for c in range(count):
            row[c] *= factors[c]


@kernel
def attention_stored(
    out: Any, qkv: Any, kv: int, keys: Any, values: Any, key_scales: Any, value_scales: Any, unit: int, capacity: int,
    spans: Any, base: int, start: int, stop: int, heads: int, scratch: Any, scale: Any, window: Any, layer: int,
    sequence: int, thread: int, threads: int,
) -> None:  # fmt: skip
    """As `attention.attention_cached` and `attention_shared`, over a cache as `scatter_stored` fills it.

    scratch: (threads, ROWS * positions).
    """
    apart()
    C = out.shape[1]
    head_size, shared, own = C // heads, spans.shape[0], shared_until(spans)
    flat_out, flat_qkv, scores = out.reshape(-1), qkv.reshape(-1), scratch[thread]
    blocks = (stop - start + ROWS - 1) // ROWS
    for work in range(thread, heads * blocks, threads):
        h = work % heads
        first = start + work // heads * ROWS
        rows, row = min(ROWS, stop - first), first - base
        seen, columns = first + rows, padded(first + rows)
        q0, o0 = row * 3 * C + h * head_size, row * C + h * head_size
        scores[: rows * columns] = _ZERO
        begin = ZERO
        for s in range(shared + 1):
            words, factors, width, head, place, end = keys, key_scales, capacity, unit + h, begin - own, columns
            if s < shared:
                width, head, end = spans[s, SPAN_CAPACITY], layer * heads + h, spans[s, SPAN_STOP]
                place = begin - spans[s, SPAN_FIRST]
                words = array_at(keys, spans[s, SPAN_KEYS], (head + 1) * head_size * width)
                factors = array_at(key_scales, spans[s, SPAN_KEY_SCALES], (head + 1) * width)
            source = head * head_size * width + place
            _add(
                kv, scores, begin, columns, flat_qkv, q0, 3 * C, words, source, width, rows, end - begin, head_size
            )  # fmt: skip
            if kv == INT8:
                _multiply(scores, begin, columns, rows, factors, head * width + place, end - begin)
            begin = end
        keep_scores(window, layer, sequence * heads + h, scores, columns, first, rows, scale)
        causal_softmax(scores, columns, first, rows, columns, scale)
        keep_pattern(window, layer, sequence * heads + h, scores, columns, first, rows)
        for r in range(rows):
            flat_out[o0 + r * C : o0 + r * C + head_size] = _ZERO
        begin = ZERO
        for s in range(shared + 1):
            words, factors, width, head, place, end = values, value_scales, capacity, unit + h, begin - own, seen
            if s < shared:
                width, head, end = spans[s, SPAN_CAPACITY], layer * heads + h, spans[s, SPAN_STOP]
                place = begin - spans[s, SPAN_FIRST]
                words = array_at(values, spans[s, SPAN_VALUES], (head + 1) * head_size * width)
                factors = array_at(value_scales, spans[s, SPAN_VALUE_SCALES], (head + 1) * width)
            if kv == INT8:
                _multiply(scores, begin, columns, rows, factors, head * width + place, end - begin)
            source = (head * width + place) * head_size
            _add(
                kv, flat_out, o0, C, scores, begin, columns, words, source, head_size, rows, head_size, end - begin
            )  # fmt: skip
            begin = end
