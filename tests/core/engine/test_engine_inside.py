"""The engine thread looks inside a text and changes what its model computes: with the numbers of a session alone."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from engine_fakes import Driver, World

from sg_core.config import GPT2Config
from sg_core.engine.commands import (
    CompareLoss,
    Generate,
    Load,
    Look,
    MeasureHeads,
    Scale,
    SetInterventions,
    SetPace,
    SetPrecision,
    SetProbes,
)
from sg_core.engine.events import (
    Done,
    Failed,
    HeadsMeasured,
    InterventionsSet,
    Loaded,
    Looked,
    LossCompared,
    Phase,
    TokenEvent,
)
from sg_core.engine.looking import interventions
from sg_core.engine.parts import real_parts
from sg_core.gpt2 import GPT2
from sg_core.inference.inside import look, measure_heads
from sg_core.inference.sampling import Sampling
from sg_core.measure.compilation import warm_up_inside
from sg_core.network.interventions import Interventions
from sg_core.text.vocabulary import learn_vocabulary

TEXT = "The lantern of the watch goes up the hill, and all the town is sleeping in the mist.\n" * 20
WARM = Sampling(temperature=0.9, seed=5)
MUTED = (Scale(1, 0, 0.0), Scale(0, None, 2.0))


@pytest.fixture(scope="module")
def model() -> GPT2:
    warm_up_inside()  # compiled before anything is waited for
    tokenizer = learn_vocabulary(TEXT, 280)
    shape = GPT2Config(vocab_size=tokenizer.vocab_size, n_ctx=48, n_layer=2, n_head=2, n_embd=16)
    model = GPT2.random(shape, seed=3, tokenizer=tokenizer, name="a")
    model.parameters.arena[:] *= 3  # so that a head changes the text
    return model


@pytest.fixture
def driver(model: GPT2) -> Iterator[Driver]:
    driver = Driver(parts=lambda: dataclasses.replace(real_parts(), load=lambda name: model, warm_inside=None))
    yield driver
    driver.engine.close(timeout=20)
    assert not driver.engine._thread.is_alive()


def tokens(driver: Driver, request: int = 1) -> list[int]:
    return [event.token.id for event in driver.of(TokenEvent) if event.request == request]


# ---------------------------------------------------------------- what is changed


def test_a_head_is_muted_from_the_next_token_on_as_if_from_the_first(driver: Driver, model: GPT2) -> None:
    driver.submit(Load("a"), SetPace(300.0), Generate(1, "The lan", 30, WARM))
    driver.until(lambda: len(driver.of(TokenEvent)) >= 5)
    driver.submit(SetInterventions(MUTED), SetPace(0.0))
    driver.finish()
    told = [event for event in driver.told if isinstance(event, TokenEvent | InterventionsSet)]
    before = next(place for place, event in enumerate(told) if isinstance(event, InterventionsSet))
    session, ids = model.session(), []
    for token in session.generate("The lan", 30, WARM):
        ids.append(token.id)
        if len(ids) == before:
            session.interventions = Interventions().scale_head(1, 0, 0.0).scale_mlp(0, 2.0)
    assert tokens(driver) == ids
    assert ids != [token.id for token in model.session().generate("The lan", 30, WARM)]
    driver.finish(SetInterventions(()), Generate(2, "The lan", 30, WARM))
    assert tokens(driver, 2) == [token.id for token in model.session().generate("The lan", 30, WARM)]


def test_another_model_is_as_it_is_and_no_model_can_not_be_changed(driver: Driver) -> None:
    (failed,) = [event for event in driver.finish(SetInterventions(MUTED)) if isinstance(event, Failed)]
    assert failed.command == "SetInterventions"
    driver.finish(Load("a"), SetInterventions(MUTED), Load("a"), Look(2, "The town"))
    assert driver.of(Looked)[-1].scales == ()


def test_what_the_model_has_not_is_refused_and_the_text_goes_on(driver: Driver) -> None:
    driver.finish(Load("a"), SetInterventions(MUTED))
    told = driver.finish(SetInterventions((Scale(1, 2, 0.0),)), Look(2, "The town"))
    assert [event.message for event in told if isinstance(event, Failed)] == [
        "head is 2; it must be a whole number from 0 to 1"
    ]
    assert driver.of(Looked)[-1].scales == MUTED


def test_what_a_change_does_to_the_loss_is_told_and_the_text_goes_on(driver: Driver, model: GPT2) -> None:
    text = TEXT[:70]
    ids = model.require_tokenizer().encode(text)
    driver.finish(Load("a"), SetInterventions(MUTED), CompareLoss(5, text))
    (found,) = driver.of(LossCompared)
    own, changed = model.score(ids), model.score(ids, interventions=interventions(MUTED))
    assert (found.request, found.tokens, found.scales) == (5, own.tokens, MUTED)
    assert (found.changed, found.own) == (changed.nats / own.tokens, own.nats / own.tokens)
    assert abs(found.changed - found.own) > 1e-3
    driver.submit(SetInterventions(()), SetPace(100.0), Generate(1, "The lan", 30, WARM))
    driver.until(lambda: len(tokens(driver)) >= 5)
    driver.finish(CompareLoss(6, text), SetPace(0.0))
    assert driver.of(LossCompared)[-1].changed == driver.of(LossCompared)[-1].own
    assert tokens(driver) == [token.id for token in model.session().generate("The lan", 30, WARM)]


# ---------------------------------------------------------------- what is seen


def same(found: Looked, model: GPT2, ids: list[int]) -> None:
    session = model.session()
    session.decoder.step(*ids)
    inside = look(session.decoder, len(ids) - 1)
    assert found.inside.ids == inside.ids
    # the same positions, computed one at a time or all at once
    assert np.abs(found.inside.patterns - inside.patterns).max() < 1e-5
    assert found.inside.why is not None
    assert inside.why is not None
    assert abs(found.inside.why.difference - inside.why.difference) < 1e-3
    assert [row.rank for row in found.inside.lens.rows] == [row.rank for row in inside.lens.rows]


def test_a_token_of_the_text_is_looked_into(driver: Driver, model: GPT2) -> None:
    driver.finish(Load("a"), Generate(1, "The lan", 20, WARM))
    written, prompt = tokens(driver), model.require_tokenizer().encode("The lan")
    driver.finish(Look(7, "The lan", tuple(written[:9])))
    (found,) = driver.of(Looked)
    assert (found.request, found.live, found.scales) == (7, False, ())
    same(found, model, [*prompt, *written[:9]])
    assert "".join(found.texts) == "The lan" + model.require_tokenizer().decode(written[:8])
    assert found.text == model.require_tokenizer().decode(written[8:9])
    assert len(found.best_texts) == 3
    driver.finish(Look(8, "The lan", tuple(written[:9]), rival=11))
    why = driver.of(Looked)[-1].inside.why
    assert why is not None
    assert why.rival == 11


def test_a_token_before_the_last_is_looked_into_as_if_nothing_came_after(driver: Driver, model: GPT2) -> None:
    text = "All the town is asleep"
    ids = model.require_tokenizer().encode(text)
    driver.finish(Load("a"), Look(2, text, back=3))
    driver.finish(Look(3, text, back=len(ids) - 1))
    (found,) = driver.of(Looked)
    same(found, model, ids[:-3])
    assert text.endswith(found.text + model.require_tokenizer().decode(ids[-3:]))
    assert found.rest == len(found.text) + len(model.require_tokenizer().decode(ids[-3:]))
    assert [(failed.request, "first token" in failed.message) for failed in driver.of(Failed)] == [(3, True)]


def test_any_text_is_looked_into_and_the_next_generation_is_as_ever(driver: Driver, model: GPT2) -> None:
    driver.finish(Load("a"), Generate(1, "The lan", 5, WARM))
    driver.finish(Look(2, "All the town is asleep"))
    same(driver.of(Looked)[0], model, model.require_tokenizer().encode("All the town is asleep"))
    driver.finish(Generate(3, "All the town is asleep", 12, WARM))
    assert tokens(driver, 3) == [t.id for t in model.session().generate("All the town is asleep", 12, WARM)]


def test_another_text_is_not_looked_into_while_one_is_written(driver: Driver) -> None:
    driver.submit(Load("a"), SetPace(100.0), Generate(1, "The lan", 40, WARM), Look(2, "All the town"))
    driver.finish(SetPace(0.0))
    assert [failed.message for failed in driver.of(Failed)] == [
        "the model does not see this place while it writes; stop it to look there"
    ]
    assert len(tokens(driver)) == 40


def test_the_newest_token_is_looked_into_while_the_same_text_comes(driver: Driver, model: GPT2) -> None:
    driver.finish(Load("a"), SetProbes(True), SetPace(15.0))
    driver.submit(Generate(1, "The lan", 60, WARM))
    driver.until(lambda: len(driver.of(Looked)) >= 4)
    driver.submit(SetPace(0.0))
    driver.finish()
    told = [event for event in driver.told if isinstance(event, TokenEvent | Looked)]
    for before, event in itertools.pairwise(told):
        if isinstance(event, Looked):
            assert isinstance(before, TokenEvent)
            assert (event.live, event.request, event.inside.lens.token) == (True, 1, before.token.id)
            assert event.inside.why is None
            assert event.inside.lens.rows[-1].token_p == pytest.approx(np.exp(before.token.logprob), abs=1e-3)
    assert tokens(driver) == [token.id for token in model.session().generate("The lan", 60, WARM)]
    driver.finish(SetProbes(True, split=True), SetPace(15.0), Generate(2, "The lan", 3, WARM))
    assert driver.of(Looked)[-1].inside.why is not None
    count = len(driver.of(Looked))
    driver.finish(SetProbes(False), Generate(3, "The lan", 3, WARM))
    assert len(driver.of(Looked)) == count


def test_heads_are_measured(driver: Driver, model: GPT2) -> None:
    driver.finish(Load("a"), MeasureHeads(4, TEXT[:80]))
    (found,) = driver.of(HeadsMeasured)
    session = model.session()
    session.decoder.step(*model.require_tokenizer().encode(TEXT[:80]))
    assert np.abs(found.heads.shares - measure_heads(session.decoder).shares).max() < 1e-5
    assert (found.request, found.heads.shares.shape) == (4, (2, 2, 4))


@pytest.mark.parametrize("command", [Look(3, ""), MeasureHeads(3, "a"), CompareLoss(3, "")])
def test_where_nothing_lies_before_it_that_is_told(driver: Driver, command: Look | MeasureHeads | CompareLoss) -> None:
    driver.finish(Load("a"), command)
    (failed,) = driver.of(Failed)
    assert (failed.request, failed.command) == (3, type(command).__name__)
    assert any(words in failed.message for words in ("first token", "third token", "two tokens"))


@pytest.mark.parametrize("length", [47, 48, 49, 80])
def test_a_long_text_is_seen_as_when_its_token_was_chosen(driver: Driver, model: GPT2, length: int) -> None:
    """Where the context moves on too: the newest token of a text, looked into while it comes and later."""
    driver.finish(Load("a"), SetProbes(True), SetPace(15.0), Generate(1, "T", length, WARM))
    live = {event.inside.place: event for event in driver.of(Looked)}
    driver.finish(Look(7, "T", tuple(tokens(driver))))
    found = driver.of(Looked)[-1]
    assert found.inside.ids == live[found.inside.place].inside.ids
    assert np.abs(found.inside.patterns - live[found.inside.place].inside.patterns).max() < 1e-5  # in another pass


# ---------------------------------------------------------------- compiled ahead


class Compiler:
    """A compiler that waits until it may go on."""

    def __init__(self) -> None:
        self.may_go, self.log, self.failure = threading.Event(), list[str](), ""

    def __call__(self, progress: Callable[[str, int, int], None], kernels: str, adapters: bool) -> None:
        progress("window", 0, 2)
        assert self.may_go.wait(20)
        progress("", 2, 2)
        self.log.append(kernels)
        if self.failure:
            failure, self.failure = self.failure, ""
            raise OSError(failure)


def compiling() -> tuple[Compiler, Driver]:
    compiler, world = Compiler(), World()
    return compiler, Driver(world, lambda: dataclasses.replace(world.parts(), warm_inside=compiler))


def test_what_looking_needs_is_compiled_while_nothing_is_to_do_and_tokens_come_meanwhile() -> None:
    compiler, driver = compiling()
    driver.finish(Load("a"))
    driver.until(lambda: Phase("preparing", "to look inside", 0, 2) in driver.told)
    driver.finish(Generate(1, "x", max_tokens=5))
    assert driver.of(Done) == [Done(1, "length", 5)]
    assert all(token.compiling for token in driver.of(TokenEvent))
    assert compiler.log == []
    compiler.may_go.set()
    driver.until(lambda: driver.of(Phase)[-1].name == "idle")
    driver.finish(SetPrecision("int8"))
    driver.until(lambda: driver.of(Phase)[-1].name == "idle" and len(compiler.log) == 2)
    driver.finish(SetInterventions(MUTED), Load("b"), Generate(2, "x", max_tokens=5))
    assert compiler.log == ["f32", "bf16"]
    assert not driver.of(TokenEvent)[-1].compiling
    driver.engine.close(timeout=10)


def test_a_look_waits_for_the_compiler_and_the_text_does_not() -> None:
    compiler, driver = compiling()
    driver.submit(Load("a"), Look(2, "x"), SetProbes(True), Generate(1, "x", max_tokens=5))
    driver.until(lambda: driver.of(Done))
    assert not driver.of(Failed)
    assert not driver.of(Looked)
    assert driver.engine.busy
    compiler.failure = "no room"
    compiler.may_go.set()
    driver.until(lambda: not driver.engine.busy)
    assert [(failed.message, failed.request) for failed in driver.of(Failed)] == [("no room", 2)]
    driver.engine.close(timeout=10)


def test_muting_waits_for_the_compiler_where_it_must_and_says_so() -> None:
    compiler, driver = compiling()
    driver.submit(Load("a"), SetInterventions(MUTED))
    driver.until(lambda: any(p.name == "compiling" and p.detail == "to look inside" for p in driver.of(Phase)))
    assert driver.of(InterventionsSet) == []
    compiler.may_go.set()
    driver.until(lambda: driver.of(InterventionsSet))
    assert len(driver.of(Loaded)) == 1
    driver.engine.close(timeout=10)


def test_a_compiler_that_fails_is_told_when_it_matters_and_tried_again() -> None:
    compiler, driver = compiling()
    compiler.failure = "no room"
    compiler.may_go.set()
    driver.finish(Load("a"))
    driver.until(lambda: compiler.log)
    driver.finish(SetInterventions(MUTED))
    assert [failed.message for failed in driver.of(Failed)] == ["no room"]
    driver.finish(SetInterventions(MUTED))
    assert driver.of(InterventionsSet) == [InterventionsSet(MUTED)]
    driver.engine.close(timeout=10)
