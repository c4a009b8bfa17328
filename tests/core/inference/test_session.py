"""Sessions: every switch, thread count and interruption leaves the text as it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sg_core import GPT2, GPT2Config, Optimizations, Sampling
from sg_core.errors import ModelFileError, SettingError
from sg_core.inference.session import Session
from sg_core.network.forward import Pass
from sg_core.text.vocabulary import learn_vocabulary

CONFIG = GPT2Config(vocab_size=300, n_ctx=96, n_layer=2, n_head=3, n_embd=48)
PROMPT = [5, 17, 3, 250, 9]
WARM = Sampling(temperature=0.9, top_p=0.98, seed=1)  # a seed whose text does not end early


@pytest.fixture(scope="module")
def model() -> GPT2:
    text = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer é 😀\n\n" * 30
    tokenizer = learn_vocabulary(text, 290)
    model = GPT2.random(CONFIG, seed=1, tokenizer=tokenizer)
    noise = np.random.default_rng(0).standard_normal(model.parameters.arena.size, dtype=np.float32)
    model.parameters.arena[:] += 0.1 * noise  # so that every layer matters
    return model


def written(session: Session, prompt: str | Sequence[int] = PROMPT, count: int = 40) -> list[tuple[int, float]]:
    return [(token.id, token.logprob) for token in session.generate(prompt, count, WARM)]


def test_all_128_combinations_write_the_same_tokens_with_the_same_bits(model: GPT2) -> None:
    texts = {True: written(model.session()), False: written(model.session(Optimizations().without("gelu_table")))}
    names = Optimizations.names()
    for mask in range(128):
        switches = Optimizations().without(*(name for bit, name in enumerate(names) if mask >> bit & 1))
        session = model.session(switches, threads=1 + mask % 3)
        assert written(session) == texts[switches.gelu_table], switches


@given(st.lists(st.sampled_from(Optimizations.names()), min_size=20, max_size=20), st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_switches_and_threads_changed_between_two_tokens_change_no_token(
    model: GPT2, flips: list[str], threads: int
) -> None:
    session, text = model.session(Optimizations().without("gelu_table")), []
    for token, flip in zip(session.generate(PROMPT, 20, WARM), flips, strict=True):
        text.append((token.id, token.logprob))
        if flip != "gelu_table":
            session.optimizations = session.optimizations.toggled(flip)
        session.threads = threads
    assert text == written(model.session(Optimizations().without("gelu_table")), count=20)


def test_log_probabilities_are_those_of_the_exact_forward_pass(model: GPT2) -> None:
    ids = [*PROMPT]
    tokens = list(model.session(Optimizations().without("gelu_table")).generate(PROMPT, 30, WARM))
    ids += [token.id for token in tokens]
    assert model.tokenizer is not None
    logits = model.logits(ids).astype(np.float64)[:, : model.tokenizer.vocab_size]
    logprobs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    for place, token in enumerate(tokens, len(PROMPT) - 1):
        assert abs(token.logprob - logprobs[place, token.id]) < 1e-5  # float32 sums in another order
        best = [id for id, _ in token.top]
        assert best == np.argsort(-logprobs[place], kind="stable")[: len(best)].tolist()
        assert token.ms > 0
        assert list(token.op_ms)[-1] == "sampling"
        assert sum(token.op_ms.values()) == pytest.approx(token.ms, rel=0.01)  # the clock is read a few times more


def test_rewind_and_a_changed_prompt_reuse_the_cache_and_change_no_token(model: GPT2) -> None:
    session = model.session()
    first = written(session)
    session.rewind(len(PROMPT) + 10)
    assert written(session, [*PROMPT, *(id for id, _ in first[:10])], 30) == first[10:]
    assert written(session, [*PROMPT[:3], 7, 8], 10) == written(model.session(), [*PROMPT[:3], 7, 8], 10)
    with pytest.raises(SettingError, match="rewind"):
        session.rewind(10_000)


def test_only_new_positions_of_a_longer_prompt_are_computed(model: GPT2) -> None:
    session, seen = model.session(), []
    list(session.generate(PROMPT * 10, 1, WARM, progress=lambda done, total: seen.append((done, total))))
    assert seen[-1] == (50, 50)
    seen.clear()
    list(session.generate([*session.ids, 4, 5], 1, WARM, progress=lambda done, total: seen.append((done, total))))
    assert seen == [(3, 3)]  # the token written last, 4 and 5


def test_the_token_after_a_prompt_takes_no_pass_of_its_own(model: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    run = Pass.run

    def counted(one: Pass, ids: Any, *rest: Any, **named: Any) -> None:
        passes.append(ids.shape[1])
        run(one, ids, *rest, **named)

    monkeypatch.setattr(Pass, "run", counted)
    monkeypatch.setattr("sg_core.inference.bursts.MOST", 1)  # token by token
    session = model.session()
    tokens = list(session.generate(PROMPT * 3, 3, WARM))
    assert passes == [15, 1, 1]
    assert 0 < tokens[0].op_ms["linear"] < session.prefill_ms / 7  # a fifteenth, without what other programs took
    passes.clear()
    list(model.session(Optimizations().without("linear")).generate(PROMPT * 3, 2, WARM))
    assert passes == [14, 1, 1]  # earlier rows are wanted, and computed token by token


def test_the_prompt_in_pieces_of_any_size_gives_the_same_text(model: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = written(model.session(), PROMPT * 12, 10)
    for name in ("_LEAST_CHUNK", "_MOST_CHUNK"):
        monkeypatch.setattr(f"sg_core.inference.decoder.{name}", 7)
    assert written(model.session(), PROMPT * 12, 10) == whole


def test_a_text_is_seen_from_a_multiple_of_half_the_context_and_says_when_that_changes(model: GPT2) -> None:
    model = model.without_tokenizer()  # a text without an end
    tokens = list(model.session().generate(PROMPT, 150, WARM))
    moves = [(index, token.context_moved) for index, token in enumerate(tokens) if token.context_moved]
    # 97 tokens are too many for 96 positions: they are seen from token 48 on; from 145 tokens on, from token 96
    assert moves == [(92, 49), (140, 49)]
    assert len(tokens) == 150
    tail = [*PROMPT, *(token.id for token in tokens[:92])][48:]
    assert model.logits(tail)[-1, tokens[92].id] == pytest.approx(
        tokens[92].logprob + np.log(np.exp(model.logits(tail)[-1].astype(np.float64)).sum()), abs=1e-3
    )  # the GELU table's rounding


@pytest.mark.parametrize("cut", [1, 91, 92, 93, 120, 149])
def test_a_text_longer_than_the_context_goes_on_as_it_would_have_wherever_it_is_taken_up(model: GPT2, cut: int) -> None:
    model = model.without_tokenizer()
    whole = written(model.session(), count=150)
    ids = [*PROMPT, *(id for id, _ in whole[:cut])]
    assert written(model.session(), ids, 150 - cut) == whole[cut:]  # a fresh session
    session = model.session()
    written(session, count=150)
    session.rewind(len(ids))  # of the whole text
    assert session.ids == ids
    assert written(session, session.ids, 150 - cut) == whole[cut:]


@pytest.mark.parametrize("length", [95, 96, 97, 500])
def test_prompts_around_and_beyond_the_context_are_defined(model: GPT2, length: int) -> None:
    session = model.session()
    tokens = list(session.generate([3] * length, 4, WARM))
    assert len(tokens) == 4 or session.finish_reason == "end of text"
    assert (tokens[0].context_moved > 0) == (length > 96)


def test_text_streams_whole_characters_and_stops_at_a_stop_text(model: GPT2) -> None:
    session = model.session()
    text = "".join(token.text for token in session.generate("To be", 60, WARM))
    stop = text[20:23]
    again = "".join(token.text for token in session.generate("To be", 60, WARM, stop=(stop,)))
    assert again == text[: text.index(stop)]
    assert session.finish_reason == "stop"


def test_a_generation_can_be_stopped_in_the_prompt_and_between_tokens(model: GPT2) -> None:
    session = model.session()
    assert list(session.generate(PROMPT * 15, 50, WARM, cancelled=lambda: True)) == []
    assert session.finish_reason == "stopped"
    answers = iter([False] * 6 + [True] * 50)
    short = [token.id for token in session.generate(PROMPT, 50, WARM, cancelled=lambda: next(answers))]
    assert 0 < len(short) < 10
    assert [(id) for id, _ in written(session)][: len(short)] == short  # nothing is broken by the stop


def test_same_seed_same_text_and_another_seed_another(model: GPT2) -> None:
    assert written(model.session()) == written(model.session())
    other = [token.id for token in model.session().generate(PROMPT, 40, Sampling(temperature=0.9, seed=6))]
    assert other != [id for id, _ in written(model.session())]


def test_a_text_continued_in_two_calls_equals_one_call(model: GPT2) -> None:
    whole = written(model.session(), count=30)
    session = model.session()
    first = written(session, count=12)
    assert first + written(session, session.ids, 18) == whole


def test_memory_for_kept_activations_is_taken_only_while_needed(model: GPT2) -> None:
    session = model.session()
    written(session)
    small = session.activation_bytes
    session.optimizations = Optimizations().without("linear")
    written(session)
    assert session.activation_bytes > small
    session.optimizations = Optimizations()
    written(session)
    assert session.activation_bytes == small


def test_empty_prompts_and_ids_outside_the_vocabulary(model: GPT2) -> None:
    assert len(list(model.session().generate("", 3, WARM))) == 3
    assert len(list(model.session().generate([], 3, WARM))) == 3
    assert list(model.session().generate("x", 0, WARM)) == []
    for ids in ([300], [-1], [2**40]):
        with pytest.raises(SettingError, match="vocabulary"):
            model.session().generate(ids)
    with pytest.raises(SettingError, match="whole numbers"):
        model.session().generate([1.5])  # type: ignore[list-item]


def test_padded_vocabulary_entries_are_never_written(model: GPT2) -> None:
    assert model.tokenizer is not None
    hot = Sampling(temperature=50.0, top_p=1.0, seed=1)
    assert all(token.id < model.tokenizer.vocab_size for token in model.session().generate(PROMPT, 80, hot))


def test_bad_settings_are_refused_by_name(model: GPT2) -> None:
    with pytest.raises(SettingError, match="precision"):
        model.session(precision="f8")
    for threads in (0, -1, 10_000):
        with pytest.raises(SettingError, match="threads"):
            model.session(threads=threads)
    for stop in ("text", [""]):
        with pytest.raises(SettingError, match="stop"):
            model.session().generate("x", stop=stop)
    with pytest.raises(SettingError, match="max_tokens"):
        model.session().generate("x", max_tokens=-1)


def test_damaged_weights_give_one_line_instead_of_text() -> None:
    model = GPT2.random(GPT2Config(vocab_size=50, n_ctx=16, n_layer=1, n_head=1, n_embd=16))
    model.parameters["ln_f.bias"][3] = math.nan
    assert model.not_finite() == ["transformer.ln_f.bias"]
    with pytest.raises(ModelFileError, match="NaN"):
        list(model.session().generate([1], 2))


def test_one_signature_for_every_way_of_calling_the_forward_pass(model: GPT2) -> None:
    import inspect

    from sg_core.network.forward import forward

    written(model.session())
    written(model.session(Optimizations.none(), threads=2))
    list(model.session().generate_many(PROMPT, 2, 120, WARM))  # moves the context
    fork = model.session()
    written(fork)
    written(fork.fork(40))
    model.logits(PROMPT)
    model.loss_and_gradients([PROMPT], [PROMPT])
    names = list(inspect.signature(forward.py_func).parameters)  # type: ignore[attr-defined]
    places = [names.index(name) for name in ("words", "adapters", "window")]
    kinds = [tuple(str(one[place]) for place in places) for one in forward.signatures]  # type: ignore[attr-defined]
    # float32 weights, and bytes where another test has used them; each with a window or adapters where one asked for it
    assert len(kinds) == len(set(kinds))
