"""Branches that wait: whichever text is gone on with, what was computed of it before is not computed again."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sg_core import GPT2, GPT2Config, Interventions, Sampling
from sg_core.inference.session import Session
from sg_core.network.kv_cache import KVCache
from sg_core.network.precisions import Precision

CONFIG = GPT2Config(vocab_size=300, n_ctx=128, n_layer=2, n_head=2, n_embd=64)
WARM = Sampling(temperature=0.9, top_p=0.98, seed=1)
PROMPT = [5, 17, 3, 250, 9]


@pytest.fixture(scope="module")
def model() -> GPT2:
    model = GPT2.random(CONFIG, seed=1)
    noise = np.random.default_rng(0).standard_normal(model.parameters.arena.size, dtype=np.float32)
    model.parameters.arena[:] += 0.1 * noise  # so that every layer matters
    return model


@pytest.fixture
def session(model: GPT2) -> Session:
    session = model.session()
    session.branches.most = 4
    return session


def written(session: Session, ids: list[int], count: int) -> list[tuple[int, float]]:
    return [(token.id, token.logprob) for token in session.generate(ids, count, WARM)]


def computed(session: Session, ids: list[int]) -> int:
    """Tokens of a prompt that are computed for it."""
    seen = [0]
    next(session.generate(ids, 1, WARM, progress=lambda done, total: seen.append(total)))
    assert len(ids) - session.decoder.first - max(seen[-1], 1) == session.branches.kept
    return max(seen[-1], 1)


def test_a_branch_left_for_another_is_there_when_it_is_gone_on_with(session: Session) -> None:
    written(session, PROMPT, 100)
    trunk = list(session.ids)
    other = [*trunk[:40], 7]
    assert computed(session, other) == 1
    written(session, other, 60)
    other = list(session.ids)
    assert computed(session, [*trunk, 9]) == 2  # the token written last, and 9
    assert computed(session, [*other, 9]) == 2
    assert computed(session, [*trunk[:80], 9]) == 1
    assert computed(session, [*other[:60], 9]) == 1
    assert len(session.branches) > 1


def test_without_branches_a_prompt_takes_the_place_of_the_text(model: GPT2) -> None:
    session = model.session()
    written(session, PROMPT, 100)
    trunk = list(session.ids)
    assert computed(session, [*trunk[:40], 7]) == 1
    assert computed(session, trunk) == len(trunk) - 40
    assert len(session.branches) == 0


def test_a_text_beyond_the_context_has_branches_too(session: Session) -> None:
    written(session, PROMPT, 230)
    trunk = list(session.ids)  # seen from token 128 on
    assert computed(session, [*trunk[:200], 7]) == 1
    written(session, [*trunk[:200], 7], 30)
    assert computed(session, [*trunk, 9]) == 2


def test_memory_is_bounded_and_the_oldest_branch_goes_first(session: Session) -> None:
    bound = 2 * KVCache.bytes_of(CONFIG, Precision.named("f32"))
    prompts = [[number, *range(1, 101)] for number in range(5)]
    for prompt in prompts:  # nothing in common
        written(session, prompt, 20)
        assert session.branches.cache_bytes <= bound
    assert len(session.branches) < 4
    assert computed(session, [*prompts[3], 9]) == 1
    assert computed(session, [*prompts[0], 9]) == 102
    session.branches.most = 2
    for number in range(9):
        written(session, [*prompts[0][:50], number], 20)
    assert len(session.branches) == 2


def test_a_setting_that_changes_values_drops_what_waits(session: Session, model: GPT2) -> None:
    written(session, PROMPT, 60)
    trunk = list(session.ids)
    written(session, [*trunk[:20], 7], 40)
    session.interventions = Interventions().scale_head(layer=0, head=1, factor=0.0)
    fresh = model.session()
    fresh.interventions = session.interventions
    assert written(session, [*trunk, 9], 5) == written(fresh, [*trunk, 9], 5)
    session.interventions = Interventions()
    written(session, [*trunk[:20], 8], 40)
    view = model.parameters["h.1.mlp.c_fc.weight"]
    view[3, 5] += 2.0
    try:
        assert written(session, [*trunk, 9], 5) == written(model.session(), [*trunk, 9], 5)
        assert written(session, [*trunk[:20], 7], 5) == written(model.session(), [*trunk[:20], 7], 5)
    finally:
        view[3, 5] -= 2.0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 150), st.integers(1, 40)), min_size=3, max_size=12))
@settings(max_examples=20, deadline=None)
def test_any_walk_over_a_tree_writes_what_fresh_sessions_write(model: GPT2, walk: list[tuple[int, int, int]]) -> None:
    session = model.session()
    session.branches.most = 3
    texts = [PROMPT]
    for number, cut, count in walk:
        source = texts[number % len(texts)]
        prompt = [*source[: cut % (len(source) + 1)], number]
        assert written(session, prompt, count) == written(model.session(), prompt, count)
        texts.append(list(session.ids))
    assert all(one is not other for one, other in pairwise(session.branches._held))
