"""Saves of a training that fail, failures of the training itself, and what is saved when the program ends."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_fakes import Driver, FakeTrainer, World, story

from sg_core.config import GPT2Config
from sg_core.engine.commands import PauseTraining, ResumeTraining, SaveTraining, StopTraining, Train
from sg_core.engine.events import Failed, Notice, Phase, Saved, TrainingEnded
from sg_core.errors import CheckpointError, TrainingError
from sg_core.storage.lock import RUN_LOCK, lock_run
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


def refuse(folder: Path) -> None:
    if folder.name == "full":
        raise CheckpointError("full: no space left")


def test_a_failed_save_pauses_and_another_place_settles_it(driver: Driver, world: World) -> None:
    world.on_save = refuse
    driver.finish(Train(out="full", sample_every=0))
    assert driver.of(Failed)[0].message.startswith("full: no space left; training is paused")
    assert driver.of(Phase)[-1].name == "paused"
    assert story(driver) == ["step 1", "step 2", "step 3", "evaluated 3"]
    driver.finish(SaveTraining("roomy"))
    assert driver.of(Saved) == [Saved(3, str(Path("roomy/step-3")))]
    driver.finish(ResumeTraining())
    assert world.trainers[0].saves[-1] == Path("roomy")
    assert driver.of(TrainingEnded) == [TrainingEnded(6, "finished")]


def test_an_unforeseen_failure_of_a_save_loses_nothing_either(
    driver: Driver, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SG_HOME", str(tmp_path))

    def fail(folder: Path) -> None:
        raise RuntimeError("odd")

    world.on_save = fail
    driver.finish(Train(out="o"))
    world.on_save = lambda folder: None
    driver.finish(ResumeTraining())
    assert driver.of(TrainingEnded) == [TrainingEnded(6, "finished")]


@pytest.mark.parametrize("finished", [True, False])
def test_a_last_save_that_fails_waits_and_only_a_second_stop_gives_up(
    driver: Driver, world: World, finished: bool
) -> None:
    world.on_save = refuse
    if finished:
        driver.finish(Train(out="full", training=TrainingConfig(steps=3, save_every=0)))
    else:
        world.on_step = lambda trainer: driver.submit(PauseTraining())
        driver.finish(Train(out="full", training=ENDLESS))
    driver.finish(StopTraining())
    assert driver.of(TrainingEnded) == []
    driver.finish(StopTraining())
    assert [ended.reason for ended in driver.of(TrainingEnded)] == ["stopped"]
    assert "were not saved" in driver.of(Notice)[-1].text


def test_a_run_whose_last_save_failed_ends_once_it_is_saved(driver: Driver, world: World) -> None:
    world.on_save = refuse
    driver.finish(Train(out="full", training=TrainingConfig(steps=3, save_every=0)))
    assert len(driver.of(Failed)) == 1
    driver.finish(SaveTraining("roomy"))
    assert story(driver)[-2:] == ["saved 3", "ended 3"]
    assert driver.of(TrainingEnded) == [TrainingEnded(3, "finished")]


def test_a_step_that_is_not_finite_is_told(driver: Driver, world: World) -> None:
    world.losses = lambda step: math.inf if step == 2 else 1.0
    driver.finish(Train(training=TrainingConfig(steps=3)))
    assert [math.isnan(step.counted_loss) for step in driver.of(StepResult)] == [False, True, False]
    assert "step 2 was skipped" in driver.of(Notice)[0].text


def test_training_that_cannot_go_on_keeps_its_last_good_state(driver: Driver, world: World) -> None:
    def fail(trainer: FakeTrainer) -> None:
        if trainer.step_count == 2:
            raise TrainingError("not finite five times")

    world.on_step = fail
    driver.finish(Train(out="o"))
    assert driver.of(Failed) == [Failed("not finite five times", None, "Train")]
    assert story(driver) == ["step 1", "step 2", "saved 2", "ended 2"]
    assert driver.of(TrainingEnded) == [TrainingEnded(2, "failed")]


def test_a_failure_within_a_step_ends_the_run_and_saves_nothing(driver: Driver, world: World) -> None:
    def fail(trainer: FakeTrainer) -> None:
        raise MemoryError

    world.on_step = fail
    driver.finish(Train())
    assert "not enough memory" in driver.of(Failed)[0].message
    assert story(driver) == ["ended 0"]
    world.on_step = lambda trainer: None
    driver.finish(Train())
    assert driver.of(TrainingEnded)[-1] == TrainingEnded(6, "finished")


@pytest.mark.parametrize("n_embd", [8, 1024])
def test_closing_saves_a_run_of_any_size(world: World, n_embd: int) -> None:
    world.config = GPT2Config(vocab_size=300, n_ctx=64, n_layer=1, n_head=1, n_embd=n_embd)
    driver = Driver(world)
    driver.submit(Train(training=ENDLESS, out="o", sample_every=0))
    driver.until(lambda: driver.of(StepResult))
    driver.engine.close(timeout=20)
    assert not driver.engine._thread.is_alive()
    (trainer,) = world.trainers
    assert trainer.saves == [Path("o")]
    assert [event.step for event in driver.of(Saved)] == [trainer.step_count]


def test_closing_saves_a_run_elsewhere_when_its_folder_takes_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SG_HOME", str(tmp_path))
    monkeypatch.setattr("sg_core.engine.training_run.RETRIES", (0.0, 0.0))
    tried: list[Path] = []

    def refuse_and_count(folder: Path) -> None:
        tried.append(folder)
        refuse(folder)

    world.on_save = refuse_and_count
    driver = Driver(world)
    driver.submit(Train(training=ENDLESS, out="full", sample_every=0))
    driver.until(lambda: driver.of(StepResult))
    driver.engine.close(timeout=20)
    assert tried[:3] == [Path("full")] * 3
    (saved,) = driver.of(Saved)
    assert Path(saved.folder).parent.parent == tmp_path / "data" / "runs"
    assert saved.step == world.trainers[0].step_count
    assert any(str(Path(saved.folder).parent) in notice.text for notice in driver.of(Notice))


def test_a_run_in_memory_alone_is_saved_when_the_program_ends(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SG_HOME", str(tmp_path / "file"))  # no folder of runs can be made

    def no_folder(name: str) -> Path:
        raise CheckpointError("the folder can't be made")

    parts = world.parts()
    object.__setattr__(parts, "new_run_folder", no_folder)
    driver = Driver(world, lambda: parts)
    driver.submit(Train(training=ENDLESS, sample_every=0))
    driver.until(lambda: driver.of(StepResult))
    driver.engine.close(timeout=20)
    (saved,) = driver.of(Saved)
    assert Path(saved.folder).parent.parent == tmp_path


def test_a_save_that_fails_once_is_tried_again_and_nobody_is_troubled(driver: Driver, world: World) -> None:
    troubles = [CheckpointError("input/output error")]

    def fail_once(folder: Path) -> None:
        if troubles:
            raise troubles.pop()

    world.on_save = fail_once
    driver.finish(Train(out="o", sample_every=0))
    assert driver.of(Failed) == []
    assert driver.of(TrainingEnded) == [TrainingEnded(6, "finished")]


def test_a_run_that_another_one_trains_is_refused(driver: Driver, tmp_path: Path) -> None:
    lock = lock_run(tmp_path)
    assert lock is not None
    driver.finish(Train(resume=str(tmp_path)))
    assert f"is being trained by process {os.getpid()}" in driver.of(Failed)[0].message
    assert driver.of(TrainingEnded) == [TrainingEnded(0, "failed")]
    lock.release()
    driver.finish(Train(resume=str(tmp_path), training=TrainingConfig(steps=42), sample_every=0))
    assert driver.of(TrainingEnded)[-1] == TrainingEnded(42, "finished")
    assert not (tmp_path / RUN_LOCK).exists()


def test_a_run_cannot_move_into_one_that_is_being_trained(driver: Driver, world: World, tmp_path: Path) -> None:
    lock = lock_run(tmp_path)
    assert lock is not None
    world.on_step = lambda trainer: driver.submit(SaveTraining(str(tmp_path))) if trainer.step_count == 1 else None
    driver.finish(Train(out="o", sample_every=0))
    lock.release()
    assert "is being trained by process" in driver.of(Failed)[0].message
    assert set(world.trainers[0].saves) == {Path("o")}
    assert driver.of(TrainingEnded) == [TrainingEnded(6, "finished")]


def test_closing_ends_an_evaluation(world: World) -> None:
    reached, gate = threading.Event(), threading.Event()
    parts: list[int] = []

    def hold(part: int) -> None:
        parts.append(part)
        reached.set()
        assert gate.wait(20)

    world.on_evaluation = hold
    driver = Driver(world)
    driver.submit(Train(training=TrainingConfig(steps=1, evaluate_every=1)))
    assert reached.wait(20)
    driver.engine._inbox.close()
    gate.set()
    driver.engine.close(timeout=20)
    assert not driver.engine._thread.is_alive()
    assert parts == [0]
    assert driver.of(Evaluation) == []
