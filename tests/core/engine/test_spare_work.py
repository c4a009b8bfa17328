"""What the engine scores and measures while nothing else is wanted, and races."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from engine_fakes import Driver, World

from sg_core.config import GPT2Config
from sg_core.engine import measurements
from sg_core.engine.commands import Generate, Load, MeasureReads, MeasureSteps, Race, Score, Train
from sg_core.engine.events import Done, Failed, Raced, ReadRate, Scored, StepsMeasured, TokenEvent
from sg_core.engine.parts import Parts
from sg_core.gpt2 import GPT2
from sg_core.measure.race import Lap
from sg_core.measure.setting import Setting
from sg_core.training.settings import TrainingConfig

LAP = Lap((1, 1), ("a", "a"), (1.0, 2.0), 0.0)
RACE = Race(7, Setting(), Setting.named("f32-kv_cache"), tokens=3)


class Works(World):
    """As the fakes, with scores and races; `on_score` runs while one is made."""

    on_score: Callable[[Callable[[], bool]], None] = staticmethod(lambda cancelled: None)

    def parts(self) -> Parts:
        def score(command: Score, session: Any, progress: Any, cancelled: Callable[[], bool]) -> Scored | None:
            self.log.append(command.text)
            self.on_score(cancelled)
            return None if cancelled() else Scored(command.request, (0,), (math.nan,), (0,), (math.nan,), 1.0, 64, 32)

        def race(command: Race, session: Any, cancelled: Callable[[], bool]) -> Iterator[Raced]:
            for _ in range(command.tokens):
                yield Raced(command.request, LAP)

        def read_rate(session: Any, cancelled: Callable[[], bool]) -> ReadRate:
            return ReadRate("f32", 1, 1_000_000, 1e9)

        def steps(command: MeasureSteps, threads: int | None, cancelled: Callable[[], bool]) -> StepsMeasured:
            return StepsMeasured(command.request, 0.5, 3, command.training.steps, 0.0, 0)

        return replace(super().parts(), score=score, race=race, read_rate=read_rate, measure_steps=steps)


def wait(gate: threading.Event) -> None:
    assert gate.wait(20)


@pytest.fixture
def world() -> Works:
    return Works()


@pytest.fixture
def driver(world: Works) -> Iterator[Driver]:
    driver = Driver(world)
    yield driver
    driver.engine.close(timeout=10)


def test_a_score_waits_for_the_end_of_a_text_and_the_last_one_is_made(driver: Driver, world: Works) -> None:
    driver.finish(Load())
    gate = threading.Event()
    world.on_token = lambda session, count: wait(gate)
    driver.submit(Generate(1, "x", max_tokens=3), Score(2, "one"), Score(3, "two"))
    gate.set()
    driver.finish()
    assert [event.request for event in driver.of(Scored)] == [3]
    assert driver.told.index(driver.of(Scored)[0]) > driver.told.index(driver.of(TokenEvent)[-1])


def test_a_command_goes_before_a_score_which_is_then_begun_again(driver: Driver, world: Works) -> None:
    driver.finish(Load())
    asked: list[bool] = []

    def ask(cancelled: Callable[[], bool]) -> None:
        if not asked:
            driver.submit(Generate(1, "x", max_tokens=1))
            asked.append(cancelled())

    world.on_score = ask
    driver.finish(Score(2, "one"))
    assert asked == [True]
    assert world.log.count("one") == 2
    assert driver.told.index(driver.of(Done)[-1]) < driver.told.index(driver.of(Scored)[0])


def test_a_score_that_fails_is_told_and_the_thread_lives(driver: Driver, world: Works) -> None:
    def fail(cancelled: Callable[[], bool]) -> None:
        raise MemoryError

    world.on_score = fail
    driver.finish(Load(), Score(2, "one"))
    (failed,) = driver.of(Failed)
    assert (failed.request, failed.command) == (2, "Score")
    driver.finish(MeasureReads())
    assert driver.of(ReadRate)[0].bound_ms == 1.0


def test_nothing_is_scored_or_measured_without_a_model_or_beside_a_training(driver: Driver, world: Works) -> None:
    driver.finish(MeasureReads(), Score(1, "one"))
    driver.finish(Load())
    world.on_step = lambda trainer: driver.submit(Score(2, "two")) if trainer.step_count == 2 else None
    driver.finish(Train())
    assert not driver.of(Scored)
    assert not driver.of(ReadRate)
    assert not driver.of(Failed)


def test_a_race_tells_its_laps_and_its_end(driver: Driver) -> None:
    driver.finish(RACE)
    assert driver.of(Failed)[-1].request == 7  # no model yet
    driver.finish(Load(), RACE)
    assert [event.lap for event in driver.of(Raced)] == 3 * [LAP]
    assert driver.of(Done) == [Done(7, "length", 3)]


def test_the_scores_of_a_text_are_those_of_its_model() -> None:
    model = GPT2.from_pretrained("tinyshakespeare")
    text = "ROMEO:\nWhat light is this?"
    scored = measurements.scores(Score(4, text), model.session(), lambda *_: None, lambda: False)
    expected = model.score(text)
    assert scored is not None
    assert list(scored.starts) == [one.start for one in expected]
    assert list(scored.ranks)[1:] == [one.rank for one in expected][1:]
    assert list(scored.logprobs)[1:] == pytest.approx([one.logprob for one in expected[1:]], abs=1e-6)
    assert scored.perplexity == pytest.approx(expected.perplexity)
    assert measurements.scores(Score(4, ""), model.session(), lambda *_: None, lambda: False) is None


def test_a_score_waits_for_kernels_compiled_ahead_so_that_no_command_waits_for_the_compiler(world: Works) -> None:
    may_go = threading.Event()
    driver = Driver(world, lambda: replace(world.parts(), warm_inside=lambda progress, kernels, adapters: wait(may_go)))
    driver.finish(Load())
    driver.submit(Score(2, "one"), Generate(3, "x", max_tokens=2))
    driver.until(lambda: driver.of(Done))
    driver.submit(Generate(4, "x", max_tokens=2))
    driver.until(lambda: len(driver.of(Done)) == 2)
    assert not driver.of(Scored)
    may_go.set()
    driver.finish()
    assert [event.request for event in driver.of(Scored)] == [2]
    driver.engine.close(timeout=10)


# ------------------------------------------------------------------ steps of a training that is only planned


def test_the_steps_of_a_planned_training_are_measured_without_a_model(driver: Driver) -> None:
    driver.finish(MeasureSteps(5, GPT2Config(), TrainingConfig(steps=10), 1000))
    [found] = driver.of(StepsMeasured)
    assert (found.request, found.seconds) == (5, 5.0)


def test_only_the_plan_that_was_asked_for_last_is_measured(driver: Driver) -> None:
    driver.finish(*(MeasureSteps(number, GPT2Config(), TrainingConfig(steps=10), 1000) for number in range(4)))
    assert driver.of(StepsMeasured)[-1].request == 3
