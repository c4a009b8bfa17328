"""Control of a run while it trains: changes, ways back, forks and trials, and the same bits again after a resume."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from steered_run import PLAN, SETTINGS, advance, begin, told, trainer

from sg_core import Trainer
from sg_core.engine.commands import BackToBest, ChangeTraining, FindLearningRate, ForkTraining
from sg_core.engine.events import Failed, RateFound
from sg_core.engine.run_control import ControlCommand
from sg_core.errors import CheckpointError
from sg_core.storage.run_log import EVENTS, RunEvent, read_events
from sg_core.training.optimizer import learning_rate
from sg_core.training.results import StepResult, Trial

ROOT = Path(__file__).parents[3]


def weights(folder: Path) -> bytes:
    return Trainer.resume(folder, threads=1).model.parameters.arena.tobytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """An uninterrupted run that was steered, and all it told."""
    folder = tmp_path_factory.mktemp("whole")
    run, outbox = begin(folder)
    lines = [line for line in map(told, advance(run, outbox, PLAN)) if line]
    return folder, lines


def test_what_is_done_to_a_run_acts_is_told_and_stands_in_its_log(whole: tuple[Path, list[Any]]) -> None:
    folder, lines = whole
    events = [line for line in lines if line[0] == "event"]
    assert [(number, step, kind) for _, number, step, kind, _ in events] == [
        (1, 9, "change"), (2, 14, "change"), (3, 19, "change"), (4, 33, "back"), (5, 34, "change"),
    ]  # fmt: skip
    best = events[3][4]["to"]
    evaluations = {line[1]: line[2] for line in lines[: lines.index(events[3])] if line[0] == "evaluation"}
    assert best == min(evaluations, key=lambda step: evaluations[step]) < 33
    after = [line[1] for line in lines[lines.index(events[3]) :] if line[0] == "step"]
    assert after == [*range(best + 1, 49)]  # it went back, and on to its end

    rates: dict[int, float] = {}
    for line in lines:
        if line[0] == "step":
            rates.setdefault(line[1], line[3])
    assert rates[9] == learning_rate(8, SETTINGS)
    changed = dataclasses.replace(SETTINGS, learning_rate=2e-3, dropout=0.3)
    assert rates[10] == learning_rate(9, changed)
    assert rates[15] == learning_rate(14, dataclasses.replace(changed, schedule="wsd"))
    assert [event.words for event in read_events(folder)] == [
        "learning rate 0.002, dropout 0.3", "schedule wsd", "learning rate 0.4", f"back to step {best}",
        "learning rate 0.001",
    ]  # fmt: skip
    assert Trainer.resume(folder, threads=1).config.learning_rate == 1e-3


@pytest.mark.parametrize("stopped_after", [11, 17, 21, 31, 38, 52])
def test_a_resumed_run_does_again_what_was_done_to_it(
    whole: tuple[Path, list[Any]], tmp_path: Path, stopped_after: int
) -> None:
    """It is dropped after so many steps, wherever its last checkpoint was, and goes on by itself."""
    run, outbox = begin(tmp_path)
    lines: list[Any] = []
    for event in advance(run, outbox, PLAN):
        lines += [line for line in [told(event)] if line]
        if sum(line[0] == "step" for line in lines) == stopped_after:
            break
    run._release()
    everything = lines + [line for line in map(told, advance(*begin(tmp_path), PLAN)) if line]
    for line in whole[1]:
        assert line in everything
    for line in everything:
        assert line in whole[1]
    assert weights(tmp_path) == weights(whole[0])


def test_a_killed_run_that_was_steered_equals_the_uninterrupted_one(
    whole: tuple[Path, list[Any]], tmp_path: Path
) -> None:
    program = ROOT / "tests" / "core" / "steered_run.py"
    for lines in (14, 30):  # SIGKILL after so many, wherever it is then
        process = subprocess.Popen(
            [sys.executable, str(program), str(tmp_path)], cwd=ROOT, env=_environment(), stdout=subprocess.PIPE
        )  # fmt: skip
        assert process.stdout is not None
        for line, _ in zip(process.stdout, range(lines), strict=False):
            assert json.loads(line) in whole[1]
        process.kill()
        for line in process.stdout:
            assert not line.endswith(b"\n") or json.loads(line) in whole[1]
        process.wait(60)
    list(advance(*begin(tmp_path), PLAN))
    assert weights(tmp_path) == weights(whole[0])


def _environment() -> dict[str, str]:
    import os

    from sg_core.kernels.jit import CACHE_FOLDER

    return {**os.environ, "NUMBA_CACHE_DIR": CACHE_FOLDER, "PYTHONPATH": str(ROOT)}


def test_a_fork_goes_on_as_the_original_would(whole: tuple[Path, list[Any]], tmp_path: Path) -> None:
    run, outbox = begin(tmp_path / "run")
    plan: dict[int, ControlCommand] = {22: ForkTraining(str(tmp_path / "fork")), 30: ChangeTraining({"dropout": 0.0})}
    original = {event.step: event.loss for event in advance(run, outbox, plan) if isinstance(event, StepResult)}
    [fork, _] = read_events(tmp_path / "run")
    assert (fork.step, fork.kind, fork.values) == (22, "fork", {"folder": str(tmp_path / "fork")})
    [forked] = read_events(tmp_path / "fork")
    assert (forked.step, forked.kind, forked.values) == (22, "forked", {"folder": str(tmp_path / "run")})

    other, outbox = begin(tmp_path / "fork")
    assert other.trainer.best_step not in (-1, 22)
    losses = {e.step: e.loss for e in advance(other, outbox, {30: plan[30]}) if isinstance(e, StepResult)}
    assert losses == {step: loss for step, loss in original.items() if step > 22}
    assert weights(tmp_path / "fork") == weights(tmp_path / "run")
    assert (tmp_path / "fork" / "model" / "model.safetensors").read_bytes() == (
        tmp_path / "run" / "model" / "model.safetensors"
    ).read_bytes()  # of the best checkpoint, which the fork got too


def test_a_search_for_a_rate_leaves_every_bit_of_the_run(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, average="ema", steps=20)
    plain, searched = begin(tmp_path / "plain", settings), begin(tmp_path / "searched", settings)
    expected = list(filter(None, map(told, advance(*plain, {}))))
    events = list(advance(*searched, {7: FindLearningRate(60), 12: FindLearningRate(20)}))
    assert list(filter(None, map(told, events))) == expected
    assert weights(tmp_path / "plain") == weights(tmp_path / "searched")
    first, second = (event for event in events if isinstance(event, RateFound))
    trials = [event for event in events if isinstance(event, Trial)]
    assert len(trials) == first.trials + second.trials
    assert (first.step, second.step) == (7, 12)
    assert first.suggested == min(trials[: first.trials], key=lambda one: one.smoothed).rate / 10
    assert not (tmp_path / "searched" / EVENTS).exists()


def test_what_cant_be_done_is_told_and_changes_nothing(tmp_path: Path) -> None:
    run, outbox = begin(tmp_path / "run")
    (tmp_path / "there").mkdir()
    trainer().save(tmp_path / "there")
    plan: dict[int, ControlCommand] = {
        1: BackToBest(),
        2: ChangeTraining({"learning_rate": 11.0}),
        3: ChangeTraining({"batch_size": 2}),
        4: ChangeTraining({"dropout": 0.1}),
        5: ForkTraining(str(tmp_path / "there")),
        6: BackToBest(),
    }
    events = list(advance(run, outbox, plan))
    assert [(event.command, event.message) for event in events if isinstance(event, Failed)] == [
        ("BackToBest", "nothing was validated yet: there is no best step to go back to"),
        ("ChangeTraining", "learning_rate is 11; it must lie from 0 to 10"),
        (
            "ChangeTraining",
            "batch_size can't change while a run trains; learning_rate, final_lr_fraction, schedule, decay_fraction, "
            "dropout can",
        ),
        ("ChangeTraining", "the run has these settings already: nothing was changed"),
        (
            "ForkTraining",
            f"{tmp_path / 'there'} already holds a run; go on with it (--resume), or choose another folder for the "
            "new one",
        ),
        ("BackToBest", "step 6 is the best one so far; there is nothing to go back to"),
    ]
    assert not [event for event in events if isinstance(event, RunEvent)]
    assert read_events(tmp_path / "run") == []


def test_a_change_that_cant_be_written_down_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(run: Path, event: RunEvent) -> None:
        raise CheckpointError("no room")

    monkeypatch.setattr("sg_core.engine.run_control.add_event", full)
    run, outbox = begin(tmp_path)
    events = list(advance(run, outbox, {3: ChangeTraining({"dropout": 0.0})}))
    assert [event.message for event in events if isinstance(event, Failed)] == ["no room"]
    assert run.trainer.config.dropout == 0.1
    assert run.trainer.steering.done == []


def test_what_is_done_anew_takes_the_place_of_what_was_to_be_done_again(tmp_path: Path) -> None:
    """The run is resumed from before a change, and another one is made before its step comes."""
    run, outbox = begin(tmp_path)
    for event in advance(run, outbox, PLAN):
        if isinstance(event, StepResult) and event.step == 10:
            break
    run._release()
    run, outbox = begin(tmp_path)
    assert [event.step for event in run.trainer.steering.coming] == [9]
    assert run.trainer.step_count == 8
    run.control.waiting.append(ChangeTraining({"dropout": 0.5}))
    list(advance(run, outbox, {}))
    assert [(event.number, event.after, event.step) for event in read_events(tmp_path)] == [(1, 0, 9), (2, 0, 8)]
    resumed = Trainer.resume(tmp_path, threads=1)
    assert (resumed.config.dropout, resumed.config.learning_rate) == (0.5, SETTINGS.learning_rate)
    assert resumed.steering.coming == []
    assert np.isfinite(resumed.model.parameters.arena).all()
