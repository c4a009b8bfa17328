"""The two register tiles under every matrix product, and a clock: LLVM IR, no compiler needed.

`dot`:   out[r, n] += sum_k x[r, k] * w[n, k]      both operands contiguous along k (forward products, q·k)
`outer`: out[r, n] += sum_k a[r, k] * b[k, n]      b and out contiguous along n, `a` with any strides
                                                   (attention-weighted values, gradients)

A dot runs in LANES partial sums over k, added pairwise at the end; an outer product runs over k in order. No
tile shape, row count or thread changes that order: results are bitwise the same however rows are grouped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic as _intrinsic

# Numba's own annotations describe neither the compiled call of an intrinsic nor its code builders.
cgutils: Any = _cgutils
intrinsic: Any = _intrinsic
_FEATURES = llvm.get_host_cpu_features()
_WIDE = bool(_FEATURES.get("avx512f", False))
LANES = 16 if _WIDE else 8  # float32 numbers a vector: one AVX-512 or AVX2 register (two of NEON)
# Tile shapes that keep the accumulators in registers: 32 vector registers with AVX-512, 16 with AVX2.
DOT_ROWS, DOT_COLUMNS = (5, 5) if _WIDE else (3, 4)
OUTER_ROWS, OUTER_VECTORS = (6, 4) if _WIDE else (6, 2)
PANEL = OUTER_VECTORS * LANES  # columns of a full outer tile

F32 = ir.FloatType()
I64 = ir.IntType(64)
I32 = ir.IntType(32)
VECTOR = ir.VectorType(F32, LANES)
VECTOR_ZERO = ir.Constant(VECTOR, [0.0] * LANES)


def i64(value: int) -> ir.Constant:
    return ir.Constant(I64, value)


def data_pointer(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    return context.make_array(array_type)(context, builder, array).data


def _at(builder: Any, base: Any, offset: Any, stride: Any, index: int) -> Any:
    return builder.gep(base, [builder.add(offset, builder.mul(stride, i64(index)))])


def load_vector(builder: Any, pointer: Any) -> Any:
    value = builder.load(builder.bitcast(pointer, VECTOR.as_pointer()))
    value.align = 4
    return value


def spread(builder: Any, scalar: Any) -> Any:
    """A vector with the scalar in every lane."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))


def multiply_add(builder: Any, kind: Any) -> Any:
    name = "llvm.fmuladd.f32" if kind == F32 else f"llvm.fmuladd.v{LANES}f32"
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)


def loop(
    builder: Any, start: Any, stop: Any, step: int, state: list[Any], body: Callable[[Any, list[Any]], list[Any]]
) -> list[Any]:
    """`for i in range(start, stop, step): state = body(i, state)` with the state in registers."""
    entry = builder.block
    inside = builder.append_basic_block("loop")
    after = builder.append_basic_block("after")
    builder.cbranch(builder.icmp_signed("<", start, stop), inside, after)
    builder.position_at_end(inside)
    index = builder.phi(I64)
    index.add_incoming(start, entry)
    current = [builder.phi(value.type) for value in state]
    for phi, value in zip(current, state, strict=True):
        phi.add_incoming(value, entry)
    new = body(index, current)
    following = builder.add(index, i64(step))
    last = builder.block
    index.add_incoming(following, last)
    for phi, value in zip(current, new, strict=True):
        phi.add_incoming(value, last)
    builder.cbranch(builder.icmp_signed("<", following, stop), inside, after)
    builder.position_at_end(after)
    result = [builder.phi(value.type) for value in state]
    for phi, old, value in zip(result, state, new, strict=True):
        phi.add_incoming(old, entry)
        phi.add_incoming(value, last)
    return result


def sum_lanes(builder: Any, vector: Any) -> Any:
    """Pairwise: halves are added until one number is left."""
    size = LANES
    while size > 1:
        size //= 2
        undefined = ir.Constant(ir.VectorType(F32, 2 * size), ir.Undefined)
        kind = ir.VectorType(I32, size)
        low = builder.shuffle_vector(vector, undefined, ir.Constant(kind, list(range(size))))
        high = builder.shuffle_vector(vector, undefined, ir.Constant(kind, list(range(size, 2 * size))))
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, ir.Constant(I32, 0))


def dot_tile(rows: int, columns: int) -> Any:
    """A kernel `(x, x0, x_stride, w, w0, w_stride, k, out, out0, out_row, out_column)` over flat float32 arrays.

    out[out0 + r*out_row + n*out_column] += dot(x[x0 + r*x_stride:][:k], w[w0 + n*w_stride:][:k])
    for r < rows, n < columns.
    """

    @intrinsic
    def tile(typing, x, x0, x_stride, w, w0, w_stride, k, out, out0, out_row, out_column):  # type: ignore[no-untyped-def]
        size = types.int64
        signature = types.void(x, size, size, w, size, size, size, out, size, size, size)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            x, x0, x_stride, w, w0, w_stride, k, out, out0, out_row, out_column = args
            xs = [_at(builder, data_pointer(context, builder, sig.args[0], x), x0, x_stride, r) for r in range(rows)]
            ws = [_at(builder, data_pointer(context, builder, sig.args[3], w), w0, w_stride, n) for n in range(columns)]
            target = data_pointer(context, builder, sig.args[7], out)

            def accumulate(kind: Any, load: Any) -> Callable[[Any, list[Any]], list[Any]]:
                fma = multiply_add(builder, kind)

                def body(index: Any, sums: list[Any]) -> list[Any]:
                    w_values = [load(builder.gep(pointer, [index])) for pointer in ws]
                    new = []
                    for r, pointer in enumerate(xs):
                        x_value = load(builder.gep(pointer, [index]))
                        new += [
                            builder.call(fma, [x_value, w_values[n], sums[r * columns + n]]) for n in range(columns)
                        ]
                    return new

                return body

            whole = builder.and_(k, i64(-LANES))
            step = accumulate(VECTOR, lambda pointer: load_vector(builder, pointer))
            vectors = loop(builder, i64(0), whole, LANES, [VECTOR_ZERO] * (rows * columns), step)
            sums = [sum_lanes(builder, vector) for vector in vectors]
            sums = loop(builder, whole, k, 1, sums, accumulate(F32, builder.load))
            for index, total in enumerate(sums):
                r, n = divmod(index, columns)
                row = builder.add(out0, builder.mul(out_row, i64(r)))
                place = _at(builder, target, row, out_column, n)
                builder.store(builder.fadd(builder.load(place), total), place)
            return context.get_dummy_value()

        return signature, generate

    return tile


