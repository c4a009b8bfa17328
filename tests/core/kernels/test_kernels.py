"""Every kernel against the plain definition in float64, and bitwise against itself on other threads and rows."""

from __future__ import annotations

import gc
import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher

from sg_core.bfloat16 import to_bfloat16
from sg_core.kernels import activation, attention, cross_entropy, dropout, elementary, jit, layernorm, linear
from sg_core.kernels.blocked import BLOCKED_ROOM, add_blocked
from sg_core.kernels.copying import row_stride
from sg_core.kernels.products import PANEL_SIZE, add_outer
from sg_core.kernels.ranking import likeliest
from sg_core.kernels.simd import ZERO
from sg_core.kernels.surprise import surprise_forward
from sg_core.kernels.team import Team, barrier, physical_cores
from sg_core.network.precisions import PRECISIONS, Precision
from sg_core.network.quantization import to_int4, to_int8

Array = npt.NDArray[Any]
# float32 has 24 bits: a sum of a few hundred terms of order one is good to a few 1e-6
TOLERANCE = 2e-5


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def forward_rows(
    out: Array, x: Array, weight: Array, bias: Array, start: int, stop: int, thread: int, threads: int,
    precision: str = "f32",
) -> None:  # fmt: skip
    """linear_forward with a weight (N, K) in a precision."""
    words, scales = weight.reshape(-1), np.zeros(1, np.float32)
    share = Precision.named(precision).group_size(weight.shape[1])
    if precision == "bf16":
        words = to_bfloat16(words).view(np.uint8)
    elif precision in ("int8", "w8a8"):
        numbers, scales = to_int8(weight.reshape(-1, share))
        words = numbers.reshape(-1).view(Precision.named(precision).element)
    elif precision == "int4":  # what fills a row up to whole groups is read by nobody
        whole = np.pad(weight, ((0, 0), (0, -weight.shape[1] % share)))
        words, scales = to_int4(whole.reshape(-1, share))
    panel = np.full(PANEL_SIZE, np.nan, np.float32)
    stored = Precision.named(precision).format
    linear.linear_forward(out, x, words, 0, stored, scales, share, panel, bias, start, stop, thread, threads)


@pytest.mark.parametrize(("M", "N", "K"), [(1, 7, 5), (3, 4, 16), (5, 33, 1030), (61, 13, 64), (64, 20, 100)])
def test_linear_forward_is_the_matrix_product(M: int, N: int, K: int) -> None:
    x, weight, bias = numbers(M, K), numbers(N, K, seed=1), numbers(N, seed=2)
    out = np.full((M, N), np.nan, np.float32)
    forward_rows(out, x, weight, bias, 0, M, 0, 1)
    expected = x.astype(np.float64) @ weight.T.astype(np.float64) + bias
    assert np.abs(out - expected).max() < TOLERANCE * np.sqrt(K)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("K", [20, 100, 192, 1080, 2080])  # int4: tails of numbers, of vectors, of both, and none
def test_a_row_has_the_same_bits_alone_and_among_others_on_any_number_of_threads(K: int, precision: str) -> None:
    M, N = 70, 150
    x, weight, bias = numbers(M, K), numbers(N, K, seed=1), numbers(N, seed=2)
    together, alone = np.empty((M, N), np.float32), np.empty((M, N), np.float32)
    forward_rows(together, x, weight, bias, 0, M, 0, 1, precision)
    for rows, threads in ((1, 1), (1, 7), (2, 2), (3, 2), (5, 3), (8, 1), (11, 2), (23, 3), (64, 2)):
        alone[:] = np.nan
        for m in range(0, M, rows):
            for thread in range(threads):
                forward_rows(alone, x, weight, bias, m, min(M, m + rows), thread, threads, precision)
        assert np.array_equal(together, alone)


