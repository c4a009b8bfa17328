"""Register tiles of products of numbers in 16 or 8 bits on both sides: LLVM IR.

out[r, n] += sum_k x[r, k] * w[n, k], both contiguous along k. A step of the sum is `units`' own; LANES sums are added
pairwise at the end. As in `tiles`, no tile shape, row count or thread changes the order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types

from sg_core.kernels.simd import (
    F32,
    I32,
    LANES,
    VECTOR,
    at,
    cgutils,
    data_pointer,
    i64,
    intrinsic,
    joint_sums_of_lanes,
    loop,
    prefetch,
)
from sg_core.kernels.units import BYTES, INT8_UNIT, PAIRS, SUMS, Step, dot_bfloat16

STEP_BYTES = 4 * LANES  # of each row, in a step
_AHEAD = 2048  # bytes: how far before its use a weight is asked for
_I8 = ir.IntType(8)


@dataclass(frozen=True, slots=True)
class Narrow:
    """A kind of numbers. kind: a vector of a step; sums: of its sums. offset: what makes a weight of its bits.

    finish(builder, totals, x_scale, x_sum, w_scales): the float32 sums of a row that such totals stand for.
    """

    name: str
    bits: int
    kind: Any
    sums: Any
    dot: Step
    offset: int
    finish: Callable[[Any, Any, Any, Any, Any], Any] | None


def int8_numbers(dot: Step, unsigned: bool) -> Narrow:
    """Whole sums, times both scales; those of weights without a sign are larger by 128 for each of x."""

    def finish(builder: Any, totals: Any, x_scale: Any, x_sum: Any, w_scales: Any) -> Any:
        columns = w_scales.type.count
        if unsigned:
            more = builder.shl(builder.fptosi(x_sum, I32), I32(7))
            totals = builder.sub(totals, _spread(builder, more, columns))
        scales = builder.fmul(w_scales, _spread(builder, x_scale, columns))
        return builder.fmul(builder.sitofp(totals, ir.VectorType(F32, columns)), scales)

    return Narrow("int8", 8, BYTES, SUMS, dot, 128 if unsigned else 0, finish)


def _spread(builder: Any, scalar: Any, count: int) -> Any:
    vector = ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined)
    for lane in range(count):
        vector = builder.insert_element(vector, scalar, I32(lane))
    return vector


BFLOAT16_PAIRS = Narrow("bfloat16", 16, PAIRS, VECTOR, dot_bfloat16, 0, None)
INT8_QUADS = int8_numbers(*INT8_UNIT)


def narrow_tile(rows: int, columns: int, narrow: Narrow, *, adjacent: bool = False) -> Any:
    """A kernel `(x, row, x_far, number, total, w, w0, w_far, scales, s0, s_far, k, out, out0, down, right)`.

    out[out0 + r*down + n*right] += dot of k numbers for r < rows, n < columns (1, 2 or 4). x: flat float32 words, in
    which row r begins at row + r*x_far with its scale; its numbers begin `number` words later, filled with zeros up to
    whole steps, and `total` words later stands their sum. Numbers of w are counted, from w0 + n*w_far on; their scales
    begin at s0 + n*s_far. adjacent: `right` is 1, and the columns of a row are stored at once; otherwise rows of w lie
    far apart, and are asked for ahead.
    """
    in_step = STEP_BYTES * 8 // narrow.bits
    cells = [(r, n) for r in range(rows) for n in range(columns)]

    @intrinsic
    def tile(typing, x, row, x_far, number, total, w, w0, w_far, scales, s0, s_far, k, out, out0, down, right):  # type: ignore[no-untyped-def]
        size = types.int64
        signature = types.void(
            x, size, size, size, size, w, size, size, scales, size, size, size, out, size, size, size
        )  # fmt: skip

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            x, row, x_far, number, total, w, w0, w_far, scales, s0, s_far, k, out, out0, down, right = args
            room = data_pointer(context, builder, sig.args[0], x)
            heads = [at(builder, room, row, x_far, r) for r in range(rows)]
            element = narrow.kind.element.as_pointer()
            xs = [builder.bitcast(builder.gep(head, [number]), element) for head in heads]
            words = builder.bitcast(data_pointer(context, builder, sig.args[5], w), element)
            ws = [at(builder, words, w0, w_far, n) for n in range(columns)]
            factors = data_pointer(context, builder, sig.args[8], scales)
            target = data_pointer(context, builder, sig.args[12], out)

            def load(pointer: Any) -> Any:
                value = builder.load(builder.bitcast(pointer, narrow.kind.as_pointer()))
                value.align = 1
                return value

            def multiplied(index: Any, sums: list[Any], load_weights: Callable[[Any], Any]) -> list[Any]:
                sums = list(sums)

                @cache
                def values(r: int) -> Any:
                    return load(builder.gep(xs[r], [index]))

                @cache
                def weights(n: int) -> Any:
                    bits = load_weights(builder.gep(ws[n], [index]))
                    return builder.xor(bits, _all(narrow.kind, narrow.offset)) if narrow.offset else bits

                for r, n in cells:
                    sums[r * columns + n] = narrow.dot(builder, sums[r * columns + n], values(r), weights(n))
                return sums

            def step(index: Any, sums: list[Any]) -> list[Any]:
                if not adjacent:
                    for first in ws:
                        byte = builder.bitcast(builder.gep(first, [index]), _I8.as_pointer())
                        prefetch(builder, builder.gep(byte, [i64(_AHEAD)]))
                return multiplied(index, sums, load)

            whole = builder.and_(k, i64(-in_step))
            zero = ir.Constant(narrow.sums, [0] * LANES)

            def last(_: Any, sums: list[Any]) -> list[Any]:
                return multiplied(
                    whole, sums, lambda pointer: _first_of(builder, pointer, builder.sub(k, whole), narrow.kind)
                )

            sums = loop(builder, i64(0), whole, in_step, [zero] * len(cells), step)
            sums = loop(builder, whole, k, in_step, sums, last)  # once or never
            if narrow.finish:
                firsts = [at(builder, factors, s0, s_far, n) for n in range(columns)]
                w_scales = _joined(builder, [builder.load(first) for first in firsts])
            for r, head in enumerate(heads):
                totals = joint_sums_of_lanes(builder, sums[r * columns : (r + 1) * columns])
                if narrow.finish:
                    x_sum = builder.load(builder.gep(head, [total]))
                    totals = narrow.finish(builder, totals, builder.load(head), x_sum, w_scales)
                place = builder.add(out0, builder.mul(down, i64(r)))
                _add_to(builder, target, place, right, totals, adjacent)
            return context.get_dummy_value()

        return signature, generate

    return tile


def _all(kind: Any, value: int) -> Any:
    return ir.Constant(kind, [value] * kind.count)


def _joined(builder: Any, scalars: list[Any]) -> Any:
    vector = ir.Constant(ir.VectorType(scalars[0].type, len(scalars)), ir.Undefined)
    for lane, scalar in enumerate(scalars):
        vector = builder.insert_element(vector, scalar, I32(lane))
    return vector


def _first_of(builder: Any, pointer: Any, count: Any, kind: Any) -> Any:
    """`count` numbers, and zeros; nothing behind them is read."""
    lanes = ir.Constant(ir.VectorType(I32, kind.count), list(range(kind.count)))
    mask = builder.icmp_signed("<", lanes, _spread(builder, builder.trunc(count, I32), kind.count))
    vector = kind.as_pointer()
    name = f"llvm.masked.load.v{kind.count}{kind.element}.p0"
    function_type = ir.FunctionType(kind, [vector, I32, mask.type, kind])
    function = cgutils.get_or_insert_function(builder.module, function_type, name)
    return builder.call(function, [builder.bitcast(pointer, vector), I32(1), mask, _all(kind, 0)])


def _add_to(builder: Any, target: Any, place: Any, stride: Any, totals: Any, adjacent: bool) -> None:
    if adjacent:
        pointer = builder.bitcast(builder.gep(target, [place]), totals.type.as_pointer())
        so_far = builder.load(pointer)
        so_far.align = 4
        builder.store(builder.fadd(so_far, totals), pointer).align = 4
        return
    for n in range(totals.type.count):
        pointer = at(builder, target, place, stride, n)
        total = builder.extract_element(totals, I32(n))
        builder.store(builder.fadd(builder.load(pointer), total), pointer)
