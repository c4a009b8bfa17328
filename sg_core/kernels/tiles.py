"""The register tiles under every matrix product: LLVM IR.

`dot`:   out[r, n] += sum_k x[r, k] * w[n, k]      both operands contiguous along k (forward products)
`outer`: out[r, n] += sum_k a[r, k] * b[k, n]      b and out contiguous along n, `a` with any strides
                                                   (attention, gradients)

A dot runs in LANES partial sums over k, added pairwise at the end; an outer product runs over k in order. No
tile shape, row count or thread changes that order: results are bitwise the same however rows are grouped.
"""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import Any

from llvmlite import ir
from numba import types

from sg_core.kernels.formats import Format
from sg_core.kernels.simd import (
    F32,
    I32,
    LANES,
    VECTOR,
    VECTOR_ZERO,
    WIDE,
    at,
    data_pointer,
    i64,
    intrinsic,
    joint_sums_of_lanes,
    load_vector,
    loop,
    multiply_add,
    prefetch,
    spread,
    sums_of_lanes,
)

# Tile shapes whose sums, columns and a row fit the registers: 32 vector registers with AVX-512, 16 with AVX2.
DOT_ROWS, DOT_COLUMNS = (6, 4) if WIDE else (6, 2)
OUTER_ROWS, OUTER_VECTORS = (6, 4) if WIDE else (6, 2)
_AHEAD = 2048  # bytes: how far before its use a reduced weight is asked for (see `dot_tile`)
LINE = 16  # float32 numbers of a cache line
PANEL = OUTER_VECTORS * LANES  # columns of a full outer tile


def _scale_at(builder: Any, first: Any, stored: Format, index: Any) -> Any:
    return builder.gep(first, [builder.udiv(index, i64(stored.group))]) if stored.group else first


