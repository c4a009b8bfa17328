"""The draw: filters keep what they promise, at least one candidate stays, the same seed draws the same."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sg_core.errors import SettingError
from sg_core.sampler import candidates, choose, penalized, uniform
from sg_core.sampling import Sampling

# a quarter apart or equal: what lies on the edge of a filter is then a tie, not a matter of rounding
logits_lists = st.lists(st.integers(-80, 80).map(lambda n: n / 4), min_size=1, max_size=80)
NONE = np.empty(0, np.int64)


def softmax(values: list[float], temperature: float) -> npt.NDArray[np.float64]:
    wide = np.array(values, np.float32).astype(np.float64) / temperature
    weights = np.exp(wide - wide.max())
    result: npt.NDArray[np.float64] = weights / weights.sum()
    return result


def by_definition(values: list[float], s: Sampling) -> list[int]:
    """The slow, plain filter: sort everything, then cut."""
    p = softmax(values, s.temperature)
    order = sorted(range(len(p)), key=lambda i: (-p[i], i))
    if s.top_k:
        order = order[: s.top_k]
    kept: list[int] = []
    total, before = sum(p[i] for i in order), 0.0
    for i in order:
        if s.top_p < 1 and before >= s.top_p * total and kept:
            break
        kept.append(i)
        before += p[i]
    return [i for i in kept if p[i] >= s.min_p * p[order[0]]]


@given(logits_lists, st.sampled_from([0.3, 1.0, 2.5]), st.integers(0, 90), st.sampled_from([0.0, 0.5, 0.9, 1.0]),
       st.sampled_from([0.0, 0.1, 0.9, 1.0]))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_candidates_are_those_of_the_plain_definition(
    values: list[float], temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    s = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    ids, probabilities = candidates(np.array(values, np.float32), s)
    assert len(ids) >= 1
    assert probabilities.sum() == pytest.approx(1.0)
    expected = by_definition(values, s)
    # rounding may move the very edge of the nucleus by a token whose sum lands on p
    assert abs(len(ids) - len(expected)) <= 1 or top_p in (0.0, 1.0)
    assert ids.tolist()[: min(len(ids), len(expected))] == expected[: min(len(ids), len(expected))]


@given(logits_lists, st.integers(0, 2**63 - 1), st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_greedy_takes_the_first_highest_and_draws_repeat(values: list[float], seed: int, place: int) -> None:
    logits = np.array(values, np.float32)
    assert choose(logits, NONE, Sampling(temperature=0.0), place) == int(np.argmax(logits))
    s = Sampling(temperature=1.0, top_p=1.0, seed=seed)
    assert choose(logits, NONE, s, place) == choose(logits, NONE, s, place)
    assert 0.0 <= uniform(seed, place) < 1.0


def test_draws_follow_the_probabilities() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    s = Sampling(temperature=1.0, top_p=1.0, seed=3)
    counts = np.bincount([choose(logits, NONE, s, place) for place in range(6000)], minlength=3) / 6000
    assert np.abs(counts - [0.5, 0.3, 0.2]).max() < 0.03  # one standard deviation is 0.0065


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
