"""Training on the engine thread: its steps, what is due after them, turns with generation, stops, saves, the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from engine_fakes import Driver, FakeSession, FakeTrainer, World, story

from sg_core.engine.commands import (
    Bench,
    Generate,
    Load,
    PauseTraining,
    ResumeTraining,
    SaveTraining,
    SetThreads,
    StopTraining,
    Train,
)
from sg_core.engine.events import (
    Done,
    Exported,
    Failed,
    Notice,
    Phase,
    Sample,
    Saved,
    TokenEvent,
    TrainingEnded,
    TrainingStarted,
)
from sg_core.errors import CheckpointError, TrainingError
from sg_core.training.results import Evaluation, StepResult
from sg_core.training.settings import TrainingConfig

ENDLESS = TrainingConfig(steps=10**6, evaluate_every=0, save_every=0)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def driver(world: World) -> Iterator[Driver]:
    driver = Driver(world)
    yield driver
    driver.engine.close(timeout=10)
    assert not driver.engine._thread.is_alive()


def test_a_run_from_start_to_end(driver: Driver, world: World) -> None:
    driver.finish(Train("text", out="runs/one", sample_every=4))
    (started,) = driver.of(TrainingStarted)
    assert (started.model, started.data, started.first_step, started.out) == ("tiny", "text", 0, "runs/one")
    assert (started.train_tokens, started.validation_tokens) == (900, 100)
    steps = [f"step {number}" for number in range(1, 7)]
    due = ["saved 3", "evaluated 3", "saved 3"]  # before the evaluation, and marked as the best after it
    end = ["saved 6", "evaluated 6", "saved 6", "ended 6"]
    assert story(driver) == [*steps[:3], *due, steps[3], "sample 4", *steps[4:], *end]
    assert driver.of(TrainingEnded) == [TrainingEnded(6, "finished")]
    assert driver.of(Saved)[-1] == Saved(6, str(Path("runs/one/step-6")))
    assert driver.of(Exported) == [Exported(6, str(Path("runs/one/model")))]
    assert world.exports == [(str(Path("runs/one/model")), "F32")]
    assert len(driver.of(Sample)[0].text.split()) == 120


def test_a_sample_has_the_step_as_its_seed(driver: Driver, world: World) -> None:
    seeds: list[tuple[float, int]] = []
    world.on_token = lambda session, count: seeds.append((session.sampling.temperature, session.sampling.seed))
    driver.finish(Train(sample_every=3, training=TrainingConfig(steps=6)))
    assert set(seeds) == {(0.8, 3), (0.8, 6)}


@pytest.mark.parametrize(("export", "steps"), [("best", [2, 3, 4, 6, 6]), ("last", [3, 6, 6])])
def test_the_best_step_lies_in_a_checkpoint_where_it_is_to_be_exported(
    driver: Driver, export: str, steps: list[int]
) -> None:
    driver.finish(Train(training=TrainingConfig(steps=6, evaluate_every=2, save_every=3, export=export), out="o"))
    assert [event.step for event in driver.told if isinstance(event, Saved)] == steps


def test_a_run_without_a_folder_gets_a_fresh_one_and_a_resumed_one_keeps_its_own(driver: Driver) -> None:
    driver.finish(Train(config="tiny"))
    driver.finish(Train(resume="runs/old", training=TrainingConfig(steps=42)))
    fresh, old = driver.of(TrainingStarted)
    assert fresh.out == str(Path("fresh/tiny"))
    assert (old.out, old.first_step) == (str(Path("runs/old")), 40)


def test_a_place_that_cannot_be_made_is_told_and_training_goes_on_in_memory(driver: Driver, world: World) -> None:
    parts = world.parts()

    def refuse(name: str) -> Path:
        raise CheckpointError("the folder can't be made")

    object.__setattr__(parts, "new_run_folder", refuse)
    driver.engine._models._make_parts = lambda: parts
    driver.finish(Train())
    assert "kept in memory only" in driver.of(Notice)[0].text
    assert driver.of(Saved) == []
    assert driver.of(TrainingEnded) == [TrainingEnded(6, "finished")]


@pytest.mark.parametrize(("step_seconds", "tokens"), [(1 / 64, 4), (1 / 8, 8), (4.0, 64)])
def test_generation_and_training_take_turns(
    driver: Driver, world: World, monkeypatch: pytest.MonkeyPatch, step_seconds: float, tokens: int
) -> None:
    """Tokens of 1/64 s are written for as long as the last step took, at least 50 ms, at most 1 s."""
    clock = SimpleNamespace(now=0.0)
    for module in ("engine.engine", "engine.training_run"):
        monkeypatch.setattr(f"sg_core.{module}.time", SimpleNamespace(perf_counter=lambda: clock.now))

    def write(session: FakeSession, count: int) -> None:
        clock.now += 1 / 64

    def step(trainer: FakeTrainer) -> None:
        clock.now += step_seconds
        if trainer.step_count == 0:
            driver.submit(Generate(1, "x", max_tokens=3 * tokens))

    world.on_token, world.on_step = write, step
    driver.finish(Load())
    driver.finish(Train(training=TrainingConfig(steps=6, evaluate_every=0, save_every=0), sample_every=0))
    turns = [
        "T" if isinstance(event, TokenEvent) else "S"
        for event in driver.told
        if isinstance(event, TokenEvent | StepResult)
    ]
    assert "".join(turns) == "S" + 3 * ("T" * tokens + "S") + "SS"


def test_stop_acts_after_the_step_and_saves(driver: Driver, world: World) -> None:
    world.on_step = lambda trainer: driver.submit(StopTraining()) if trainer.step_count == 4 else None
    driver.finish(Train(training=ENDLESS, out="o"))
    assert story(driver)[-3:] == ["step 5", "saved 5", "ended 5"]
    assert driver.of(TrainingEnded) == [TrainingEnded(5, "stopped")]


def test_stop_acts_in_the_midst_of_an_evaluation(driver: Driver, world: World) -> None:
    parts: list[int] = []

    def stop(part: int) -> None:
        parts.append(part)
        if part == 1:
            driver.submit(StopTraining())

    world.on_evaluation = stop
    driver.finish(Train(training=TrainingConfig(steps=9, evaluate_every=2, save_every=0), out="o"))
    assert parts == [0, 1]
    assert story(driver) == ["step 1", "step 2", "saved 2", "ended 2"]


def test_stop_acts_in_the_midst_of_a_sample(driver: Driver, world: World) -> None:
    world.on_token = lambda session, count: driver.submit(StopTraining()) if count == 5 else None
    driver.finish(Train(training=ENDLESS, out="o", sample_every=2))
    assert story(driver) == ["step 1", "step 2", "saved 2", "ended 2"]
    assert len(world.trainers[0].model.sessions[0].seen) == 6


def test_text_streams_while_an_evaluation_runs(driver: Driver, world: World) -> None:
    texts: list[int] = []
    world.on_token = lambda session, count: texts.append(-1)
    driver.finish(Load())

    def ask(part: int) -> None:
        if part == 0:
            driver.submit(Generate(1, "x", max_tokens=4))
        texts.append(part)

    world.on_evaluation = ask
    driver.finish(Train(training=TrainingConfig(steps=1, evaluate_every=1), sample_every=0))
    assert texts == [0, -1, -1, -1, -1, 1, 2, 3]
    assert driver.of(Evaluation) == [Evaluation(1, 6.0, 3.0)]


def test_pause_keeps_the_state_and_resume_goes_on(driver: Driver, world: World) -> None:
    world.on_step = lambda trainer: driver.submit(PauseTraining()) if trainer.step_count == 2 else None
    driver.finish(Load(), Train())
    assert story(driver) == ["step 1", "step 2", "step 3", "saved 3", "evaluated 3", "saved 3"]
    driver.finish(Generate(1, "x", max_tokens=3))
    driver.until(lambda: driver.of(Phase)[-1].name == "paused")
    assert driver.of(Done) == [Done(1, "length", 3)]
    driver.finish(ResumeTraining())
    assert driver.of(TrainingEnded) == [TrainingEnded(6, "finished")]


def test_the_weights_can_be_talked_to_while_they_learn(driver: Driver, world: World) -> None:
    training = TrainingConfig(steps=40, evaluate_every=0)
    driver.finish(Train(training=training, sample_every=0), Generate(1, "x", max_tokens=5, from_training=True))
    (session,) = world.trainers[0].model.sessions
    assert len(session.seen) == 5
    assert world.models[0] is world.trainers[0].model  # nothing else was loaded
    driver.finish(Generate(2, "x", max_tokens=1, from_training=True))  # the trained model stays
    assert driver.of(Done)[-1] == Done(2, "length", 1)


def test_what_older_weights_computed_is_computed_again(
    driver: Driver, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("sg_core.engine.engine.time", SimpleNamespace(perf_counter=lambda: clock.now))

    def spend(session: FakeSession, count: int) -> None:
        clock.now += 0.03  # two tokens a slice

    world.on_token = spend
    training = TrainingConfig(steps=100, evaluate_every=0)
    driver.finish(Train(training=training, sample_every=0), Generate(1, "x", max_tokens=6, from_training=True))
    assert world.trainers[0].model.sessions[0].dropped == [2, 4, 6]


def test_asking_the_model_in_training_when_there_is_none_fails(driver: Driver) -> None:
    driver.finish(Generate(1, "x", from_training=True))
    assert driver.of(Failed) == [Failed("no model is in training; start a training first", 1, "Generate")]


def test_a_second_training_is_refused_and_the_first_goes_on(driver: Driver, world: World) -> None:
    world.on_step = lambda trainer: driver.submit(Train("other")) if trainer.step_count == 1 else None
    driver.finish(Train("first"))
    assert driver.of(Failed) == [Failed("a training is already running; stop it first", None, "Train")]
    assert [started.data for started in driver.of(TrainingStarted)] == ["first"]
    assert driver.of(TrainingEnded) == [TrainingEnded(6, "finished")]


@pytest.mark.parametrize("way", ["stop", "StopTraining"])
def test_a_stop_while_the_training_is_prepared(driver: Driver, world: World, way: str) -> None:
    def prepare(progress: Any, cancelled: Any) -> None:
        progress("tinyshakespeare", 10, 100)
        driver.engine.stop() if way == "stop" else driver.submit(StopTraining())
        assert cancelled()
        raise TrainingError("the download was stopped")

    world.on_prepare = prepare
    driver.finish(Train())
    assert driver.of(TrainingEnded) == [TrainingEnded(0, "stopped")]
    assert driver.of(Failed) == []
    assert driver.of(TrainingStarted) == []
    assert Phase("downloading", "tinyshakespeare", 10, 100) in driver.told


def test_text_streams_while_a_training_is_prepared(driver: Driver, world: World) -> None:
    def prepare(progress: Any, cancelled: Any) -> None:
        driver.submit(Generate(1, "x", max_tokens=3))
        while not driver.of(Done):
            assert not cancelled()

    world.on_prepare = prepare
    driver.finish(Load())
    driver.finish(Train(training=TrainingConfig(steps=1)))
    assert driver.of(Done) == [Done(1, "length", 3)]
    assert len(driver.of(TrainingStarted)) == 1


def test_threads_reach_the_running_training_and_one_that_is_being_prepared(driver: Driver, world: World) -> None:
    def prepare(progress: Any, cancelled: Any) -> None:
        driver.submit(SetThreads(3))
        assert not cancelled()

    def step(trainer: FakeTrainer) -> None:
        if trainer.step_count == 2:
            driver.submit(SetThreads(2), SetThreads(None))

    world.on_prepare, world.on_step = prepare, step
    driver.finish(Train())
    assert [line for line in world.log if "train with" in line] == ["train with 3", "train with 2", "train with None"]
    driver.finish(SetThreads(1))
    assert "train with 1" not in world.log


def test_what_concerns_the_training_waits_until_it_is_prepared(driver: Driver, world: World) -> None:
    def prepare(progress: Any, cancelled: Any) -> None:
        driver.submit(PauseTraining(), Generate(1, "x", max_tokens=2, from_training=True))
        assert not cancelled()

    world.on_prepare = prepare
    driver.finish(Train())
    assert driver.of(Done) == [Done(1, "length", 2)]
    assert driver.of(Failed) == []
    assert story(driver) == []


def test_a_training_that_cannot_start_says_why(driver: Driver, world: World) -> None:
    def fail(progress: Any, cancelled: Any) -> None:
        raise TrainingError("the text is too short")

    world.on_prepare = fail
    driver.finish(Train())
    assert driver.of(Failed) == [Failed("the text is too short", None, "Train")]
    assert driver.of(TrainingEnded) == [TrainingEnded(0, "failed")]


def test_steering_without_a_training_fails(driver: Driver) -> None:
    driver.finish(PauseTraining(), ResumeTraining(), StopTraining(), SaveTraining("x"))
    assert [(failed.message, failed.command) for failed in driver.of(Failed)] == [
        ("no training is running", name) for name in ("PauseTraining", "ResumeTraining", "StopTraining", "SaveTraining")
    ]


def test_measuring_beside_a_training_is_refused(driver: Driver, world: World) -> None:
    world.on_step = lambda trainer: driver.submit(Bench(7)) if trainer.step_count == 1 else None
    driver.finish(Load(), Train())
    assert driver.of(Failed) == [Failed("pause the training first: it would disturb the measurement", 7, "Bench")]