def dot_tile(rows: int, columns: int, stored: Format, *, adjacent: bool = False, ahead: bool = False) -> Any:
    """A kernel `(x, x0, x_stride, w, w0, w_stride, scales, s0, s_stride, k, out, out0, out_row, out_column)`.

    out[out0 + r*out_row + n*out_column] += dot(x[x0 + r*x_stride:][:k], w[w0 + n*w_stride:][:k])
    for r < rows, n < columns. All arrays are flat and float32; places of w count its stored numbers, whose scales
    begin at s0 + n*s_stride. adjacent: out_column is 1, and the 2 or 4 columns of a row are stored at once. ahead: also
    ask for the next k numbers behind each row of w (float32), which the one who calls wants next.
    """
    columns_kind = ir.VectorType(F32, columns)
    cells = [(r, n) for r in range(rows) for n in range(columns)]
    if rows <= columns:
        cells.sort(key=itemgetter(1))  # what there is less of stays in registers, while the other passes by

    @intrinsic
    def tile(typing, x, x0, x_stride, w, w0, w_stride, scales, s0, s_stride, k, out, out0, out_row, out_column):  # type: ignore[no-untyped-def]
        size = types.int64
        signature = types.void(x, size, size, w, size, size, scales, size, size, size, out, size, size, size)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            x, x0, x_stride, w, w0, w_stride, scales, s0, s_stride, k, out, out0, out_row, out_column = args
            xs = [at(builder, data_pointer(context, builder, sig.args[0], x), x0, x_stride, r) for r in range(rows)]
            words = data_pointer(context, builder, sig.args[3], w)
            as_bytes = builder.bitcast(words, ir.IntType(8).as_pointer())
            places = [builder.add(w0, builder.mul(w_stride, i64(n))) for n in range(columns)]
            factors = data_pointer(context, builder, sig.args[6], scales)
            firsts = [at(builder, factors, s0, s_stride, n) for n in range(columns)]
            target = data_pointer(context, builder, sig.args[10], out)

            def line(first: Any, sums: list[Any]) -> list[Any]:
                """A cache line of each row of w, after asking for a later one."""
                for place in places:
                    byte = builder.lshr(builder.mul(builder.add(place, first), i64(stored.bits)), i64(3))
                    prefetch(builder, builder.gep(as_bytes, [builder.add(byte, i64(_AHEAD))]))
                end = builder.add(first, i64(in_line))
                end = builder.select(builder.icmp_signed("<", end, whole), end, whole)
                return loop(builder, first, end, LANES * stored.vectors, sums, step)

            def step(index: Any, sums: list[Any]) -> list[Any]:
                if ahead:
                    for place in places:
                        following = builder.add(builder.add(place, k), index)
                        prefetch(builder, builder.gep(words, [following]), near=2)
                return multiplied(index, sums, stored.vectors)

            def last_vector(_: Any, sums: list[Any]) -> list[Any]:
                return multiplied(whole, sums, 1)

            def multiplied(index: Any, sums: list[Any], vectors: int) -> list[Any]:
                fma, sums = multiply_add(builder, VECTOR), list(sums)
                steps = [builder.add(index, i64(part * LANES)) for part in range(vectors)]

                @cache  # read where it is used first: the compiler keeps this order, and so few registers in use
                def values(r: int) -> list[Any]:
                    return [load_vector(builder, builder.gep(xs[r], [place])) for place in steps]

                @cache
                def weights(n: int) -> list[Any]:
                    scale = _scale_at(builder, firsts[n], stored, index)
                    return stored.read(builder, words, builder.add(places[n], index), scale)[:vectors]

                for r, n in cells:
                    for value, weight in zip(values(r), weights(n), strict=True):
                        sums[r * columns + n] = builder.call(fma, [value, weight, sums[r * columns + n]])
                return sums

            def weights_at(index: Any) -> list[Any]:
                scales = [_scale_at(builder, first, stored, index) for first in firsts]
                steps = [builder.add(place, index) for place in places]
                return [stored.read_one(builder, words, *both) for both in zip(steps, scales, strict=True)]

            def step_one(index: Any, sums: list[Any]) -> list[Any]:
                fma = multiply_add(builder, F32)
                weights = weights_at(index)
                values = [builder.load(builder.gep(pointer, [index])) for pointer in xs]
                return [
                    builder.call(fma, [values[r], weights[n], sums[r * columns + n]])
                    for r in range(rows)
                    for n in range(columns)
                ]

            def step_row(index: Any, totals: list[Any]) -> list[Any]:
                fma = multiply_add(builder, columns_kind)
                weights = joined(weights_at(index))
                return [
                    builder.call(
                        fma, [joined([builder.load(builder.gep(xs[r], [index]))] * columns), weights, totals[r]]
                    )
                    for r in range(rows)
                ]

            def pieces(sums: Any) -> list[Any]:
                """A vector of the sums of one row or two, row by row."""
                undefined = ir.Constant(sums.type, ir.Undefined)
                lanes = [[I32(n + lane) for lane in range(columns)] for n in range(0, sums.type.count, columns)]
                index_kind = ir.VectorType(I32, columns)
                return [builder.shuffle_vector(sums, undefined, ir.Constant(index_kind, few)) for few in lanes]

            def joined(numbers: list[Any]) -> Any:
                vector = ir.Constant(columns_kind, ir.Undefined)
                for n, number in enumerate(numbers):
                    vector = builder.insert_element(vector, number, ir.Constant(I32, n))
                return vector

            whole = builder.and_(k, i64(-LANES * stored.vectors))
            # The processor runs ahead of float32 weights by itself. Of reduced ones it computes more for each byte, and
            # asks too late: int8 tokens took 2.42 ms instead of 2.16 where memory gives 90 GB/s.
            in_line = 512 // stored.bits
            stride, body = (in_line, line) if stored.bits < 32 else (LANES * stored.vectors, step)
            vectors = loop(builder, i64(0), whole, stride, [VECTOR_ZERO] * (rows * columns), body)
            end = builder.and_(k, i64(-LANES))
            if stored.vectors > 1:  # once or never: the sums keep the order they have with expanded weights
                vectors = loop(builder, i64(0), builder.sub(end, whole), LANES, vectors, last_vector)
            if adjacent:
                joint = [joint_sums_of_lanes(builder, vectors[n : n + 4]) for n in range(0, len(vectors), 4)]
                sums = [part for four in joint for part in pieces(four)]
            else:
                sums = sums_of_lanes(builder, vectors)
            sums = loop(builder, end, k, 1, sums, step_row if adjacent else step_one)
            for index, total in enumerate(sums):
                r, n = divmod(index, 1 if adjacent else columns)
                row = builder.add(out0, builder.mul(out_row, i64(r)))
                place = at(builder, target, row, out_column, n)
                if adjacent:
                    place = builder.bitcast(place, columns_kind.as_pointer())
                sum_so_far = builder.load(place)
                sum_so_far.align = 4
                builder.store(builder.fadd(sum_so_far, total), place).align = 4
            return context.get_dummy_value()

        return signature, generate

    return tile