@pytest.mark.parametrize(
    ("precision", "worst"), [("bf16", 2**-8), ("int8", 0.5 / 127), ("w8a8", 0.5 / 127), ("int4", 0.5 / 7)]
)
def test_a_stored_weight_is_off_by_at_most_half_a_step(precision: str, worst: float) -> None:
    N, K = 40, 1600
    weight = numbers(N, K, seed=1)
    weight[3] = 0.0
    x = np.eye(K, dtype=np.float32)
    out = np.empty((K, N), np.float32)
    forward_rows(out, x, weight, np.zeros(0, np.float32), 0, K, 0, 1, precision)
    share = 1 if precision == "bf16" else Precision.named(precision).group_size(K)
    # half a step of what the group's largest number allows; int4 may choose a smaller step and clip the largest
    largest = np.abs(weight.reshape(-1, share)).max(axis=1).repeat(share).reshape(N, K)
    error = np.abs(out.T - weight)
    assert (error <= (1.3 if precision == "int4" else 1.0) * worst * largest + 1e-7).mean() > (
        0.95 if precision == "int4" else 0.999999
    )
    assert not out[:, 3].any()


@given(K=st.integers(1, 1100), M=st.integers(1, 13), N=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_int4_is_one_product_at_every_width_and_reads_nothing_beyond_a_row(K: int, M: int, N: int) -> None:
    weight, room = numbers(N, K, seed=1), np.full((M + 1) * K + 64, np.nan, np.float32)
    worth = np.empty((K, N), np.float32)
    forward_rows(worth, np.eye(K, dtype=np.float32), weight, np.zeros(0, np.float32), 0, K, 0, 1, "int4")
    x = room[: M * K].reshape(M, K)  # NaN from there on
    x[:] = numbers(M, K)
    together, alone = np.empty((M, N), np.float32), np.empty((M, N), np.float32)
    forward_rows(together, x, weight, np.zeros(0, np.float32), 0, M, 0, 1, "int4")
    assert np.abs(together - x.astype(np.float64) @ worth).max() < TOLERANCE * np.sqrt(K)
    for m in range(M):
        for thread in range(2):
            forward_rows(alone, x, weight, np.zeros(0, np.float32), m, m + 1, thread, 2, "int4")
    assert np.array_equal(together, alone)


@pytest.mark.parametrize(("M", "N", "K"), [(1, 3, 2), (30, 17, 70), (300, 40, 130)])
def test_linear_backward_are_the_transposed_products(M: int, N: int, K: int) -> None:
    dy, x, weight = numbers(M, N), numbers(M, K, seed=1), numbers(N, K, seed=2)
    dx, dweight, dbias = np.empty((M, K), np.float32), np.ones((N, K), np.float32), np.ones(N, np.float32)
    room = np.empty(BLOCKED_ROOM, np.float32)
    for thread in range(2):
        linear.linear_backward_input(dx, dy, weight, M, room, thread, 2)
        linear.linear_backward_weight(dweight, dbias, dy, x, M, room, thread, 2)
    exact = dy.astype(np.float64)
    assert np.abs(dx - exact @ weight).max() < TOLERANCE * np.sqrt(N)
    assert np.abs(dweight - 1 - exact.T @ x).max() < TOLERANCE * np.sqrt(M)  # added to what was there
    assert np.abs(dbias - 1 - exact.sum(0)).max() < TOLERANCE * np.sqrt(M)


@pytest.mark.parametrize("rows", [2, 191, 389])  # leftover rows: pairs, one, both; one block and several
@pytest.mark.parametrize("columns", [130, 1100])  # rows of b near and far
@pytest.mark.parametrize("rows_are_neighbours", [False, True])  # a and its transpose
def test_a_blocked_product_has_the_bits_of_the_plain_one(rows: int, columns: int, rows_are_neighbours: bool) -> None:
    terms, stride = 300, 1030
    a, b, out = numbers(terms * stride), numbers(terms, columns, seed=1), numbers(rows, columns, seed=2)
    a_row, a_k = (1, stride) if rows_are_neighbours else (terms, 1)
    plain, blocked = out.copy(), out.copy()
    places = (ZERO, columns, a, ZERO, a_row, a_k, b.reshape(-1), ZERO, columns, rows, columns, terms)
    add_outer(plain.reshape(-1), *places)
    add_blocked(blocked.reshape(-1), *places, np.empty(BLOCKED_ROOM, np.float32))
    assert (plain != out).all()
    np.testing.assert_array_equal(blocked, plain)


@given(st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=70))
@settings(max_examples=50, deadline=None)
def test_exp_and_softmax_are_exact_to_float32(values: list[float]) -> None:
    x = np.array(values, np.float32)
    for value in x:
        assert abs(float(elementary.exp(value)) / np.exp(float(value)) - 1) < 4e-7  # a few units in the last place
    row = x.copy()
    elementary.softmax_row(row, np.float32(0.5))
    weights = np.exp(0.5 * (x.astype(np.float64) - x.max()))
    assert np.abs(row - weights / weights.sum()).max() < 1e-6


