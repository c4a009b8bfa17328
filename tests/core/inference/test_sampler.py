"""The draw: filters keep what they promise, at least one candidate stays, the same seed draws the same."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sg_core.errors import SettingError
from sg_core.inference.sampler import Room, choose, key, penalized
from sg_core.inference.sampling import Sampling
from sg_core.kernels.drawing import draw

NONE = np.empty(0, np.int64)
EDGE = 1e-5  # float32 weights: their sums are true to some 1e-6
VOCABULARY = 50257

Floats = npt.NDArray[np.float32]


def luck(key: int, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """In (0, 1): of each id, SplitMix64 (Steele et al. 2014) from the key, its id-th number."""
    with np.errstate(over="ignore"):
        z = np.uint64(key) + np.uint64(0x9E3779B97F4A7C15) * (ids + 1).astype(np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(12)).astype(np.float64) * 2.0**-52 + 2.0**-53


def by_definition(logits: Floats, s: Sampling, key: int) -> int:
    """The slow, plain draw: sort everything, cut, and see who comes first."""
    order = np.lexsort((np.arange(len(logits)), -logits))
    wide = logits[order].astype(np.float64)
    weights = np.exp((wide - wide[0]) / s.temperature)
    order, weights = order[: s.top_k or None], weights[: s.top_k or None]
    if s.top_p < 1.0:
        stays = np.cumsum(weights) - weights < s.top_p * weights.sum()
        stays[0] = True
        order, weights = order[stays], weights[stays]
    order, weights = order[weights >= s.min_p], weights[weights >= s.min_p]
    with np.errstate(divide="ignore", over="ignore"):
        return int(order[np.argmin(-np.log1p(-luck(key, order)) / weights)])


def allowed(logits: Floats, s: Sampling, key: int) -> set[int]:
    """What the definition draws, and would draw if p lay closer by than sums are true."""
    return {
        by_definition(logits, Sampling(temperature=s.temperature, top_k=s.top_k, top_p=p, min_p=s.min_p), key)
        for p in {s.top_p * (1.0 - EDGE), s.top_p, min(s.top_p * (1.0 + EDGE), 1.0)}
    }


def drawn(logits: Floats, s: Sampling, key: int) -> int:
    depth = -s.temperature * math.log(s.min_p) if s.min_p else math.inf
    before = logits.copy()
    id = int(draw(logits, *Room(len(logits)).arrays, s.temperature, s.top_k, s.top_p, depth, np.uint64(key)))
    assert np.array_equal(before, logits)
    return id


SHAPES: dict[str, Callable[[np.random.Generator, int], npt.NDArray[np.floating]]] = {
    "random": lambda rng, size: rng.normal(0, 3, size),
    "flat": lambda rng, size: rng.normal(0, 1e-3, size),
    "far from zero": lambda rng, size: rng.normal(-1e3, 2, size),
    "peaked": lambda rng, size: rng.normal(0, 1, size) + np.where(np.arange(size) == size // 2, 20, 0),
    "tied": lambda rng, size: np.full(size, -3.0),
    "half tied": lambda rng, size: rng.integers(-8, 8, size) / 4,
    "an outlier over a plain": lambda rng, size: (
        rng.normal(0, 1e-5, size) + np.where(np.arange(size) == size - 1, 9, 0)
    ),
    "mostly impossible": lambda rng, size: np.where(rng.random(size) < 0.8, -np.inf, rng.normal(0, 1, size)),
    "steep": lambda rng, size: -np.geomspace(1e-4, 1e4, size),
}


def shaped(shape: str, seed: int, size: int) -> Floats:
    logits = SHAPES[shape](np.random.default_rng(seed), size).astype(np.float32)
    logits[0] = 0.0 if np.isneginf(logits.max()) else logits[0]
    return logits


shapes = st.sampled_from(sorted(SHAPES))
temperatures = st.sampled_from([0.01, 0.3, 0.8, 1.0, 2.5, 100.0])
keys = st.integers(0, 2**64 - 1)


@given(shapes, st.integers(0, 99), st.integers(1, 5000), temperatures, st.integers(0, 5200),
       st.sampled_from([0.0, 0.1, 0.5, 0.95, 1.0]), st.sampled_from([0.0, 1e-9, 0.1, 0.9, 1.0]), keys)  # fmt: skip
@example("half tied", 0, 5000, 1.0, 0, 1.0, 0.0, 7)
@example("tied", 0, 5000, 1.0, 77, 0.95, 0.0, 7)
@example("mostly impossible", 0, 5000, 100.0, 4999, 1.0, 0.0, 7)
@settings(max_examples=400, deadline=None)
def test_the_draw_is_that_of_the_plain_definition(
    shape: str, seed: int, size: int, temperature: float, top_k: int, top_p: float, min_p: float, key: int
) -> None:
    logits = shaped(shape, seed, size)
    s = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    assert drawn(logits, s, key) in allowed(logits, s, key)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_of_a_whole_vocabulary_only_what_is_kept_is_drawn(shape: str) -> None:
    logits = shaped(shape, 5, VOCABULARY)
    for s in (Sampling(top_p=0.9), Sampling(top_p=1.0, temperature=1.0)):
        assert all(drawn(logits, s, key) in allowed(logits, s, key) for key in range(0, 2**60, 2**57))


@given(shapes, st.integers(0, 99), st.integers(1, 300), keys,
       st.sampled_from([Sampling(top_k=1), Sampling(top_p=0.0), Sampling(top_p=0.0, top_k=9, min_p=0.5)]))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_narrowest_filters_keep_the_first_likeliest(
    shape: str, seed: int, size: int, key: int, s: Sampling
) -> None:
    logits = shaped(shape, seed, size)
    assert drawn(logits, s, key) == int(np.argmax(logits))


def test_ties_are_cut_at_the_highest_id_and_min_p_keeps_them() -> None:
    logits = np.full(500, 2.0, np.float32)
    logits[::2] = 1.0

    def reached(s: Sampling) -> set[int]:
        return {drawn(logits, s, key) for key in range(4000)}

    assert reached(Sampling(top_k=3, top_p=1.0)) == {1, 3, 5}
    assert reached(Sampling(min_p=1.0, top_p=1.0)) == set(range(1, 500, 2))
    assert reached(Sampling(min_p=1.0, top_p=0.5, temperature=1e-3)) == set(range(1, 250, 2))
    assert reached(Sampling(top_k=251, top_p=1.0, temperature=100.0)) == {0, *range(1, 500, 2)}


@given(st.lists(st.integers(-80, 80), min_size=1, max_size=80), st.integers(0, 2**63 - 1), st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_greedy_takes_the_first_highest_and_draws_repeat(values: list[int], seed: int, place: int) -> None:
    logits = np.array(values, np.float32)
    assert choose(logits, NONE, Sampling(temperature=0.0), place) == int(np.argmax(logits))
    s = Sampling(temperature=1.0, top_p=1.0, seed=seed)
    used = Room(200)
    assert len({choose(logits, NONE, s, place, used) for _ in range(2)} | {choose(logits, NONE, s, place)}) == 1
    assert 0 <= key(seed, place) < 2**64


@pytest.mark.parametrize(
    ("s", "expected"),
    [
        (Sampling(temperature=1.0, top_p=1.0, seed=3), [0.5, 0.3, 0.2, 0.0]),
        (Sampling(temperature=0.5, top_p=1.0, seed=3), [25 / 38, 9 / 38, 4 / 38, 0.0]),
        (Sampling(temperature=1.0, top_p=0.79, seed=3), [0.625, 0.375, 0.0, 0.0]),
        (Sampling(temperature=1.0, top_p=0.75, top_k=2, seed=3), [0.625, 0.375, 0.0, 0.0]),
        (Sampling(temperature=1.0, top_p=0.5, top_k=2, seed=3), [1.0, 0.0, 0.0, 0.0]),
        (Sampling(temperature=1.0, top_p=1.0, min_p=0.59, seed=3), [0.625, 0.375, 0.0, 0.0]),
    ],
)
def test_draws_follow_the_probabilities(s: Sampling, expected: list[float]) -> None:
    logits = np.log(
        np.array([0.5, 0.3, 0.2, 0.0], np.float32), where=[True, True, True, False], out=np.full(4, -np.inf, np.float32)
    )
    counts = np.bincount([choose(logits, NONE, s, place) for place in range(6000)], minlength=4) / 6000
    assert np.abs(counts - expected).max() < 0.03  # one standard deviation is 0.0065
    assert not counts[np.array(expected) == 0.0].any()


def test_nearly_equal_logits_draw_the_same_token_nearly_always() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 3, 2000).astype(np.float32)
    near = logits + rng.normal(0, 0.02, 2000).astype(np.float32)
    same = [choose(logits, NONE, Sampling(), place) == choose(near, NONE, Sampling(), place) for place in range(1000)]
    assert sum(same) > 970  # a draw by shares of the sum, likeliest first, agrees in some 850


@pytest.mark.parametrize("temperature", [1e-9, 1e-3, 100.0])
def test_extreme_temperatures_draw_something(temperature: float) -> None:
    logits = np.array([3.0, 1.0, -math.inf], np.float32)
    id = choose(logits, NONE, Sampling(temperature=temperature, top_p=1.0), 0)
    assert id in (0, 1)
    assert temperature > 1 or id == 0


def test_a_repetition_penalty_lowers_what_was_seen() -> None:
    logits = np.array([2.0, 1.5, -1.0], np.float32)
    assert penalized(logits, np.array([0, 2]), 2.0).tolist() == [1.0, 1.5, -2.0]
    assert choose(logits, np.array([0]), Sampling(temperature=0.0, repetition_penalty=2.0), 0) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("temperature", -0.1), ("temperature", math.nan), ("temperature", math.inf), ("top_p", 1.5), ("top_p", -1),
     ("min_p", 2), ("top_k", -1), ("top_k", 1.5), ("repetition_penalty", 0), ("seed", -1), ("seed", True)],
)  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(SettingError, match=field):
        Sampling(**{field: value})  # type: ignore[arg-type]
