"""What this processor multiplies narrow numbers with, and the LLVM code of one such step.

A step multiplies as many numbers as LANES float32 numbers take bytes, and adds neighbours of four bytes into each of
LANES sums.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from sg_core.kernels.simd import FEATURES, I32, LANES, PROCESSOR, VECTOR, cgutils

# All of Apple's have dot products, and need not name their features.
_ON = frozenset([*FEATURES.split(","), *(["+dotprod"] if PROCESSOR.startswith("apple-m") else [])])
_I8, _I16 = ir.IntType(8), ir.IntType(16)
SUMS = ir.VectorType(I32, LANES)
BYTES = ir.VectorType(_I8, 4 * LANES)
PAIRS = ir.VectorType(_I16, 2 * LANES)

Step = Callable[[Any, Any, Any, Any], Any]  # (builder, sums, x, w) -> sums


class _BFloat(ir.types.Type):  # type: ignore[misc]  # llvmlite is not annotated
    """LLVM's bfloat, which llvmlite has no name for."""

    def _to_string(self) -> str:
        return "bfloat"


_HALVES = ir.VectorType(_BFloat(), 2 * LANES)


def _call(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


# ---------------------------------------------------------------- bfloat16


def _registers_permitted() -> bool:
    """Ask Linux, for this process and all its threads, for the state of matrix registers; False where there is none."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return False
    arch_prctl, request, tile_data = 158, 0x1023, 18
    return bool(ctypes.CDLL(None).syscall(*map(ctypes.c_long, (arch_prctl, request, tile_data))) == 0)


# Without the permission the first use would end the process: feature and answer decide. And the person: what computes
# with these registers was compiled and imitated, and has not been run on such a processor yet.
_ASKED = os.environ.get("SG_AMX") == "1"
BFLOAT16_TILES = _ASKED and {"+amx-tile", "+amx-bf16", "+avx512f"} <= _ON and _registers_permitted()
# Of AMD's processors, which sse4a tells: on Intel's the instruction has half the rate of a float32 multiplication.
BFLOAT16_DOTS = not BFLOAT16_TILES and {"+avx512bf16", "+avx512bw", "+sse4a"} <= _ON
ROUNDS_BESIDE_BFLOAT16 = BFLOAT16_TILES or BFLOAT16_DOTS  # activations, where the unit takes both sides in 16 bits


def dot_bfloat16(builder: Any, sums: Any, x: Any, w: Any) -> Any:
    """x, w: PAIRS, as bits. Denormal numbers count as zero."""
    x, w = builder.bitcast(x, _HALVES), builder.bitcast(w, _HALVES)
    return _call(builder, "llvm.x86.avx512bf16.dpbf16ps.512", VECTOR, sums, x, w)


# ---------------------------------------------------------------- int8: every way gives the same, for sums are exact


def _four_by_four(builder: Any, sums: Any, x: Any, w: Any) -> Any:
    """w: unsigned."""
    return _call(builder, f"llvm.x86.avx512.vpdpbusd.{32 * LANES}", SUMS, sums, w, x)


def _dot_product(builder: Any, sums: Any, x: Any, w: Any) -> Any:
    """NEON's, four sums at a time."""
    parts = []
    for part in range(LANES // 4):
        few = [_part(builder, vector, part, LANES // 4) for vector in (sums, x, w)]
        parts.append(_call(builder, "llvm.aarch64.neon.sdot.v4i32.v16i8", few[0].type, *few))
    while len(parts) > 1:
        order = ir.Constant(ir.VectorType(I32, 2 * parts[0].type.count), list(range(2 * parts[0].type.count)))
        parts = [builder.shuffle_vector(*parts[n : n + 2], order) for n in range(0, len(parts), 2)]
    return parts[0]


def _pairs_of_words(builder: Any, sums: Any, x: Any, w: Any) -> Any:
    name = "llvm.x86.avx512.pmaddw.d.512" if LANES == 16 else "llvm.x86.avx2.pmadd.wd"
    for half in (0, 1):
        words = [builder.sext(_part(builder, vector, half, 2), PAIRS) for vector in (x, w)]
        sums = builder.add(sums, _call(builder, name, SUMS, *words))
    return sums


def _plain(builder: Any, sums: Any, x: Any, w: Any) -> Any:
    for quarter in range(4):
        numbers = [builder.sext(_part(builder, vector, quarter, 4), SUMS) for vector in (x, w)]
        sums = builder.add(sums, builder.mul(*numbers))
    return sums


def _part(builder: Any, vector: Any, number: int, parts: int) -> Any:
    count = vector.type.count // parts
    lanes = [I32(number * count + lane) for lane in range(count)]
    return builder.shuffle_vector(
        vector, ir.Constant(vector.type, ir.Undefined), ir.Constant(ir.VectorType(I32, count), lanes)
    )


def int8_unit(features: frozenset[str]) -> tuple[Step, bool]:
    """The step of x, w: BYTES, signed; and whether w is to be 128 higher there, so that it has no sign."""
    wide = LANES == 16
    if ("+avx512vnni" if wide else "+avxvnni") in features:
        return _four_by_four, True
    if "+dotprod" in features:
        return _dot_product, False
    if ("+avx512bw" if wide else "+avx2") in features:
        return _pairs_of_words, False
    return _plain, False


INT8_UNIT = int8_unit(_ON)
