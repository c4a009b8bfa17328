"""Vectors, loops and casts in LLVM IR, for what Numba's own code can't say; no compiler needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding as _binding
from llvmlite import ir
from numba import config as _config
from numba import types
from numba.core import cgutils as _cgutils
from numba.core import codegen as _codegen
from numba.extending import intrinsic as _intrinsic

# Numba's own annotations describe none of these.
cgutils: Any = _cgutils
intrinsic: Any = _intrinsic
config: Any = _config
get_host_cpu_features: Any = _codegen.get_host_cpu_features
get_host_cpu_name: Any = _binding.get_host_cpu_name
# What Numba compiles for: this processor's, unless NUMBA_CPU_FEATURES or NUMBA_ENABLE_AVX say otherwise.
FEATURES: str = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
PROCESSOR: str = get_host_cpu_name() if config.CPU_NAME is None else config.CPU_NAME
WIDE = "+avx512f" in FEATURES.split(",")
LANES = 16 if WIDE else 8  # float32 numbers a vector: one AVX-512 or AVX2 register (two of NEON)


def constants(count: int) -> tuple[Any, ...]:
    """0, 1, ... for calls of kernels. Numba would compile a kernel once for each literal it is called with."""
    return tuple(np.int64(number) for number in range(count))


ZERO, ONE = constants(2)

F32 = ir.FloatType()
I64 = ir.IntType(64)
I32 = ir.IntType(32)
VECTOR = ir.VectorType(F32, LANES)
VECTOR_ZERO = ir.Constant(VECTOR, [0.0] * LANES)


def i64(value: int) -> ir.Constant:
    return ir.Constant(I64, value)


def data_pointer(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    return context.make_array(array_type)(context, builder, array).data


def at(builder: Any, base: Any, offset: Any, stride: Any, index: int) -> Any:
    return builder.gep(base, [builder.add(offset, builder.mul(stride, i64(index)))])


def load_vector(builder: Any, pointer: Any) -> Any:
    value = builder.load(builder.bitcast(pointer, VECTOR.as_pointer()))
    value.align = 4
    return value


def prefetch(builder: Any, pointer: Any, near: int = 3) -> None:
    """Ask for the cache line of an address, which need not exist. near: 3 for the L1 cache, 2 for the L2 cache."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    read, keep, data = (ir.Constant(I32, number) for number in (0, near, 1))
    builder.call(function, [builder.bitcast(pointer, byte), read, keep, data])


