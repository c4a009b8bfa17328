"""Several continuations at once: each is what a generation of its own would be, wherever the context moves on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, Interventions, Optimizations, Probes, Sampling
from sg_core.inference.session import Session
from sg_core.text.vocabulary import learn_vocabulary

PROMPT = [5, 17, 3, 250, 9]
WARM = Sampling(temperature=0.9, top_p=0.98, seed=1, repetition_penalty=1.1)


@pytest.fixture(scope="module")
def model() -> GPT2:
    text = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer é 😀\n\n" * 30
    config = GPT2Config(vocab_size=300, n_ctx=48, n_layer=2, n_head=2, n_embd=64)
    model = GPT2.random(config, seed=1, tokenizer=learn_vocabulary(text, 290))
    noise = np.random.default_rng(0).standard_normal(model.parameters.arena.size, dtype=np.float32)
    model.parameters.arena[:] += 0.1 * noise  # so that every layer matters
    return model


def alone(session: Session, prompt: list[int], count: int, number: int, stop: tuple[str, ...] = ()) -> list[object]:
    generation = session.generate(prompt, count, replace(WARM, seed=WARM.seed + number), stop)
    rows = [(t.id, t.text, t.logprob, t.top, t.context_moved) for t in generation]
    return [*rows, generation.finish_reason]


@pytest.mark.parametrize("precision", ["f32", "int8"])
@pytest.mark.parametrize("length", [3, 40, 48, 49, 130])
@pytest.mark.parametrize("stop", [(), ("e", "a ")])
def test_each_moves_its_window_as_a_text_of_its_own_does(
    model: GPT2, length: int, precision: str, stop: tuple[str, ...]
) -> None:
    if not stop:
        model = model.without_tokenizer()  # texts without an end
    prompt = (PROMPT * 30)[:length]
    several = model.session(precision=precision, threads=2).generate_many(prompt, 5, 70, WARM, stop)
    together: list[list[object]] = [[] for _ in range(5)]
    for number, t in several:
        together[number].append((t.id, t.text, t.logprob, t.top, t.context_moved))
    for number, rows in enumerate(together):
        fresh = model.session(precision=precision)
        assert [*rows, several.reasons[number]] == alone(fresh, prompt, 70, number, stop)
    assert any("stop" in reason for reason in several.reasons) == bool(stop)


def test_what_changes_meanwhile_is_followed_as_by_a_text_of_its_own(model: GPT2) -> None:
    model = model.without_tokenizer()
    muted = Interventions().scale_head(layer=0, head=1, factor=0.0)

    def change(session: Session, count: int) -> None:
        if count == 4:
            session.interventions = muted
        if count == 9:
            session.precision = "int8"
            session.sampling = replace(WARM, temperature=0.3, seed=session.sampling.seed)
        if count == 12:
            session.optimizations = Optimizations().without("gelu_table", "linear")
            session.probes = Probes("blocks.1.hook_mlp_out")

    session = model.session()
    together: list[list[tuple[int, float]]] = [[], [], []]
    for number, token in session.generate_many(PROMPT, 3, 60, WARM):
        together[number].append((token.id, token.logprob))
        if number == 2:
            change(session, len(together[2]))
    for number, rows in enumerate(together):
        session = model.session()
        single: list[tuple[int, float]] = []
        for token in session.generate(PROMPT, 60, replace(WARM, seed=WARM.seed + number)):
            single.append((token.id, token.logprob))
            change(session, len(single))
        assert single == rows


def test_they_share_the_memory_of_their_prompt() -> None:
    model = GPT2.random(GPT2Config(vocab_size=50, n_ctx=1024, n_layer=1, n_head=1, n_embd=16))
    session = model.session()
    several = session.generate_many([3, 4] * 500, 16, 10, WARM)
    for _ in range(20):
        next(several)
    cache = several._tokens.gi_frame.f_locals["texts"]._cache  # type: ignore[attr-defined]
    assert cache.keys.nbytes + cache.values.nbytes <= 16 * 32 * 16 * 2 * 4  # 32 positions each, of 1,010
    assert cache.arrays()[0] is session.decoder.cache.arrays()[0]


def test_a_stop_ends_all_of_them_and_tells_what_was_held_back(model: GPT2) -> None:
    answers = iter([False] * 4 + [True] * 9)
    several = model.session().generate_many(PROMPT, 3, 40, WARM, ("zzz",), cancelled=lambda: next(answers))
    counts = [0, 0, 0]
    for number, _ in several:
        counts[number] += 1
    assert counts == [3, 3, 3]
    assert several.reasons == ["stopped"] * 3
    assert several.finish_reason == "stopped"
    assert len(several.rest()) == 3
    assert list(model.session().generate_many(PROMPT, 2, 0)) == []
