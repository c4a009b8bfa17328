"""The engine thread over a tree of texts: several continuations at once, and branches that are gone on with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from engine_fakes import Driver

from sg_core.config import GPT2Config
from sg_core.engine.commands import Generate, Load, SetSampling
from sg_core.engine.events import Done, Failed, Metrics, Prompted, TokenEvent
from sg_core.engine.parts import real_parts
from sg_core.gpt2 import GPT2
from sg_core.inference.sampling import Sampling
from sg_core.measure.compilation import warm_up
from sg_core.text.marked_text import MarkedText
from sg_core.text.vocabulary import learn_vocabulary

TEXT = "The lantern of the watch goes up the hill, and all the town is sleeping in the mist.\n" * 120
WARM = Sampling(temperature=1.0, seed=4)


@pytest.fixture(scope="module")
def model() -> GPT2:
    warm_up()
    tokenizer = learn_vocabulary(TEXT, 280)
    shape = GPT2Config(vocab_size=tokenizer.vocab_size, n_ctx=64, n_layer=2, n_head=2, n_embd=16)
    return GPT2.random(shape, seed=3, tokenizer=tokenizer, name="a")


@pytest.fixture
def driver(model: GPT2) -> Iterator[Driver]:
    driver = Driver(parts=lambda: dataclasses.replace(real_parts(), load=lambda name: model))
    driver.finish(Load("a", threads=1))
    yield driver
    driver.engine.close(timeout=20)
    assert not driver.engine._thread.is_alive()


def test_several_continuations_are_numbered_and_each_is_a_generation_of_its_own(driver: Driver) -> None:
    told = driver.finish(Generate(7, "The ", 90, WARM, stop=("ou",), n=3))
    alone = [
        driver.finish(Generate(8, "The ", 90, dataclasses.replace(WARM, seed=4 + number), stop=("ou",)))
        for number in range(3)
    ]
    for number, events in enumerate(alone):
        single = [event for event in events if isinstance(event, TokenEvent)]
        mine = [event for event in told if isinstance(event, TokenEvent) and event.number == number]
        assert [(e.token.id, e.token.text, e.token.top, e.top_texts, e.token.context_moved) for e in mine] == [
            (e.token.id, e.token.text, e.token.top, e.top_texts, e.token.context_moved) for e in single
        ]
        [done] = [event for event in told if isinstance(event, Done) and event.number == number]
        [end] = [event for event in events if isinstance(event, Done)]
        assert (done.reason, done.tokens, done.rest) == (end.reason, end.tokens, end.rest)
        assert told.index(done) > told.index(mine[-1])
    assert sum(isinstance(event, Done) for event in told) == 3
    figures = [event for event in told if isinstance(event, Metrics)][-1]
    assert figures.tokens == sum(isinstance(event, TokenEvent) for event in told)
    assert figures.tokens_per_second == pytest.approx(1000 / figures.ms_per_token)


def test_a_stop_ends_every_continuation_and_a_wrong_number_none(driver: Driver) -> None:
    driver.submit(Generate(1, "The ", 10**6, WARM, n=4))
    driver.until(lambda: len(driver.of(TokenEvent)) > 20, "tokens")
    driver.engine.stop()
    driver.until(lambda: not driver.engine.busy, "the stop")
    ends = driver.of(Done)
    assert [(end.request, end.reason, end.number) for end in ends if end.reason == "stopped"]
    assert sorted(end.number for end in ends) == [0, 1, 2, 3]
    for number in range(4):
        tokens = sum(event.number == number for event in driver.of(TokenEvent))
        assert next(end.tokens for end in ends if end.number == number) == tokens
    [failed] = [event for event in driver.finish(Generate(2, "The ", 5, n=0)) if isinstance(event, Failed)]
    assert failed.request == 2
    assert "from 1 to 64" in failed.message


def test_sampling_set_meanwhile_reaches_all_continuations(driver: Driver) -> None:
    driver.submit(Generate(1, "The ", 10**6, WARM, n=2), SetSampling(Sampling(temperature=0.0)))
    driver.until(lambda: len(driver.of(TokenEvent)) > 100, "tokens")
    driver.engine.stop()
    driver.until(lambda: not driver.engine.busy, "the stop")
    newest = driver.of(TokenEvent)[-20:]
    assert all(event.token.id == event.token.top[0][0] for event in newest)


def test_a_prompt_is_told_in_tokens_with_what_was_computed_before_for_any_branch(driver: Driver) -> None:
    def ask(prompt: str) -> tuple[Prompted, list[TokenEvent]]:
        events = driver.finish(Generate(3, prompt, 30, WARM))
        [prompted] = [event for event in events if isinstance(event, Prompted)]
        return prompted, [event for event in events if isinstance(event, TokenEvent)]

    first, tokens = ask("The lantern é ")
    assert "".join(first.texts) == "The lantern é "
    assert (first.kept, first.branches) == (0, 0)
    assert first.cache_bytes >= 0
    start = ("The lantern é ", first.ids)
    written = tuple(event.token.id for event in tokens)
    alternative = MarkedText([start, ("", written[:3]), ("", (tokens[3].token.top[1][0],))])
    branch, _ = ask(alternative)
    assert branch.ids == (*first.ids, *written[:3], tokens[3].token.top[1][0])
    assert (branch.kept, branch.branches) == (len(branch.ids) - 1, 1)
    again, more = ask(MarkedText([start, ("", written[:5])]))
    assert (again.kept, again.branches) == (len(again.ids) - 1, 1)  # memory for two full contexts
    assert again.cache_bytes > 0
    same = [(event.token.id, event.token.logprob) for event in tokens[5:]]
    assert [(event.token.id, event.token.logprob) for event in more[: len(same)]] == same
