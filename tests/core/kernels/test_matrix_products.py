"""Products by a matrix unit: an imitation tells their bits, the compiler that the instructions are made."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import binding, ir

from sg_core.bfloat16 import from_bfloat16, to_bfloat16
from sg_core.kernels.jit import kernel, variant
from sg_core.kernels.matrix_products import PRODUCTS, SPAN, STEP, matrix_products
from sg_core.kernels.matrix_units import REGISTERS, MatrixUnit, configure, emit
from sg_core.kernels.products import PANEL_SIZE
from sg_core.kernels.simd import float32_of_bits

Array = npt.NDArray[Any]
ROOM = PANEL_SIZE + REGISTERS * 256  # the imitation's registers lie behind the room
_ZERO, _HIGH = np.float32(0.0), np.int32(-65536)


def imitation() -> MatrixUnit:
    """The same in plain code; numbers that were not loaded are NaN."""

    @kernel
    def spoil(room: Any) -> None:
        for i in range(PANEL_SIZE, ROOM):
            room[i] = np.nan

    def zeroing(t: int) -> Any:
        @variant(t)
        def zero(room: Any) -> None:
            for i in range(256):
                room[PANEL_SIZE + 256 * t + i] = _ZERO

        return zero

    def loading(t: int) -> Any:
        @variant(t)
        def load(room: Any, array: Any, byte: int, stride: int) -> None:
            numbers, register = array.view(np.uint8), room[PANEL_SIZE + 256 * t :].view(np.uint8)
            for r in range(16):
                for i in range(64):
                    register[64 * r + i] = numbers[byte + r * stride + i]

        return load

    def storing(t: int) -> Any:
        @variant(t)
        def store(room: Any, array: Any, byte: int, stride: int) -> None:
            numbers, register = array.view(np.uint8), room[PANEL_SIZE + 256 * t :].view(np.uint8)
            for r in range(16):
                for i in range(64):
                    numbers[byte + r * stride + i] = register[64 * r + i]

        return store

    def multiplying(c: int, a: int, b: int) -> Any:
        @variant(c, a, b)
        def multiply(room: Any) -> None:
            sums = room[PANEL_SIZE + 256 * c :]
            words, pairs = (
                room[PANEL_SIZE + 256 * a :].view(np.int32),
                room[PANEL_SIZE + 256 * b :].view(np.int32),
            )
            for m in range(16):
                for n in range(16):
                    even, odd = _ZERO, _ZERO
                    for k in range(16):
                        x, y = words[16 * m + k], pairs[16 * k + n]
                        even += float32_of_bits(np.int32(x << 16)) * float32_of_bits(np.int32(y << 16))
                        odd += float32_of_bits(np.int32(x & _HIGH)) * float32_of_bits(np.int32(y & _HIGH))
                    sums[16 * m + n] += even + odd

        return multiply

    every = range(REGISTERS)
    return MatrixUnit(
        spoil,
        spoil,
        {t: zeroing(t) for t in every},
        {t: loading(t) for t in every},
        {t: storing(t) for t in every},
        {one: multiplying(*one) for one in PRODUCTS},
    )


def definition(x: Array, words: Array) -> Array:
    """The bits of x·wᵀ: even and odd numbers of 32 apart, steps one after the other, in float32."""
    rows = from_bfloat16(to_bfloat16(x.reshape(-1))).reshape(x.shape)
    weight = from_bfloat16(words.reshape(-1)).reshape(words.shape)
    out = np.zeros((len(x), len(words)), np.float32)
    for k0 in range(0, x.shape[1], SPAN):
        total = np.zeros_like(out)
        for k in range(k0, min(k0 + SPAN, x.shape[1]), STEP):
            halves = []
            for first in (k, k + 1):
                part = np.zeros_like(out)
                for i in range(first, min(k + STEP, k0 + SPAN, x.shape[1]), 2):
                    part += rows[:, i, None] * weight[None, :, i]
                halves.append(part)
            total += halves[0] + halves[1]
        out += total
    return out


_dots = matrix_products(imitation(), "imitation")


def product(x: Array, words: Array, m0: int, m1: int, n0: int, n1: int) -> Array:
    N, K = words.shape
    behind = np.full(N * K + 64, 0x7FC0, np.uint16)  # NaN behind the last row
    behind[: N * K] = words.reshape(-1)
    out, none, room = np.zeros((len(x), N), np.float32), np.zeros(1, np.float32), np.full(ROOM, np.nan, np.float32)
    _dots(out, x, behind.view(np.uint8), 0, none, 1024, room, m0, m1, n0, n1)
    return out


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@given(M=st.integers(1, 70), N=st.integers(1, 70), K=st.sampled_from([1, 31, 32, 33, 64, 100, 2048, 2100]))
@settings(max_examples=25, deadline=None)
def test_products_have_the_bits_of_their_definition(M: int, N: int, K: int) -> None:
    x, words = numbers(M, K), to_bfloat16(numbers(N, K, seed=1).reshape(-1)).reshape(N, K)
    assert np.array_equal(product(x, words, 0, M, 0, N), definition(x, words))


def test_a_row_has_the_same_bits_alone_and_in_any_share_of_the_columns() -> None:
    M, N, K = 50, 75, 130
    x, words = numbers(M, K), to_bfloat16(numbers(N, K, seed=1).reshape(-1)).reshape(N, K)
    together = product(x, words, 0, M, 0, N)
    for m0, m1 in ((0, 1), (7, 8), (13, 50)):
        for n0, n1 in ((0, 37), (37, 75)):
            part = product(x, words, m0, m1, n0, n1)
            assert np.array_equal(part[m0:m1, n0:n1], together[m0:m1, n0:n1])
            part[m0:m1, n0:n1] = 0.0
            assert not part.any()


def test_the_instructions_are_what_the_compiler_makes() -> None:
    """Compiled for a Sapphire Rapids, on whatever machine this is."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    byte, word = ir.IntType(8), ir.IntType(64)
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [byte.as_pointer(), word]), "products")
    builder = ir.IRBuilder(function.append_basic_block())
    configure(builder)
    emit(builder, "tilezero", byte(0))
    for register in (4, 6):
        emit(builder, "tileloadd64", byte(register), *function.args)
    emit(builder, "tdpbf16ps", byte(0), byte(4), byte(6))
    emit(builder, "tilestored64", byte(0), *function.args)
    emit(builder, "tilerelease")
    builder.ret_void()
    target = binding.Target.from_triple("x86_64-unknown-linux-gnu")
    machine = target.create_target_machine(cpu="sapphirerapids", features="+amx-tile,+amx-bf16")
    lines = [line.split() for line in machine.emit_assembly(binding.parse_assembly(str(module))).splitlines()]
    made = [line[0] for line in lines if line and line[0].startswith(("ldt", "tile", "tdp"))]
    assert made == ["ldtilecfg", "tilezero", "tileloadd", "tileloadd", "tdpbf16ps", "tilestored", "tilerelease"]