def forms(x: Array) -> dict[str, Array]:
    """The activations, from their definitions."""
    wide = x.astype(np.float64)
    return {
        "gelu_new": 0.5 * wide * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3))),
        "gelu": np.vectorize(lambda v: 0.5 * v * math.erfc(-v / math.sqrt(2)))(wide),
        "quick_gelu": wide * 0.5 * (1 + np.tanh(0.851 * wide)),
        "relu": np.maximum(wide, 0),
    }


def activated(name: str, x: Array, *, use_table: bool) -> Array:
    out = np.empty_like(x)
    number, table = activation.NAMES.index(name), activation.activation_table(name)
    activation.activation_forward(out, x, number, table, use_table, 0, len(x), 0, 1)
    return out


@pytest.mark.parametrize("name", activation.NAMES)
def test_nan_is_not_hidden_by_exp_or_the_activation(name: str) -> None:
    bad = np.array([[np.nan]], np.float32)
    assert np.isnan(elementary.exp(np.float32(np.nan)))
    assert np.isnan(activated(name, bad, use_table=False)[0, 0])
    assert np.isnan(activated(name, bad, use_table=True)[0, 0])


@pytest.mark.parametrize("name", activation.NAMES)
@pytest.mark.parametrize(
    ("use_table", "tolerance"),
    [(False, 1e-6), (True, 2e-4)],  # the table: fp16 rounding of x near 1 (2^-12) times the slope, and of the entry
)
def test_an_activation_is_its_definition(name: str, use_table: bool, tolerance: float) -> None:
    x = np.concatenate([np.linspace(-12, 12, 4999), [1e5, -1e5, 0.0, 7e4]]).astype(np.float32)[None, :]
    assert np.abs(activated(name, x, use_table=use_table) - forms(x)[name]).max() < tolerance


@pytest.mark.parametrize("name", activation.NAMES)
def test_the_gradient_of_an_activation_is_its_slope(name: str) -> None:
    x = np.linspace(-6, 6, 500, dtype=np.float32)[None, :]  # without 0, where ReLU has none
    dy = np.ones_like(x)
    activation.activation_backward(dy, x, activation.NAMES.index(name), 1, 0, 1)
    h = 1e-4
    slope = (forms(x.astype(np.float64) + h)[name] - forms(x.astype(np.float64) - h)[name]) / (2 * h)
    assert np.abs(dy - slope).max() < 1e-5  # float32 and the finite difference


def test_half_precision_conversion_equals_numpys_bit_for_bit() -> None:
    x = np.linspace(-70000, 70000, 9999).astype(np.float32)
    with np.errstate(over="ignore"):
        table = np.arange(1 << 16, dtype=np.uint16)  # identity: shows which entry is read
        out = np.empty((1, x.size), np.float32)
        activation.activation_forward(out, x[None, :], activation.GELU_TANH, table, True, 0, 1, 0, 1)
        expected = np.maximum(x, 0) + x.astype(np.float16).astype(np.float32)
    assert np.array_equal(out[0], expected)


def test_layernorm_normalises_rows_and_its_gradient_matches_differences() -> None:
    M, C = 4, 50
    x, weight, bias, dy = numbers(M, C) * 3 + 5, numbers(C, seed=1), numbers(C, seed=2), numbers(M, C, seed=3)
    epsilon = np.float32(1e-5)

    def exact(x: Array, weight: Array) -> Array:
        centred = x - x.mean(1, keepdims=True)
        result: Array = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * weight + bias
        return result

    out = np.empty((M, C), np.float32)
    layernorm.layernorm_forward(out, x, weight, bias, epsilon, 0, M, 0, 1)
    wide = x.astype(np.float64)
    assert np.abs(out - exact(wide, weight)).max() < TOLERANCE
    dx, statistics = np.zeros((M, C), np.float32), np.empty((M, 2), np.float32)
    dweight, dbias = np.zeros(C, np.float32), np.zeros(C, np.float32)
    layernorm.layernorm_backward_input(dx, dy, x, weight, statistics, epsilon, M, 0, 1)
    layernorm.layernorm_backward_weight(dweight, dbias, dy, x, statistics, M, 0, 1)
    step = 1e-5
    for i in (0, 17, 49):
        shifted = wide.copy()
        shifted[:, i] += step
        slope = ((exact(shifted, weight) - exact(wide, weight)) / step * dy).sum(1)
        assert np.abs(dx[:, i] - slope).max() < 1e-4  # finite difference
    assert np.abs(dbias - dy.sum(0)).max() < TOLERANCE
    assert np.abs(dweight - (dy * exact(wide, np.ones(C)) - dy * bias).sum(0)).max() < 1e-4


