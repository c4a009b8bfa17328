"""`sg-tui train` when the machine around it fails: signals, pipes, disks, and runs that others made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from cli_support import TEXT, exit_code, failure, records, start

from sg_core.errors import CheckpointError
from sg_core.storage.lock import lock_run
from sg_core.training.trainer import Trainer
from sg_tui.cli import main

SIZES = ("--layers", "1", "--heads", "2", "--embd", "16", "--vocab-size", "280", "--context", "16", "--batch-size", "2")
QUIET = ("--warmup", "2", "--eval-every", "0", "--save-every", "0", "--sample-every", "0")


@pytest.fixture
def train(tmp_path: Path) -> tuple[str, ...]:
    path = tmp_path / "mist.txt"
    path.write_text(TEXT)
    return ("train", "--data", str(path), *SIZES, *QUIET)


def steps(rows: list[dict[str, Any]]) -> dict[int, float]:
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_the_exit_code_tells_it(train: tuple[str, ...], tmp_path: Path, number: int) -> None:
    run = tmp_path / "run"
    process = start(*train, "--steps", "1000000", "--out", str(run), "--json")
    assert process.stdout is not None
    head = process.stdout.readline()
    process.send_signal(number)
    rest, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    last = max(steps(lines(head + rest)))
    assert (run / f"step-{last:08d}").is_dir()
    assert not (run / "training.lock").exists()


def test_a_pipe_that_is_closed_loses_no_step(train: tuple[str, ...], tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(*train, "--steps", "1000000", "--out", str(run), "--json")
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read().decode()
    assert process.wait(120) == 0
    assert f"--resume goes on from {run}" in err
    (saved,) = run.glob("step-*")
    assert int(saved.name[5:]) >= 3


def test_a_save_that_fails_where_nobody_watches_goes_to_another_folder(
    train: tuple[str, ...],
    tmp_path: Path,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = steps(records(capsys, *train, "--steps", "6", "--out", str(tmp_path / "whole")))
    monkeypatch.setattr("sg_core.engine.training_run.RETRIES", (0.0,))
    save = Trainer.save

    def full(self: Trainer, folder: Path) -> Path:
        if folder == tmp_path / "run":
            raise CheckpointError("no space left on device")
        return save(self, folder)

    monkeypatch.setattr(Trainer, "save", full)
    assert main([*train, "--steps", "6", "--save-every", "2", "--out", str(tmp_path / "run"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert steps([json.loads(line) for line in out.splitlines()]) == whole
    (rescued,) = (home / "data" / "runs").iterdir()
    assert f"the run is kept in {rescued} from here on" in err
    assert (rescued / "step-00000006").is_dir()
    assert (rescued / "model").is_dir()


def test_a_finished_run_goes_on_at_the_rate_it_ended_with(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    before = records(capsys, *train, "--steps", "4", "--lr", "0.002", "--out", run)
    assert main(["train", "--resume", run, "--sample-every", "0", "--steps", "9", "--json"]) == 0
    out, err = capsys.readouterr()
    after = [json.loads(line) for line in out.splitlines()]
    assert list(steps(after)) == [5, 6, 7, 8, 9]
    assert "until step 4, then stays at 0.0002" in err
    rates = [row["lr"] for row in after if "loss" in row]
    assert rates == pytest.approx([0.0002] * 5)
    assert [row["lr"] for row in before if "loss" in row][-1] > 0.0002
    assert "4 already: give more" not in err
    assert "the run is at step 9 already" in failure(capsys, 2, "train", "--resume", run, "--steps", "5")


def test_going_on_in_parts_equals_going_on_at_once(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for name, ends in (("parts", (5, 8, 12)), ("once", (12,))):
        run = str(tmp_path / name)
        told = steps(records(capsys, *train, "--steps", "3", "--dropout", "0.2", "--out", run))
        for end in ends:
            told |= steps(records(capsys, "train", "--resume", run, "--sample-every", "0", "--steps", str(end)))
        found.append(told)
    assert found[0] == found[1]
    assert len(found[0]) == 12


def test_a_schedule_that_ends_at_nothing_cannot_go_on(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    records(capsys, *train, "--steps", "3", "--final-lr-fraction", "0", "--out", run)
    assert "ends at 0 with step 3" in failure(capsys, 2, "train", "--resume", run, "--steps", "9")


def test_a_finished_run_says_how_it_goes_on(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    records(capsys, *train, "--steps", "3", "--out", run)
    assert main(["train", "--resume", run]) == 0
    assert "finished at step 3; --steps N" in capsys.readouterr().err


def test_two_processes_do_not_train_one_run(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    records(capsys, *train, "--steps", "3", "--out", str(run))
    lock = lock_run(run)
    assert lock is not None
    for arguments in (("train", "--resume", str(run)), (*train, "--out", str(run))):
        said = failure(capsys, 1, *arguments)
        assert f"{run} is being trained by process {os.getpid()}" in said
    lock.release()


def test_a_refusal_leaves_a_folder_as_it_was(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    assert exit_code(*train, "--out", str(folder), "--lr", "-1") == 2
    assert exit_code("train", "--data", "/no/such/file", "--out", str(folder)) == 1
    capsys.readouterr()
    assert list(folder.iterdir()) == []


LONG = ["x" * 300, "~nobody-is-called-so/x", "a/" * 3000, "\\u0000", "\\ud800"]
CRAFTED = [
    "{}",
    "[]",
    '{"format": 1}',
    '{"format": "\\u001b[2J"}',
    '{"format": 1, "data": 3, "model": null, "config": {}, "training": {}}',
    '{"format": 1, "data": "x", "model": {}, "config": null, "training": {}}',
    '{"format": 1, "data": "x", "model": null, "config": null, "training": {}}',
    '{"format": 1, "data": "x", "model": null, "config": {"\\u001b[31mred": 1}, "training": {}}',
    '{"format": 1, "data": "x", "model": null, "config": {"n_layer": 1e99}, "training": {}}',
    '{"format": 1, "data": "x", "model": null, "config": {}, "training": {"\\u001b]0;x\\u0007": 1}}',
    '{"format": 1, "data": "x", "model": null, "config": {}, "training": []}',
    '{"format": 1, "data": "\\u0000", "model": null, "config": {}, "training": {}}',
    '{"format": 1, "data": "\\u001b[2J", "model": null, "config": {}, "training": {}}',
    f'{{"format": "{"x" * 5000}"}}',
    *(
        request.replace("NAME", name)
        for name in LONG
        for request in (
            '{"format": 1, "data": "NAME", "model": null, "config": {}, "training": {}}',
            '{"format": 1, "data": "x", "model": "NAME", "config": null, "training": {}}',
            '{"format": 1, "data": "x", "model": null, "config": {}, "training": {"hold_out": "NAME"}}',
            '{"format": 1, "data": "x", "model": null, "config": {}, "training": {"distill": "NAME"}}',
        )
    ),
]


@pytest.mark.parametrize("request_", CRAFTED, ids=range(len(CRAFTED)))
def test_a_crafted_request_is_one_harmless_line(
    request_: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.json").write_text(request_)
    said = failure(capsys, 1, "train", "--resume", str(tmp_path))
    assert "internal error" not in said
    assert said.isprintable()
    assert len(said) < 700


def test_narration_on_a_terminal_that_is_gone_loses_nothing(train: tuple[str, ...], tmp_path: Path) -> None:
    run = tmp_path / "run"
    read, write = os.pipe()
    process = start(*train, "--steps", "1000000", "--out", str(run), "--json", stderr=write)
    os.close(write)
    assert process.stdout is not None
    process.stdout.readline()
    os.close(read)  # what is told on stderr goes nowhere from here on
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait(120) == 128 + signal.SIGTERM
    assert list(run.glob("step-*"))


def test_progress_in_a_log_comes_at_most_once_a_second(train: tuple[str, ...], tmp_path: Path) -> None:
    begun = time.monotonic()
    process = start(
        *train, "--save-every", "1", "--steps", "40", "--out", str(tmp_path / "run"), stdout=subprocess.DEVNULL
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert err.decode().count("saving") <= time.monotonic() - begun + 1
