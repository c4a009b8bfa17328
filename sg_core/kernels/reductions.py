"""Sums over a row in LANES partial sums, added pairwise at the end: vector code whose order is written down.

The compiler may not reorder floating-point sums (no fast-math flag is given), so a sum written as a plain loop would
run one number after the other. Here the order is fixed in LLVM IR: the result depends on the length alone, not on what
the compiler makes of the surrounding code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from sg_core.kernels.simd import (
    F32,
    I32,
    LANES,
    VECTOR,
    VECTOR_ZERO,
    data_pointer,
    i64,
    intrinsic,
    load_vector,
    loop,
    multiply_add,
    spread,
    sums_of_lanes,
)

_Body = Callable[[Any, Any, list[Any], list[Any], Any], Any]


def _reduction(rows: int, scalars: int, body: _Body) -> Callable[[Any, list[Any], tuple[Any, ...], Any], Any]:
    """Code for `sum over i of body(row[i] of each row, scalars)`; body adds one term to the running sum."""

    def generate(context: Any, builder: Any, signature: Any, args: tuple[Any, ...]) -> Any:
        pointers = [data_pointer(context, builder, signature.args[n], args[n]) for n in range(rows)]
        plain = list(args[rows : rows + scalars])
        count = context.make_array(signature.args[0])(context, builder, args[0])
        length = builder.extract_value(count.shape, 0)
        whole = builder.and_(length, i64(-LANES))

        def step(kind: Any, load: Any, constants: list[Any]) -> Callable[[Any, list[Any]], list[Any]]:
            def add(index: Any, state: list[Any]) -> list[Any]:
                values = [load(builder.gep(pointer, [index])) for pointer in pointers]
                return [body(builder, multiply_add(builder, kind), values, constants, state[0])]

            return add

        wide = [spread(builder, scalar) for scalar in plain]
        [vector] = loop(
            builder, i64(0), whole, LANES, [VECTOR_ZERO], step(VECTOR, lambda p: load_vector(builder, p), wide)
        )
        [total] = loop(builder, whole, length, 1, sums_of_lanes(builder, [vector]), step(F32, builder.load, plain))
        return total

    return generate


_sum = _reduction(1, 0, lambda b, fma, rows, scalars, total: b.fadd(total, rows[0]))
_dot = _reduction(2, 0, lambda b, fma, rows, scalars, total: b.call(fma, [rows[0], rows[1], total]))


def _centred_square(b: Any, fma: Any, rows: list[Any], scalars: list[Any], total: Any) -> Any:
    centred = b.fsub(rows[0], scalars[0])
    return b.call(fma, [centred, centred, total])


def _centred_product(b: Any, fma: Any, rows: list[Any], scalars: list[Any], total: Any) -> Any:
    return b.call(fma, [b.fmul(rows[0], rows[1]), b.fsub(rows[2], scalars[0]), total])


_squares = _reduction(1, 1, _centred_square)
_products = _reduction(3, 1, _centred_product)


@intrinsic
def row_sum(typing, row):  # type: ignore[no-untyped-def]
    """Sum of (n,) float32."""
    return types.float32(row), _sum


@intrinsic
def row_dot(typing, row, other):  # type: ignore[no-untyped-def]
    """Sum of row·other, (n,) float32 each."""
    return types.float32(row, other), _dot


@intrinsic
def centred_squares(typing, row, centre):  # type: ignore[no-untyped-def]
    """Sum of (row - centre)², (n,) float32."""
    return types.float32(row, types.float32), _squares


@intrinsic
def centred_products(typing, row, other, third, centre):  # type: ignore[no-untyped-def]
    """Sum of row·other·(third - centre), (n,) float32 each."""
    return types.float32(row, other, third, types.float32), _products


_WIDE_LANES = 8
_F64 = ir.DoubleType()
_WIDE, _NARROW = ir.VectorType(_F64, _WIDE_LANES), ir.VectorType(F32, _WIDE_LANES)
_Term = Callable[[Any, list[Any], list[Any]], Any]


def _reduction_float64(rows: int, scalars: int, term: _Term) -> Callable[[Any, Any, tuple[Any, ...], Any], Any]:
    """Code for `sum over i of term(row[i] of each row, scalars)` in float64, in 8 partial sums added in their order."""

    def generate(context: Any, builder: Any, signature: Any, args: tuple[Any, ...]) -> Any:
        pointers = [data_pointer(context, builder, signature.args[n], args[n]) for n in range(rows)]
        plain = [builder.fpext(scalar, _F64) for scalar in args[rows : rows + scalars]]
        array = context.make_array(signature.args[0])(context, builder, args[0])
        length = builder.extract_value(array.shape, 0)
        whole = builder.and_(length, i64(-_WIDE_LANES))

        def load_eight(pointer: Any) -> Any:
            loaded = builder.load(builder.bitcast(pointer, _NARROW.as_pointer()))
            loaded.align = 4
            return builder.fpext(loaded, _WIDE)

        def load_one(pointer: Any) -> Any:
            return builder.fpext(builder.load(pointer), _F64)

        def step(load: Any, constants: list[Any]) -> Callable[[Any, list[Any]], list[Any]]:
            def add(index: Any, state: list[Any]) -> list[Any]:
                values = [load(builder.gep(pointer, [index])) for pointer in pointers]
                return [builder.fadd(state[0], term(builder, values, constants))]

            return add

        wide = [_spread_float64(builder, scalar) for scalar in plain]
        zeros = ir.Constant(_WIDE, [0.0] * _WIDE_LANES)
        [vector] = loop(builder, i64(0), whole, _WIDE_LANES, [zeros], step(load_eight, wide))
        total = ir.Constant(_F64, 0.0)
        for lane in range(_WIDE_LANES):
            total = builder.fadd(total, builder.extract_element(vector, ir.Constant(I32, lane)))
        [total] = loop(builder, whole, length, 1, [total], step(load_one, plain))
        return total

    return generate


def _spread_float64(builder: Any, scalar: Any) -> Any:
    vector = ir.Constant(_WIDE, ir.Undefined)
    for lane in range(_WIDE_LANES):
        vector = builder.insert_element(vector, scalar, ir.Constant(I32, lane))
    return vector


_squares_float64 = _reduction_float64(1, 0, lambda b, rows, scalars: b.fmul(rows[0], rows[0]))
_sum_float64 = _reduction_float64(1, 0, lambda b, rows, scalars: rows[0])
_dot_float64 = _reduction_float64(2, 0, lambda b, rows, scalars: b.fmul(rows[0], rows[1]))
_shifted_dot_float64 = _reduction_float64(
    2, 1, lambda b, rows, scalars: b.fmul(rows[0], b.fsub(rows[1], scalars[0]))
)  # fmt: skip


@intrinsic
def squares_float64(typing, row):  # type: ignore[no-untyped-def]
    """Sum of squares of (n,) float32 as float64, in 8 partial sums."""
    return types.float64(row), _squares_float64


@intrinsic
def sum_float64(typing, row):  # type: ignore[no-untyped-def]
    """Sum of (n,) float32 as float64."""
    return types.float64(row), _sum_float64


@intrinsic
def dot_float64(typing, row, other):  # type: ignore[no-untyped-def]
    """Sum of row·other, (n,) float32 each, as float64."""
    return types.float64(row, other), _dot_float64


@intrinsic
def shifted_dot_float64(typing, row, other, shift):  # type: ignore[no-untyped-def]
    """Sum of row·(other - shift), (n,) float32 each, as float64."""
    return types.float64(row, other, types.float32), _shifted_dot_float64