def plain_attention(qkv: Array, heads: int) -> Array:
    T, C = qkv.shape[0], qkv.shape[1] // 3
    hs = C // heads
    out = np.empty((T, C))
    for h in range(heads):
        q, k, v = (qkv[:, part * C + h * hs :][:, :hs].astype(np.float64) for part in range(3))
        scores = q @ k.T / np.sqrt(hs)
        scores[np.triu_indices(T, 1)] = -np.inf
        weights = np.exp(scores - scores.max(1, keepdims=True))
        out[:, h * hs : (h + 1) * hs] = weights / weights.sum(1, keepdims=True) @ v
    return out


@pytest.mark.parametrize(("T", "heads", "hs"), [(1, 1, 8), (30, 3, 20), (70, 2, 64), (253, 1, 8)])
def test_attention_in_a_batch_and_against_the_cache_are_the_definition(T: int, heads: int, hs: int) -> None:
    C = heads * hs
    qkv = numbers(T, 3 * C)
    expected = plain_attention(qkv, heads)
    out = np.full((T, C), np.nan, np.float32)
    room = np.full((1, attention.forward_scratch(hs, T)), np.nan, np.float32)  # what was there before must not count
    scale = np.float32(hs**-0.5)
    attention.attention_forward(out, qkv, 1, T, heads, room, scale, np.float32(0), np.uint32(0), None, ZERO, 0, 1)
    assert np.abs(out - expected).max() < TOLERANCE
    capacity = row_stride(T + 3)
    keys = np.full((heads, hs, capacity), np.nan, np.float32)
    values = np.full((heads, capacity, hs), np.nan, np.float32)
    cached = np.full((T, C), np.nan, np.float32)
    scratch = np.full((1, attention.ROWS * capacity), np.nan, np.float32)
    for t in range(T):  # one position at a time, as decoding does
        attention.scatter_keys_values(keys, values, qkv, 0, t, t + 1, heads, hs, 0, 1)
        attention.attention_cached(cached, qkv, keys, values, 0, t, t + 1, scratch, scale, None, ZERO, ZERO, 0, 1)
    assert np.array_equal(cached, out)  # the same bits, whatever rows are computed together


def test_dropout_drops_its_share_keeps_the_mean_and_repeats_its_mask() -> None:
    x = np.ones((200, 500), np.float32)
    dropout.dropout(x, np.float32(0.3), np.uint32(7), 200, 0, 1)
    assert abs((x == 0).mean() - 0.3) < 0.01  # 100,000 draws: one standard deviation is 0.0015
    assert abs(x.mean() - 1) < 0.01
    shared = np.ones((200, 500), np.float32)
    for thread in range(3):
        dropout.dropout(shared, np.float32(0.3), np.uint32(7), 200, thread, 3)
    assert np.array_equal(x, shared)
    other = np.ones((200, 500), np.float32)
    dropout.dropout(other, np.float32(0.3), np.uint32(8), 200, 0, 1)
    assert not np.array_equal(x, other)


def test_cross_entropy_and_its_gradient() -> None:
    logits, targets = numbers(6, 41) * 4, np.array([0, 40, 3, 3, 7, 20], np.int32)
    wide = logits.astype(np.float64)
    total = np.log(np.exp(wide).sum(1, keepdims=True))
    losses = np.empty(6)
    cross_entropy.cross_entropy_forward(losses, logits.copy(), targets, 0, 6, 0, 1)  # it uses its logits up
    assert np.abs(losses - (total[:, 0] - wide[np.arange(6), targets])).max() < 1e-6
    expected = np.exp(wide - total)
    expected[np.arange(6), targets] -= 1
    cross_entropy.cross_entropy_backward(losses, logits, targets, np.float32(0.5), 0, 6, 0, 1)
    assert np.abs(logits - 0.5 * expected).max() < 1e-6


