"""Curves of runs beside their checkpoints: written whole, read back, anything else passed over."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sg_core.config import GPT2Config
from sg_core.engine.events import Saved, TrainingStarted
from sg_core.training.results import Evaluation
from sg_core.training.settings import TrainingConfig
from sg_tui.library.run_records import MOST_POINTS, NAME, RunKeeper, load_records
from sg_tui.state.training_run import Run

CONFIG = GPT2Config(vocab_size=512, n_ctx=64, n_layer=2, n_head=2, n_embd=32)


def a_run(folder: Path, steps: int = 5) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    training = TrainingConfig(steps=100, learning_rate=3e-4)
    facts = TrainingStarted("tiny", CONFIG, training, "python-docs", 1000, 100, 0, str(folder))
    run = Run(facts, 0, "tiny")
    for step in range(1, steps + 1):
        run.curve.add(step, math.nan if step == 3 else 5.0 / step, step * 0.5)
    run.evaluations.append(Evaluation(4, 2.5, 1.0))
    run.evaluation_seconds.append(2.0)
    run.saved = Saved(4, str(folder / "step-4"))
    return run


def keep(run: Run) -> None:
    RunKeeper(Path).keep(run, now=True)


def test_a_run_is_read_back_as_it_was(tmp_path: Path) -> None:
    run = a_run(tmp_path / "2025-01-01-a")
    keep(run)
    [read] = load_records(tmp_path)
    assert read.facts == run.facts
    assert (read.name, read.step, read.resumable) == (run.name, 5, run.facts.out)
    assert list(read.curve.steps) == list(run.curve.steps)
    assert list(read.curve.losses) == pytest.approx(list(run.curve.losses), rel=1e-5, nan_ok=True)
    assert list(read.curve.smoothed) == pytest.approx(list(run.curve.smoothed), rel=1e-5, nan_ok=True)
    assert (read.evaluations, read.evaluation_seconds) == (run.evaluations, run.evaluation_seconds)
    assert read.curve.skipped == 1


def test_a_long_curve_is_thinned_and_keeps_its_ends(tmp_path: Path) -> None:
    keep(a_run(tmp_path / "a", 3 * MOST_POINTS))
    [read] = load_records(tmp_path)
    assert len(read.curve) <= MOST_POINTS + 1
    assert (read.curve.steps[0], read.curve.steps[-1]) == (1, 3 * MOST_POINTS)


def test_the_newest_runs_are_read_oldest_first(tmp_path: Path) -> None:
    for day in range(1, 10):
        keep(a_run(tmp_path / f"2025-01-0{day}-run"))
    names = [Path(run.facts.out or "").name for run in load_records(tmp_path, most=3)]
    assert names == ["2025-01-07-run", "2025-01-08-run", "2025-01-09-run"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[1, 2]",
        lambda text: "null",
        lambda text: json.dumps({**json.loads(text), "format": 99}),
        lambda text: json.dumps({**json.loads(text), "steps": [1]}),
        lambda text: json.dumps({**json.loads(text), "facts": {}}),
        lambda text: json.dumps({**json.loads(text), "losses": ["x"] * 5}),
        lambda text: "[" * 100_000,
        lambda text: json.dumps({**json.loads(text), "saved": math.inf}),
        lambda text: json.dumps({**json.loads(text), "steps": [], "losses": [], "seconds": []}),
        lambda text: text.replace("tiny", "t\xe9ny"),
    ],
)
def test_a_damaged_record_is_passed_over_and_the_others_are_read(tmp_path: Path, damage: object) -> None:
    keep(a_run(tmp_path / "a"))
    keep(a_run(tmp_path / "b"))
    path = tmp_path / "b" / NAME
    path.write_text(damage(path.read_text()), encoding="latin-1")  # type: ignore[operator]
    assert [Path(run.facts.out or "").name for run in load_records(tmp_path)] == ["a"]


def test_what_can_not_be_written_or_is_not_there_is_no_failure(tmp_path: Path) -> None:
    run = a_run(tmp_path / "a")
    (tmp_path / "a").rmdir()
    keep(run)
    assert load_records(tmp_path / "nowhere") == []
    assert load_records(tmp_path) == []


def test_nothing_is_left_beside_the_record(tmp_path: Path) -> None:
    keep(a_run(tmp_path / "a"))
    assert [path.name for path in (tmp_path / "a").iterdir()] == [NAME]


def test_a_running_run_is_not_written_at_every_save(tmp_path: Path) -> None:
    now = 100.0
    keeper = RunKeeper(lambda: tmp_path, clock=lambda: now)
    run = a_run(tmp_path / "a")
    keeper.keep(run, now=True)
    (tmp_path / "a" / NAME).unlink()
    keeper.keep(run)
    assert not (tmp_path / "a" / NAME).exists()
    keeper.keep(run, now=True)
    assert (tmp_path / "a" / NAME).exists()
