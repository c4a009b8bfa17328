"""The likeliest token, found by an int8 copy of the unembedding: the same one, with the same bits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sg_core import GPT2, GPT2Config, Optimizations, Sampling
from sg_core.errors import ModelFileError
from sg_core.inference.drafting import Drafting
from sg_core.kernels.linear import linear_forward
from sg_core.kernels.products import PANEL_SIZE
from sg_core.kernels.simd import ONE, ZERO
from sg_core.kernels.team import Team
from sg_core.network import screen as screening
from sg_core.network.forward import Pass
from sg_core.network.narrow import gathered
from sg_core.network.precisions import LOSSLESS
from sg_core.network.screen import Screen
from sg_core.types import FloatArray

CONFIG = GPT2Config(vocab_size=203, n_ctx=64, n_layer=1, n_head=1, n_embd=37, tie_word_embeddings=False)
GREEDY = Sampling(temperature=0.0)
PROMPT = [5, 17, 3, 9]


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "_LEAST", 0)


def with_head(head: FloatArray) -> GPT2:
    model = GPT2.random(CONFIG, seed=3)
    model.parameters["lm_head.weight"][:] = head
    return model


def check(model: GPT2, final: FloatArray, precision: str = "f32") -> Screen:
    """The screen of the vectors final (M, C), after everything about it was found right."""
    weights, V = model.weights(precision), CONFIG.vocab_size
    screen = Screen(model.head_screen, np.ones(V, np.bool_))
    assert screen.fits(weights)
    whole, left = np.empty((len(final), V), np.float32), np.empty((len(final), V), np.float32)
    product: Any = linear_forward  # which takes NumPy's numbers
    product(
        whole, final, weights.words, weights.head, weights.stored, weights.scales, weights.share,
        np.empty(PANEL_SIZE, np.float32), weights.scales[:0], ZERO, np.int64(len(final)), ZERO, ONE,
    )  # fmt: skip
    screen.fill(left, final, Pass(model.parameters, weights, Team(2)))
    for all_of_it, some in zip(whole, left, strict=True):
        if np.isnan(all_of_it).any():
            assert not np.isfinite(some.max())  # which a writer refuses
            continue
        assert some.argmax() == all_of_it.argmax()
        there = some > -np.inf
        assert np.array_equal(some[there].view(np.uint32), all_of_it[there].view(np.uint32))
    return screen


def draws(seed: int, *shape: int) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_few_tokens_of_random_weights_are_computed_in_full() -> None:
    screen = check(with_head(draws(1, 203, 37)), draws(2, 40, 37))
    assert screen.computed < 0.04 * screen.asked  # 2 of a hundred, seen; less where the vocabulary is larger


@given(
    st.integers(0, 1 << 30),
    st.lists(
        st.tuples(st.integers(0, 202), st.integers(0, 202), st.sampled_from([0.0, 1e-7, -1e-7, 1e-3])), max_size=8
    ),
    st.sampled_from([1.0, 1e-30, 1e-42, 1e18, 1e30]),
    st.sampled_from([1.0, 1e-30, 1e8, 1e25]),
    st.lists(st.tuples(st.integers(0, 202), st.sampled_from([np.nan, np.inf, -np.inf, 3e38, 0.0])), max_size=2),
)
@settings(max_examples=60, deadline=None)
def test_near_ties_equal_rows_huge_and_damaged_numbers_change_no_token_and_no_bit(
    seed: int,
    twins: list[tuple[int, int, float]],
    size: float,
    length: float,
    odd: list[tuple[int, float]],
) -> None:
    head, final = draws(seed, 203, 37), draws(seed + 1, 2, 37)
    best = int((head @ final[0]).argmax())
    for row, other, apart in twins:  # as near to each other, and to the best, as float32 tells them apart
        head[row] = head[best] * np.float32(1 + apart)
        head[other] = head[best]
    with np.errstate(over="ignore", under="ignore"):
        head *= np.float32(size)
        final *= np.float32(length)
    for row, value in odd:
        head[row, row % 37] = value
    with np.errstate(all="ignore"):
        check(with_head(head), final)


@pytest.mark.parametrize("kind", ["bf16", "16 bits"])
def test_weights_in_16_bits_are_screened_too(kind: str) -> None:
    model = with_head(draws(1, 203, 37))
    if kind == "16 bits":
        pieces = [replace(one, numbers=one.numbers.astype("f2").astype("f4")) for one in model.parameters.pieces()]
        model = GPT2(CONFIG, gathered(CONFIG, pieces))
        assert model.storage("f32") in LOSSLESS
    check(model, draws(2, 8, 37), "bf16" if kind == "bf16" else "f32")


def test_who_asks_for_no_probabilities_gets_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[int] = []
    fill = Screen.fill

    def counted(screen: Screen, logits: FloatArray, final: FloatArray, after: Pass) -> None:
        filled.append(len(logits))
        fill(screen, logits, final, after)

    monkeypatch.setattr(Screen, "fill", counted)
    model = with_head(draws(1, 203, 37))
    expected = [token.id for token in model.session().generate(PROMPT, 40, GREEDY)]
    for on, threads in ((Optimizations(), 1), (Optimizations().without("unembedding", "kv_cache"), 2)):
        tokens = list(model.session(on, threads=threads).generate(PROMPT, 40, GREEDY, logprobs=False))
        assert [token.id for token in tokens] == expected
        assert all(math.isnan(token.logprob) and token.top == () for token in tokens)
    assert filled == [1] * 39  # the first comes with the prompt; switched off, every row is computed in full
    monkeypatch.setattr(Drafting, "length", lambda drafting, most: min(3, most))  # whatever it takes here
    drafting = model.session(Optimizations().with_("draft"))
    assert [token.id for token in drafting.generate(PROMPT, 40, GREEDY, logprobs=False)] == expected
    assert drafting.accepted > 10
    assert max(filled) > 1  # drafts are verified so
    warm = Sampling(temperature=0.8, seed=3)
    drawn = [token.id for token in model.session().generate(PROMPT, 20, warm)]
    assert [token.id for token in model.session().generate(PROMPT, 20, warm, logprobs=False)] == drawn


def test_a_sampling_changed_meanwhile_sees_all_tokens() -> None:
    model, texts = with_head(draws(1, 203, 37)), []
    for logprobs in (True, False):
        session = model.session(Optimizations().with_("draft", "lookup"))
        tokens = session.generate(PROMPT, 40, GREEDY, logprobs=logprobs)
        text = [next(tokens).id for _ in range(15)]
        session.sampling = Sampling(temperature=1.5, seed=1)
        texts.append(text + [token.id for token in tokens])
    assert texts[0] == texts[1]


def test_an_edited_unembedding_is_screened_anew_and_a_damaged_one_refused() -> None:
    model = with_head(draws(1, 203, 37))
    session = model.session()
    list(session.generate(PROMPT, 5, GREEDY, logprobs=False))
    model.parameters["lm_head.weight"][:] = draws(9, 203, 37)
    expected = [token.id for token in model.session().generate(PROMPT, 20, GREEDY)]
    assert [token.id for token in session.generate(PROMPT, 20, GREEDY, logprobs=False)] == expected
    model.parameters["lm_head.weight"][7, 7] = np.nan
    with pytest.raises(ModelFileError, match="damaged"):
        list(session.generate(PROMPT, 5, GREEDY, logprobs=False))


def test_the_int8_rows_of_weights_that_write_ahead_are_used() -> None:
    model = with_head(draws(1, 203, 37))
    own = model.head_screen(model.weights("f32"))
    assert own.nbytes == 203 * 37 + 4 * len(own.scales) + own.slack.nbytes
    model = with_head(draws(1, 203, 37))
    drafts = model.draft_weights("f32")
    shared = model.head_screen(model.weights("f32"))
    assert shared.words is drafts.words
    assert shared.nbytes == shared.slack.nbytes
    assert np.array_equal(shared.slack, own.slack)
    check(model, draws(2, 8, 37))


def test_where_all_tokens_are_as_likely_it_is_given_up() -> None:
    model = with_head(np.ones((203, 37), np.float32))
    screen, weights = check(model, draws(2, 12, 37)), model.weights("f32")
    assert screen.computed == screen.asked
    assert not screen.fits(weights)
    assert not Screen(model.head_screen, np.ones(203, np.bool_)).fits(model.weights("int8"))