@given(st.lists(st.integers(-5, 5), min_size=3, max_size=60), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_the_likeliest_come_in_order_with_the_lowest_id_first(values: list[int], k: int) -> None:
    logits = np.array(values, np.float32)
    ids, logprobs = np.empty(k, np.int64), np.empty(k)
    total = likeliest(ids, logprobs, logits, np.empty_like(logits))
    assert ids.tolist() == sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
    assert np.abs(logprobs - (logits[ids].astype(np.float64) - total)).max() < 1e-9
    assert abs(total - np.log(np.exp(logits.astype(np.float64)).sum())) < 1e-5


@given(st.lists(st.integers(-40, 40), min_size=3, max_size=700), st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_a_row_of_logits_tells_logprob_rank_entropy_and_the_mass_of_marked_tokens(values: list[int], seed: int) -> None:
    row, V = np.array(values, np.float32), len(values)
    drawn = np.random.default_rng(seed)
    target, marks = int(drawn.integers(V)), drawn.integers(0, 2, V).astype(np.float32)
    marks[target] = 1
    (logprob, entropy, marked), rank = np.empty((3, 1)), np.empty(1, np.int64)
    top, top_logprobs = np.empty((1, 3), np.int64), np.empty((1, 3))
    targets, room = np.array([target], np.int32), np.empty(V, np.float32)
    surprise_forward(
        logprob, rank, entropy, marked, top, top_logprobs, row[None], targets, marks, room, 0, 1, 0, 1
    )  # fmt: skip
    exact = row.astype(np.float64) - np.log(np.exp(row.astype(np.float64)).sum())
    order = np.argsort(-exact, kind="stable")
    assert abs(logprob[0] - exact[target]) < 1e-6  # float32 exponentials, float64 sums
    assert rank[0] == 1 + order.tolist().index(target)
    assert abs(entropy[0] + (np.exp(exact) * exact).sum()) < 2e-6
    assert abs(marked[0] - np.log((np.exp(exact) * marks).sum())) < 1e-6
    assert top[0].tolist() == order[:3].tolist()
    assert np.abs(top_logprobs[0] - exact[order[:3]]).max() < 1e-6


def test_a_team_runs_every_member_and_its_barrier_lets_none_ahead() -> None:
    from sg_core.kernels.jit import kernel

    @kernel
    def rounds(thread: int, threads: int, cells: Any, seen: Any, wrong: Any) -> None:
        for step in range(200):
            seen[thread] = step
            barrier(cells, threads)
            for other in range(threads):
                if seen[other] != step:
                    wrong[0] += 1
            barrier(cells, threads)

    for threads in (1, 2, 5):  # more than this machine may have cores
        seen, wrong = np.zeros(threads, np.int64), np.zeros(1, np.int64)
        Team(threads).run(rounds, seen, wrong)
        assert wrong[0] == 0
        assert (seen == 199).all()
    assert physical_cores() >= 1


def test_compiled_kernels_are_told_apart_by_every_file_that_holds_one() -> None:
    package = Path(jit.__file__).parents[1]
    holders = {
        path
        for path in package.rglob("*.py")
        if any(f"\n@{mark}\n" in path.read_text("utf-8") for mark in ("entry", "kernel", "unordered"))
    }
    assert package / "training" / "optimizer.py" in holders
    assert holders <= set(jit.kernel_sources())
    # the columns of a block's tensors are compiled into the passes
    assert package / "network" / "parameters.py" in jit.kernel_sources()


def test_no_two_kernels_have_one_name() -> None:
    """Beside machine code from the cache, numba could take one of them for the other."""
    importlib.import_module("sg_core.network.backward")
    importlib.import_module("sg_core.network.forward")
    functions = {id(one): one.py_func for one in gc.get_objects() if issubclass(type(one), Dispatcher)}.values()
    own = [one for one in functions if one.__module__.startswith("sg_core.")]
    # without constants of its own a function of the same name is the same code, and may well be there twice
    names = [f"{one.__module__}.{one.__qualname__}" for one in own if one.__closure__]
    assert len(names) > 5
    assert sorted(names) == sorted(set(names))
