"""`sg-tui train --plan` and `--find-lr`: told before a run, which they neither begin nor change."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_support import TEXT, failure, records

from sg_core.training.settings import PRESETS
from sg_tui.cli import main

SIZES = ("--layers", "1", "--heads", "2", "--embd", "16", "--vocab-size", "280", "--context", "16", "--batch-size", "2")


@pytest.fixture
def train(tmp_path: Path) -> tuple[str, ...]:
    path = tmp_path / "mist.txt"
    path.write_text(TEXT)
    return ("train", "--data", str(path), *SIZES, "--steps", "6", "--eval-every", "3", "--sample-every", "0")


def files(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_plan_tells_memory_time_and_sizes_and_begins_no_run(
    train: tuple[str, ...], home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [row] = records(capsys, *train, "--plan", "--out", str(tmp_path / "run"))
    plan = row["plan"]
    assert plan["memory"] == sum(size for name, size in plan.items() if name.startswith("memory_"))
    assert (plan["steps"], plan["validations"]) == (6, 2)
    assert plan["seconds"] == pytest.approx((6 * plan["step_ms"] + 2 * plan["validation_ms"]) / 1e3)
    assert plan["result"] == 4 * plan["parameters"]

    assert main([*train, "--plan"]) == 0
    memory, time, result = capsys.readouterr().out.splitlines()
    assert memory.startswith("memory  ")
    assert "that are free: weights " in memory
    assert "6 steps of " in time
    assert "OUT/model " in result
    assert not (tmp_path / "run").exists()
    assert not list((home / "data" / "runs").glob("*"))


def test_a_learning_rate_is_suggested_and_the_run_that_goes_on_is_untouched(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    records(capsys, *train, "--out", str(run))
    before = files(run)
    *trials, last = records(capsys, "train", "--resume", str(run), "--find-lr")
    assert len(trials) > 10
    assert set(trials[0]) == {"lr", "loss", "smoothed"}
    assert last["suggested_lr"] == pytest.approx(min(trials, key=lambda one: one["smoothed"])["lr"] / 10)

    assert main([*train, "--find-lr"]) == 0
    out = capsys.readouterr().out
    assert "suggested: --lr " in out
    assert "a tenth of the rate with the lowest smoothed loss" in out
    assert files(run) == before


def test_recomputing_takes_less_memory_and_gives_the_same_losses(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options: tuple[tuple[str, ...], ...] = ((), ("--recompute",))
    train = (*train, "--layers", "3")
    kept, computed = (
        [row["loss"] for row in records(capsys, *train, *option, "--out", str(tmp_path / str(number))) if "loss" in row]
        for number, option in enumerate(options)
    )
    assert kept == computed
    sizes = [records(capsys, *train, "--plan", *option)[0]["plan"] for option in options]
    assert sizes[0]["memory_activations"] > sizes[1]["memory_activations"]


def test_one_thing_is_told_at_a_time(train: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert "not allowed with argument" in failure(capsys, 2, *train, "--plan", "--find-lr")


def test_sizes_are_listed_once(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("train", "bench"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        words = capsys.readouterr().out.replace(",", " ").split()
        assert [words.count(name) >= 1 for name in PRESETS] == [True] * len(PRESETS)
        assert words.count("gpt2-xl") == 1