def expansion(stored: Format) -> Any:
    """A kernel `(out, out0, w, w0, scales, s0, k)`: out[out0:][:k] = the k stored numbers of w from w0 on.

    k is a whole number of the format's groups.
    """

    @intrinsic
    def expand(typing, out, out0, w, w0, scales, s0, k):  # type: ignore[no-untyped-def]
        size = types.int64
        signature = types.void(out, size, w, size, scales, size, size)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            out, out0, w, w0, scales, s0, k = args
            target = builder.gep(data_pointer(context, builder, sig.args[0], out), [out0])
            words = data_pointer(context, builder, sig.args[2], w)
            first = builder.gep(data_pointer(context, builder, sig.args[4], scales), [s0])

            def step(index: Any, state: list[Any]) -> list[Any]:
                scale = _scale_at(builder, first, stored, index)
                for part, value in enumerate(stored.read(builder, words, builder.add(w0, index), scale)):
                    place = builder.gep(target, [builder.add(index, i64(part * LANES))])
                    builder.store(value, builder.bitcast(place, VECTOR.as_pointer())).align = 4
                return state

            def step_one(index: Any, state: list[Any]) -> list[Any]:
                value = stored.read_one(builder, words, builder.add(w0, index), first)
                builder.store(value, builder.gep(target, [index]))
                return state

            whole = builder.and_(k, i64(-LANES * stored.vectors))
            loop(builder, i64(0), whole, LANES * stored.vectors, [], step)
            if not stored.group:
                loop(builder, whole, k, 1, [], step_one)
            return context.get_dummy_value()

        return signature, generate

    return expand


def outer_tile(rows: int, vectors: int, stored: Format | None = None, *, ahead: bool = False) -> Any:
    """A kernel `(a, a0, a_row, a_k, b, b0, b_stride, k, out, out0, out_stride)` over flat float32 arrays.

    stored: of b, where this is an array of bytes; one without scales.

    out[out0 + r*out_stride + n] += sum_i a[a0 + r*a_row + i*a_k] * b[b0 + i*b_stride + n] for i < k, r < rows,
    n < vectors * LANES; vectors = 0 means a single column. ahead: also ask for the sums of the next rows, or the next
    tile would begin with waiting for them.
    """
    kind = VECTOR if vectors else F32
    columns = max(vectors, 1)
    width = LANES if vectors else 1

    @intrinsic
    def tile(typing, a, a0, a_row, a_k, b, b0, b_stride, k, out, out0, out_stride):  # type: ignore[no-untyped-def]
        size = types.int64
        signature = types.void(a, size, size, size, b, size, size, size, out, size, size)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            a, a0, a_row, a_k, b, b0, b_stride, k, out, out0, out_stride = args
            sources = [at(builder, data_pointer(context, builder, sig.args[0], a), a0, a_row, r) for r in range(rows)]
            words = data_pointer(context, builder, sig.args[4], b)
            panel = builder.gep(words, [b0])
            target = data_pointer(context, builder, sig.args[8], out)
            fma = multiply_add(builder, kind)

            def load(pointer: Any) -> Any:
                return load_vector(builder, pointer) if vectors else builder.load(pointer)

            def widened(scalar: Any) -> Any:
                return spread(builder, scalar) if vectors else scalar

            def row_of_b(index: Any) -> list[Any]:
                if stored is None:
                    row = builder.gep(panel, [builder.mul(index, b_stride)])
                    return [load(builder.gep(row, [i64(n * width)])) for n in range(columns)]
                place = builder.add(b0, builder.mul(index, b_stride))
                steps = [builder.add(place, i64(n * width)) for n in range(columns)]
                if columns > 1:  # rows lie far apart: the processor does not see that the next tile goes on beside them
                    bits = builder.mul(builder.add(place, i64(columns * width)), i64(stored.bits))
                    beside = builder.gep(words, [builder.lshr(bits, i64(3))])  # an array of bytes
                    for line in range(0, columns * width * stored.bits // 8, 4 * LINE):
                        prefetch(builder, builder.gep(beside, [i64(line)]))
                if vectors:
                    return [stored.read(builder, words, step, None)[0] for step in steps]
                return [stored.read_one(builder, words, step, None) for step in steps]

            def body(index: Any, sums: list[Any]) -> list[Any]:
                b_values = row_of_b(index)
                step = builder.mul(index, a_k)
                new = []
                for r, source in enumerate(sources):
                    a_value = widened(builder.load(builder.gep(source, [step])))
                    new += [builder.call(fma, [a_value, b_values[n], sums[r * columns + n]]) for n in range(columns)]
                return new

            places = [
                builder.gep(at(builder, target, out0, out_stride, r), [i64(n * width)])
                for r in range(rows)
                for n in range(columns)
            ]
            if ahead:
                for r in range(rows, 2 * rows):
                    row = at(builder, target, out0, out_stride, r)
                    for n in range(0, columns * width, LINE):
                        prefetch(builder, builder.gep(row, [i64(n)]))
            sums = loop(builder, i64(0), k, 1, [load(place) for place in places], body)
            for place, total in zip(places, sums, strict=True):
                if vectors:
                    store = builder.store(total, builder.bitcast(place, VECTOR.as_pointer()))
                    store.align = 4
                else:
                    builder.store(total, place)
            return context.get_dummy_value()

        return signature, generate

    return tile
