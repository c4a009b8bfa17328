"""Intel's AMX: eight registers that hold 16 rows of 64 bytes each, and one instruction that multiplies two of them.

All are used whole. A product adds, for each of 16 x 16 float32 sums, 32 products of bfloat16 numbers: those at even and
those at odd places one after the other, then both; denormal numbers count as zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from sg_core.kernels.simd import F32, I32, at, cgutils, data_pointer, i64, intrinsic, prefetch

ROWS = 16  # of a register
ROW_BYTES = 64
REGISTERS = 8
_I8 = ir.IntType(8)
# Palette 1; bytes of a row of each register from byte 16 on, rows from byte 48 on.
CONFIGURATION = np.zeros(64, np.uint8)
CONFIGURATION[0] = 1
CONFIGURATION[16:32:2] = ROW_BYTES
CONFIGURATION[48:56] = ROWS


@dataclass(frozen=True, slots=True)
class MatrixUnit:
    """What can be done with the registers. Each function is first told an array, which only an imitation needs.

    begin(room); end(room); zero[t](room); load[t] and store[t](room, array, byte, stride): 16 rows of 64 bytes, so many
    bytes apart, from a byte of a flat array on; multiply[c, a, b](room): c += a·b, where row k of b holds the numbers
    2k and 2k + 1 of 16 columns.
    """

    begin: Any
    end: Any
    zero: dict[int, Any]
    load: dict[int, Any]
    store: dict[int, Any]
    multiply: dict[tuple[int, int, int], Any]


def emit(builder: Any, name: str, *arguments: Any) -> None:
    """An instruction by its name."""
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), arguments)


def _plain(name: str, body: Callable[[Any], None]) -> Any:
    @intrinsic
    def function(typing, room):  # type: ignore[no-untyped-def]
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            body(builder)
            return context.get_dummy_value()

        return types.void(room), generate

    function.__name__ = name
    return function


def _moving(name: str, register: int) -> Any:
    @intrinsic
    def function(typing, room, array, byte, stride):  # type: ignore[no-untyped-def]
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            base = builder.bitcast(data_pointer(context, builder, sig.args[1], args[1]), _I8.as_pointer())
            emit(builder, name, _I8(register), builder.gep(base, [args[2]]), args[3])
            return context.get_dummy_value()

        return types.void(room, array, types.int64, types.int64), generate

    function.__name__ = f"{name}_{register}"
    return function


def configure(builder: Any) -> None:
    """Make all registers whole; they are the thread's until `tilerelease`."""
    kind = ir.ArrayType(_I8, len(CONFIGURATION))
    place = cgutils.alloca_once(builder, kind)
    builder.store(ir.Constant(kind, CONFIGURATION.tolist()), place)
    emit(builder, "ldtilecfg", builder.bitcast(place, _I8.as_pointer()))


def _zeroing(register: int) -> Any:
    return _plain(f"tilezero_{register}", lambda builder: emit(builder, "tilezero", _I8(register)))


def _multiplying(c: int, a: int, b: int) -> Any:
    return _plain(f"tdpbf16ps_{c}_{a}_{b}", lambda builder: emit(builder, "tdpbf16ps", _I8(c), _I8(a), _I8(b)))


def amx(products: tuple[tuple[int, int, int], ...]) -> MatrixUnit:
    """The unit itself, for what is multiplied with it."""
    return MatrixUnit(
        _plain("ldtilecfg", configure),
        _plain("tilerelease", lambda builder: emit(builder, "tilerelease")),
        {t: _zeroing(t) for t in range(REGISTERS)},
        {t: _moving("tileloadd64", t) for t in range(REGISTERS)},
        {t: _moving("tilestored64", t) for t in range(REGISTERS)},
        {one: _multiplying(*one) for one in products},
    )


@intrinsic
def prefetch_rows(typing, array, byte, stride):  # type: ignore[no-untyped-def]
    """Ask for what two loads of a register read, which need not exist."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        base = builder.bitcast(data_pointer(context, builder, sig.args[0], args[0]), _I8.as_pointer())
        for r in range(2 * ROWS):
            prefetch(builder, at(builder, base, args[1], args[2], r))
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), generate


@intrinsic
def transpose_words(typing, out, place, x, start, stride):  # type: ignore[no-untyped-def]
    """out[place:][:256] = the transpose of 16 rows of 16 words, `stride` words apart from x[start] on; flat float32."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        out, place, x, start, stride = args
        wide = ir.VectorType(F32, ROWS)
        source = builder.gep(data_pointer(context, builder, sig.args[2], x), [start])
        target = builder.gep(data_pointer(context, builder, sig.args[0], out), [place])
        rows = []
        for r in range(ROWS):
            pointer = builder.gep(source, [builder.mul(stride, i64(r))])
            rows.append(builder.load(builder.bitcast(pointer, wide.as_pointer())))
            rows[-1].align = 4
        span = ROWS // 2
        while span:  # rows that are `span` apart exchange halves of blocks of 2 * span words
            for r in range(ROWS):
                if r & span:
                    continue
                pair = rows[r], rows[r + span]
                for row, high in ((r, 0), (r + span, span)):
                    order = [
                        (lane & ~span) + high if not lane & span else ROWS + (lane & ~span) + high
                        for lane in range(ROWS)
                    ]
                    rows[row] = builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(I32, ROWS), order))
            span //= 2
        for r, row in enumerate(rows):
            pointer = builder.bitcast(builder.gep(target, [i64(r * ROWS)]), wide.as_pointer())
            builder.store(row, pointer).align = 4
        return context.get_dummy_value()

    return types.void(out, types.int64, x, types.int64, types.int64), generate
