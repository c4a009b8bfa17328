"""How weights are stored, and the LLVM code that reads LANES of them as float32.

float32 weights lie in a float32 array, those that hold the same numbers in 16 bits in an array of uint16, the others in
an array of bytes. A stored number is worth exactly what is
written here wherever it is read: alone, among others, or expanded beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from sg_core.kernels.simd import F32, I32, LANES, VECTOR, WIDE, constants, i64, multiply_add, permuted, spread

_I8, _I16 = ir.IntType(8), ir.IntType(16)
_WIDE_I32 = ir.VectorType(I32, LANES)
INT4_GROUP = 32  # neighbouring weights of a row that share a scale

FLOAT32, BFLOAT16, INT8, INT4, FLOAT16 = constants(5)  # what `forward` is told

Values = list[Any]


@dataclass(frozen=True, slots=True)
class Format:
    """A storage format.

    bits: of a stored number. vectors: how many vectors one step reads. read(builder, words, place, scale): their
    values from number `place` on, each VECTOR; read_one: a single number, where a row's length is no multiple of LANES.
    scale: a pointer to their scale. group: so many neighbours share a scale, and a row is stored as whole groups, its
    end filled with zeros; 0: as many as are summed at once, in rows as long as they are.
    """

    name: str
    bits: int
    vectors: int
    group: int
    read: Callable[[Any, Any, Any, Any], Values]
    read_one: Callable[[Any, Any, Any, Any], Any]


def _load(builder: Any, words: Any, place: Any, element: Any) -> Any:
    kind = ir.VectorType(element, LANES)
    pointer = builder.gep(builder.bitcast(words, element.as_pointer()), [place])
    value = builder.load(builder.bitcast(pointer, kind.as_pointer()))
    value.align = 1
    return value


def _load_one(builder: Any, words: Any, place: Any, element: Any) -> Any:
    return builder.load(builder.gep(builder.bitcast(words, element.as_pointer()), [place]))


def _all(value: int) -> Any:
    return ir.Constant(_WIDE_I32, [value] * LANES)


def _read_float32(builder: Any, words: Any, place: Any, scale: Any) -> Values:
    return [_load(builder, words, place, F32)]


def _read_float32_one(builder: Any, words: Any, place: Any, scale: Any) -> Any:
    return _load_one(builder, words, place, F32)


def _read_bfloat16(builder: Any, words: Any, place: Any, scale: Any) -> Values:
    bits = builder.zext(_load(builder, words, place, _I16), _WIDE_I32)
    return [builder.bitcast(builder.shl(bits, _all(16)), VECTOR)]


def _read_bfloat16_one(builder: Any, words: Any, place: Any, scale: Any) -> Any:
    bits = builder.zext(_load_one(builder, words, place, _I16), I32)
    return builder.bitcast(builder.shl(bits, ir.Constant(I32, 16)), F32)


def _read_float16(builder: Any, words: Any, place: Any, scale: Any) -> Values:
    """Exact, subnormal numbers too: one instruction where the processor has it, a few of LLVM's elsewhere."""
    bits = _load(builder, words, place, _I16)
    return [builder.fpext(builder.bitcast(bits, ir.VectorType(ir.HalfType(), LANES)), VECTOR)]


def _read_float16_one(builder: Any, words: Any, place: Any, scale: Any) -> Any:
    return builder.fpext(builder.bitcast(_load_one(builder, words, place, _I16), ir.HalfType()), F32)


def _read_int8(builder: Any, words: Any, place: Any, scale: Any) -> Values:
    number = builder.sitofp(builder.sext(_load(builder, words, place, _I8), _WIDE_I32), VECTOR)
    return [builder.fmul(number, spread(builder, builder.load(scale)))]


def _read_int8_one(builder: Any, words: Any, place: Any, scale: Any) -> Any:
    number = builder.sitofp(builder.sext(_load_one(builder, words, place, _I8), I32), F32)
    return builder.fmul(number, builder.load(scale))


def _read_number8(builder: Any, words: Any, place: Any, scale: Any) -> Values:
    return [builder.sitofp(builder.sext(_load(builder, words, place, _I8), _WIDE_I32), VECTOR)]


def _read_number8_one(builder: Any, words: Any, place: Any, scale: Any) -> Any:
    return builder.sitofp(builder.sext(_load_one(builder, words, place, _I8), I32), F32)


def _read_int4(builder: Any, words: Any, place: Any, scale: Any) -> Values:
    """The low halves of LANES bytes are the first LANES weights, the high halves the next; 8 stands for zero."""
    pairs = builder.zext(_load(builder, words, builder.lshr(place, i64(1)), _I8), _WIDE_I32)
    factor = builder.load(scale)
    factors = spread(builder, factor)
    if WIDE:  # the sixteen values of the group fit a register: a weight is looked up by the lowest four bits
        levels = builder.fmul(ir.Constant(VECTOR, [float(level - 8) for level in range(16)]), factors)
        return [permuted(builder, levels, places) for places in (pairs, builder.lshr(pairs, _all(4)))]
    halves = [builder.and_(pairs, _all(15)), builder.lshr(pairs, _all(4))]
    offset = spread(builder, builder.fmul(factor, ir.Constant(F32, -8.0)))  # exact: a power of two
    fma = multiply_add(builder, VECTOR)
    return [builder.call(fma, [builder.sitofp(half, VECTOR), factors, offset]) for half in halves]


def _read_int4_one(builder: Any, words: Any, place: Any, scale: Any) -> Any:
    """Worth what `_read_int4` makes of it, to the bit."""
    lane, high = builder.and_(place, i64(LANES - 1)), builder.and_(place, i64(LANES))
    half = builder.lshr(builder.and_(place, i64(-2 * LANES)), i64(1))
    pair = builder.zext(_load_one(builder, words, builder.or_(half, lane), _I8), I32)
    shift = builder.select(builder.icmp_signed("==", high, i64(0)), ir.Constant(I32, 0), ir.Constant(I32, 4))
    level = builder.sitofp(builder.and_(builder.lshr(pair, shift), ir.Constant(I32, 15)), F32)
    factor = builder.load(scale)
    if WIDE:
        return builder.fmul(builder.fsub(level, ir.Constant(F32, 8.0)), factor)
    offset = builder.fmul(factor, ir.Constant(F32, -8.0))
    return builder.call(multiply_add(builder, F32), [level, factor, offset])


FORMATS = (
    Format("float32", 32, 1, 0, _read_float32, _read_float32_one),
    Format("bfloat16", 16, 1, 0, _read_bfloat16, _read_bfloat16_one),
    Format("int8", 8, 1, 0, _read_int8, _read_int8_one),
    Format("int4", 4, 2, INT4_GROUP, _read_int4, _read_int4_one),
    Format("float16", 16, 1, 0, _read_float16, _read_float16_one),
)
# Those of a KV cache; what has scales is read without them (see `stored_attention`).
UNSCALED = (*FORMATS[:2], Format("number8", 8, 1, 0, _read_number8, _read_number8_one))