def outer_tile(rows: int, vectors: int) -> Any:
    """A kernel `(a, a0, a_row, a_k, b, b0, b_stride, k, out, out0, out_stride)` over flat float32 arrays.

    out[out0 + r*out_stride + n] += sum_i a[a0 + r*a_row + i*a_k] * b[b0 + i*b_stride + n] for i < k, r < rows,
    n < vectors * LANES; vectors = 0 means a single column.
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
            sources = [_at(builder, data_pointer(context, builder, sig.args[0], a), a0, a_row, r) for r in range(rows)]
            panel = builder.gep(data_pointer(context, builder, sig.args[4], b), [b0])
            target = data_pointer(context, builder, sig.args[8], out)
            fma = multiply_add(builder, kind)

            def load(pointer: Any) -> Any:
                return load_vector(builder, pointer) if vectors else builder.load(pointer)

            def widened(scalar: Any) -> Any:
                return spread(builder, scalar) if vectors else scalar

            def body(index: Any, sums: list[Any]) -> list[Any]:
                row = builder.gep(panel, [builder.mul(index, b_stride)])
                b_values = [load(builder.gep(row, [i64(n * width)])) for n in range(columns)]
                step = builder.mul(index, a_k)
                new = []
                for r, source in enumerate(sources):
                    a_value = widened(builder.load(builder.gep(source, [step])))
                    new += [builder.call(fma, [a_value, b_values[n], sums[r * columns + n]]) for n in range(columns)]
                return new

            places = [
                builder.gep(_at(builder, target, out0, out_stride, r), [i64(n * width)])
                for r in range(rows)
                for n in range(columns)
            ]
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


_CLOCK_MONOTONIC = 6 if sys.platform == "darwin" else 1


@intrinsic
def nanoseconds(typing):  # type: ignore[no-untyped-def]
    """The monotonic clock in ns (int64), read without the interpreter: clock_gettime of the C library."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        timespec = ir.LiteralStructType([I64, I64])
        function_type = ir.FunctionType(I32, [I32, timespec.as_pointer()])
        clock_gettime = cgutils.get_or_insert_function(builder.module, function_type, "clock_gettime")
        place = cgutils.alloca_once(builder, timespec)
        builder.call(clock_gettime, [ir.Constant(I32, _CLOCK_MONOTONIC), place])
        seconds, rest = (builder.load(builder.gep(place, [ir.Constant(I32, 0), ir.Constant(I32, i)])) for i in (0, 1))
        return builder.add(builder.mul(seconds, i64(1_000_000_000)), rest)

    return types.int64(), generate


@intrinsic
def largest(typing, values, start, count):  # type: ignore[no-untyped-def]
    """The largest of `count` >= 1 float32 numbers of a flat array from `start` on; NaNs are passed over."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values, start, count = args
        first = builder.gep(data_pointer(context, builder, sig.args[0], values), [start])
        whole = builder.and_(count, i64(-LANES))

        def keep_larger(load: Any) -> Callable[[Any, list[Any]], list[Any]]:
            def body(index: Any, state: list[Any]) -> list[Any]:
                value = load(builder.gep(first, [index]))
                return [builder.select(builder.fcmp_ordered(">", value, state[0]), value, state[0])]

            return body

        lowest = ir.Constant(VECTOR, [float("-inf")] * LANES)
        [vector] = loop(
            builder, i64(0), whole, LANES, [lowest], keep_larger(lambda pointer: load_vector(builder, pointer))
        )
        best = ir.Constant(F32, float("-inf"))
        for lane in range(LANES):
            value = builder.extract_element(vector, ir.Constant(I32, lane))
            best = builder.select(builder.fcmp_ordered(">", value, best), value, best)
        [best] = loop(builder, whole, count, 1, [best], keep_larger(builder.load))
        return best

    return types.float32(values, types.int64, types.int64), generate


def _cast(name: str, source: Any, target: Any, convert: Callable[[Any, Any], Any]) -> Any:
    @intrinsic
    def cast(typing, value):  # type: ignore[no-untyped-def]
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return convert(builder, args[0])

        return target(source), generate

    cast.__name__ = name
    return cast


_HALF = ir.HalfType()
_I16 = ir.IntType(16)
float32_of_bits = _cast("float32_of_bits", types.int32, types.float32, lambda b, v: b.bitcast(v, F32))
# IEEE half precision: bits of the nearest fp16 number, and back. Equal to NumPy's conversion bit for bit.
half_bits = _cast("half_bits", types.float32, types.uint16, lambda b, v: b.bitcast(b.fptrunc(v, _HALF), _I16))
float32_of_half = _cast("float32_of_half", types.uint16, types.float32, lambda b, v: b.fpext(b.bitcast(v, _HALF), F32))