def spread(builder: Any, scalar: Any) -> Any:
    """A vector with the scalar in every lane."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))


def permuted(builder: Any, vector: Any, places: Any) -> Any:
    """With AVX-512: lane i becomes vector[places[i] % 16]. places: LANES int32 numbers."""
    kind = ir.FunctionType(VECTOR, [VECTOR, places.type])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.permvar.sf.512")
    return builder.call(function, [vector, places])


def multiply_add(builder: Any, kind: Any) -> Any:
    name = "llvm.fmuladd.f32" if kind == F32 else f"llvm.fmuladd.v{kind.count}f32"
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


def sums_of_lanes(builder: Any, vectors: list[Any]) -> list[Any]:
    """The sum of each vector's lanes: halves are added until one number is left.

    The halves of several vectors share an addition; each sum is the same as that of its vector alone.
    """
    sums: list[Any] = []
    for first in range(0, len(vectors), 4):
        few = vectors[first : first + 4]
        joint = joint_sums_of_lanes(builder, few if len(few) != 3 else [*few, few[2]])
        sums += [builder.extract_element(joint, ir.Constant(I32, n)) for n in range(len(few))]
    return sums


def joint_sums_of_lanes(builder: Any, vectors: list[Any]) -> Any:
    """The same for 1, 2 or 4 vectors, as one vector of so many numbers."""
    size = LANES  # every vector holds groups of `size` lanes that are to become one number
    while size > 1:
        pairs = [vectors[n : n + 2] for n in range(0, len(vectors), 2)]
        vectors = [_add_halves(builder, pair, size) for pair in pairs]
        size //= 2
    return vectors[0]


def _add_halves(builder: Any, pair: list[Any], size: int) -> Any:
    """Lower plus upper half of each group of `size` lanes, the groups of the pair's second vector after the first's."""
    width = pair[0].type.count
    low = [start + lane for start in range(0, width * len(pair), size) for lane in range(size // 2)]
    second = pair[1] if len(pair) == 2 else ir.Constant(pair[0].type, ir.Undefined)
    kind = ir.VectorType(I32, len(low))
    lower = builder.shuffle_vector(pair[0], second, ir.Constant(kind, low))
    upper = builder.shuffle_vector(pair[0], second, ir.Constant(kind, [lane + size // 2 for lane in low]))
    add = builder.fadd if pair[0].type.element == F32 else builder.add
    return add(lower, upper)


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


def _counting(predicate: str, name: str) -> Any:
    @intrinsic
    def count_of(typing, values, start, stop, limit):  # type: ignore[no-untyped-def]
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            values, start, stop, limit = args
            base = data_pointer(context, builder, sig.args[0], values)
            count = builder.sub(stop, start)
            first = builder.gep(base, [start])
            whole = builder.and_(count, i64(-LANES))

            def counted(load: Any, bound: Any, kind: Any) -> Callable[[Any, list[Any]], list[Any]]:
                def body(index: Any, state: list[Any]) -> list[Any]:
                    found = builder.fcmp_ordered(predicate, load(builder.gep(first, [index])), bound)
                    return [builder.add(state[0], builder.zext(found, kind))]

                return body

            kind = ir.VectorType(I32, LANES)
            load = counted(lambda pointer: load_vector(builder, pointer), spread(builder, limit), kind)
            [vector] = loop(builder, i64(0), whole, LANES, [ir.Constant(kind, [0] * LANES)], load)
            total = ir.Constant(I32, 0)
            for lane in range(LANES):
                total = builder.add(total, builder.extract_element(vector, ir.Constant(I32, lane)))
            [total] = loop(builder, whole, count, 1, [total], counted(builder.load, limit, I32))
            return builder.zext(total, I64)

        return types.int64(values, types.int64, types.int64, types.float32), generate

    count_of.__name__ = name
    return count_of


# (values, start, stop, limit): how many of values[start:stop], flat float32, are above a limit, or at least it.
count_above, count_at_least = _counting(">", "count_above"), _counting(">=", "count_at_least")


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


def _bfloat16_of(builder: Any, value: Any) -> Any:
    """The nearest one, ties to even; a NaN stays one: as `bfloat16.to_bfloat16`."""
    bits = builder.bitcast(value, I32)
    upper = builder.lshr(bits, ir.Constant(I32, 16))
    half = builder.add(ir.Constant(I32, 0x7FFF), builder.and_(upper, ir.Constant(I32, 1)))
    rounded = builder.lshr(builder.add(bits, half), ir.Constant(I32, 16))
    quiet = builder.or_(upper, ir.Constant(I32, 0x40))
    return builder.trunc(builder.select(builder.fcmp_unordered("uno", value, value), quiet, rounded), _I16)


def _int8_of(builder: Any, value: Any) -> Any:
    """The nearest whole number of one from -128 to 127, ties to even; any for what is none."""
    rint = cgutils.get_or_insert_function(builder.module, ir.FunctionType(F32, [F32]), "llvm.rint.f32")
    saturate = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.IntType(8), [F32]), "llvm.fptosi.sat.i8.f32"
    )
    return builder.call(saturate, [builder.call(rint, [value])])


# A number, as it is worth after it was stored in so many bits. int8: of a number from -128 to 127.
as_bfloat16 = _cast(
    "as_bfloat16",
    types.float32,
    types.float32,
    lambda b, v: b.bitcast(b.shl(b.zext(_bfloat16_of(b, v), I32), ir.Constant(I32, 16)), F32),
)
as_int8 = _cast("as_int8", types.float32, types.float32, lambda b, v: b.sitofp(_int8_of(b, v), F32))


def _putting(name: str, element: Any, convert: Callable[[Any, Any], Any]) -> Any:
    @intrinsic
    def put(typing, words, place, value):  # type: ignore[no-untyped-def]
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            base = builder.bitcast(data_pointer(context, builder, sig.args[0], args[0]), element.as_pointer())
            builder.store(convert(builder, args[2]), builder.gep(base, [args[1]])).align = 1
            return context.get_dummy_value()

        return types.void(words, types.int64, types.float32), generate

    put.__name__ = name
    return put


# (words, place, value): number `place` of some bytes, in this format, becomes a float32 number.
put_float32 = _putting("put_float32", F32, lambda builder, value: value)
put_bfloat16 = _putting("put_bfloat16", _I16, _bfloat16_of)
put_int8 = _putting("put_int8", ir.IntType(8), _int8_of)


@intrinsic
def quantize(typing, words, place, values, start, count, factor):  # type: ignore[no-untyped-def]
    """Bytes `place` to `place + count` = values[start:][:count] * factor, as int8 (any for what is none); their sum."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words, place, values, start, count, factor = args
        base = builder.bitcast(data_pointer(context, builder, sig.args[0], words), ir.IntType(8).as_pointer())
        target = builder.gep(base, [place])
        source = builder.gep(data_pointer(context, builder, sig.args[2], values), [start])

        def step(lanes: int) -> Callable[[Any, list[Any]], list[Any]]:
            numbers, whole = (ir.VectorType(kind, lanes) for kind in (F32, I32))
            suffix = f"v{lanes}f32"
            rint = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(numbers, [numbers]), f"llvm.rint.{suffix}"
            )
            saturate = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(whole, [numbers]), f"llvm.fptosi.sat.v{lanes}i32.{suffix}"
            )
            factors = ir.Constant(numbers, ir.Undefined)
            for lane in range(lanes):
                factors = builder.insert_element(factors, factor, I32(lane))

            def body(index: Any, state: list[Any]) -> list[Any]:
                value = builder.load(builder.bitcast(builder.gep(source, [index]), numbers.as_pointer()))
                value.align = 4
                q = builder.call(saturate, [builder.call(rint, [builder.fmul(value, factors)])])
                few = ir.VectorType(ir.IntType(8), lanes)
                pointer = builder.bitcast(builder.gep(target, [index]), few.as_pointer())
                builder.store(builder.trunc(q, few), pointer).align = 1
                return [builder.add(state[0], q)]

            return body

        whole = builder.and_(count, i64(-LANES))
        kind = ir.VectorType(I32, LANES)
        [vector] = loop(builder, i64(0), whole, LANES, [ir.Constant(kind, [0] * LANES)], step(LANES))
        [total] = sums_of_lanes(builder, [vector])
        first = builder.insert_element(ir.Constant(ir.VectorType(I32, 1), ir.Undefined), total, I32(0))
        [last] = loop(builder, whole, count, 1, [first], step(1))
        return builder.extract_element(last, I32(0))

    return types.int32(words, types.int64, values, types.int64, types.int64, types.float32), generate


@intrinsic
def apart(typing):  # type: ignore[no-untyped-def]
    """Keeps the function this stands in out of its callers: compiled once, not once a call."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate
