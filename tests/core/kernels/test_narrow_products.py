"""Products of numbers in 16 and 8 bits on both sides: what their bits are, on every kind of processor."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import binding, ir

from sg_core.bfloat16 import from_bfloat16, to_bfloat16
from sg_core.kernels.jit import variant
from sg_core.kernels.narrow_products import dots_quantized, dots_rounded
from sg_core.kernels.narrow_tiles import int8_numbers, narrow_tile
from sg_core.kernels.products import K_BLOCK, PANEL_SIZE
from sg_core.kernels.simd import FEATURES, LANES
from sg_core.kernels.units import BFLOAT16_DOTS, BYTES, SUMS, int8_unit
from sg_core.network.quantization import to_int8

Array = npt.NDArray[Any]
ONE = np.float32(1.0)


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def quantized_rows(x: Array) -> tuple[Array, Array]:
    """int32 numbers (M, K) and scales (M,) of rows: the definition."""
    scales = (np.abs(x).max(axis=1) / np.float32(127)).astype(np.float32)
    factors = np.divide(ONE, scales, out=np.zeros_like(scales), where=scales > 0)
    return np.rint(x * factors[:, None]).astype(np.int32), scales


def reference(x: Array, q: Array, scales: Array, share: int) -> Array:
    """The bits of x·wᵀ: whole sums of `share` numbers times both scales, added in float32 one after the other."""
    rows, x_scales = quantized_rows(x)
    out = np.zeros((len(x), len(q)), np.float32)
    for group, k in enumerate(range(0, x.shape[1], share)):
        whole = rows[:, k : k + share] @ q[:, k : k + share].astype(np.int32).T
        out += whole.astype(np.float32) * (scales[:, group][None, :] * x_scales[:, None])
    return out


def quantized_product(x: Array, q: Array, scales: Array, share: int) -> Array:
    out = np.zeros((len(x), len(q)), np.float32)
    room = np.full(PANEL_SIZE, np.nan, np.float32)
    words, (M, N) = q.reshape(-1), out.shape
    dots_quantized(out, x, words, 0, scales.reshape(-1), share, room, 0, M, 0, N)
    return out


@given(
    groups=st.integers(1, 3), share=st.sampled_from([1, 7, 64, 130, 1000]), M=st.integers(1, 27), N=st.integers(1, 9)
)
@settings(max_examples=40, deadline=None)
def test_int8_products_have_the_bits_of_their_definition(groups: int, share: int, M: int, N: int) -> None:
    K = groups * share
    x, weight = numbers(M, K), numbers(N, K, seed=1)
    x[0] = 0.0
    flat, scales = to_int8(weight.reshape(-1, share))
    q, scales = flat.reshape(N, K), scales.reshape(N, groups)
    assert np.array_equal(quantized_product(x, q, scales, share), reference(x, q, scales, share))


def test_the_largest_numbers_do_not_overflow_and_those_of_a_very_wide_row_are_all_added() -> None:
    K, share = 40960, 1024  # more than the room holds of FEW rows at once
    x, q = np.ones((11, K), np.float32), np.full((5, K), 127, np.int8)
    x[:, 1::2], q[:, 1::2] = -1.0, -127
    scales = np.ones((5, K // share), np.float32)
    assert np.array_equal(quantized_product(x, q, scales, share), reference(x, q, scales, share))


def test_a_row_with_a_number_that_is_not_finite_gives_none_that_is() -> None:
    x, (q, scales) = numbers(3, 64), to_int8(numbers(8, 64, seed=1))
    x[0, 5], x[2, 7] = np.nan, -np.inf
    out = quantized_product(x, q, scales[:, None], 64)
    assert not np.isfinite(out[[0, 2]]).any()
    assert np.isfinite(out[1]).all()


@pytest.mark.parametrize("features", ["", "+avx2,+avx512bw", "+avxvnni,+avx512vnni"])
def test_every_way_to_multiply_int8_gives_the_same(features: str) -> None:
    wanted = frozenset(features.split(","))
    if not all(one in FEATURES.split(",") for one in wanted if one and ("avx512" in one) == (LANES == 16)):
        pytest.skip("this processor has no such instruction")
    tile = narrow_tile(2, 4, int8_numbers(*int8_unit(wanted)))

    @variant(features)
    def multiply(out: Any, x: Any, w: Any, scales: Any, k: int) -> None:
        tile(x, 0, 64, 16, 1, w, 0, 150, scales, 0, 1, k, out, 0, 4, 1)

    q = np.random.default_rng(0).integers(-127, 128, (2, 150), np.int8)
    w = np.random.default_rng(1).integers(-127, 128, (4, 150), np.int8)
    rows = np.zeros((2, 64), np.float32)  # scale, sum, and from the 17th word on 150 numbers and zeros
    rows[:, 0], rows[:, 1] = (0.5, 0.25), q.sum(axis=1)
    rows[:, 16:].view(np.int8)[:, :150] = q
    scales, out = numbers(4), np.zeros((2, 4), np.float32)
    multiply(out.reshape(-1), rows.reshape(-1), w.reshape(-1), scales, 150)
    whole = (q.astype(np.int32) @ w.astype(np.int32).T).astype(np.float32)
    assert np.array_equal(out, whole * (scales[None, :] * rows[:, :1]))


@pytest.mark.parametrize(
    ("triple", "processor", "feature", "instruction"),
    [
        ("x86_64-unknown-linux-gnu", "x86-64-v4", "+avx512vnni", "vpdpbusd"),
        ("x86_64-unknown-linux-gnu", "x86-64-v4", "+avx512bw", "vpmaddwd"),
        ("aarch64-unknown-linux-gnu", "generic", "+dotprod", "sdot"),
    ],
)
def test_the_instruction_of_a_feature_is_what_the_compiler_makes(
    triple: str, processor: str, feature: str, instruction: str
) -> None:
    """Compiled for its target, on whatever machine this is."""
    if LANES != 16 and triple.startswith("x86"):
        pytest.skip("vectors of this process are those of AVX2")
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    step, _ = int8_unit(frozenset([feature]))
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(SUMS, [SUMS, BYTES, BYTES]), "step")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(step(builder, *function.args))
    target = binding.Target.from_triple(triple).create_target_machine(cpu=processor, features=feature)
    assert instruction in target.emit_assembly(binding.parse_assembly(str(module)))


@pytest.mark.skipif(not BFLOAT16_DOTS, reason="this processor has no faster products of bfloat16")
@given(K=st.integers(1, 2100), M=st.integers(1, 27), N=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_bfloat16_products_are_those_of_both_sides_rounded(K: int, M: int, N: int) -> None:
    x, words = numbers(M, K), to_bfloat16(numbers(N, K, seed=1).reshape(-1))
    behind = np.full(N * K + 64, 0x7FC0, np.uint16)  # NaN behind the last row
    behind[: N * K] = words
    out, none = np.zeros((M, N), np.float32), np.zeros(1, np.float32)
    room = np.full(PANEL_SIZE, np.nan, np.float32)
    dots_rounded(out, x, behind.view(np.uint8), 0, none, K_BLOCK, room, 0, M, 0, N)
    exact = from_bfloat16(to_bfloat16(x.reshape(-1))).reshape(M, K).astype(np.float64)
    exact = exact @ from_bfloat16(words).reshape(N, K).T
    assert np.abs(out - exact).max() < 2e-5 * np.sqrt(K)  # float32 sums of exact products
