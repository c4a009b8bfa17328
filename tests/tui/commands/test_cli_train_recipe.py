"""`sg-tui train` with teachers, averages and held-out parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_support import exit_code, records

PLAY = "\n\n".join(f"Speaker {i % 7}:\nline {i} of the play, said aloud" for i in range(600)) + "\n"
SIZES = ("--layers", "1", "--heads", "2", "--embd", "16", "--vocab-size", "280", "--context", "16", "--batch-size", "2")
STEPS = ("--steps", "6", "--warmup", "2", "--eval-every", "2", "--save-every", "3", "--sample-every", "0")


@pytest.fixture
def play(tmp_path: Path) -> str:
    (tmp_path / "play.txt").write_text(PLAY)
    return str(tmp_path / "play.txt")


def validations(rows: list[dict[str, Any]]) -> list[float]:
    return [row["val_loss"] for row in rows if "val_loss" in row]


def test_a_student_of_teachers_in_one_command_goes_on_from_any_folder(
    play: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ("train", "--data", play, *SIZES, *STEPS, "--hold-out", "scenes")
    for seed in ("1", "2"):
        records(capsys, *common, "--seed", seed, "--out", f"t{seed}")
    recipe = (
        "--distill", "t1/model,t2/model", "--average", "ema", "--average-half-life", "2", "--optimizer", "muon",
        "--schedule", "wsd", "--weight-decay", "1.5", "--patience", "3",
    )  # fmt: skip
    rows = records(capsys, *common, *recipe, "--out", "student")
    assert len(validations(rows)) == 3
    assert rows[-1] == {"saved": "student/model", "step": 6}
    request = json.loads((tmp_path / "student" / "run.json").read_text("utf-8"))["training"]
    assert request["distill"] == f"{tmp_path}/t1/model,{tmp_path}/t2/model"

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = records(capsys, "train", "--resume", str(tmp_path / "student"), "--data", play, "--hold-out", "scenes")
    assert validations(again) == validations(rows)[-1:]


def test_the_last_tenth_of_the_text_is_not_read_while_something_is_held_out(
    play: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.txt"
    other.write_text(PLAY[: len(PLAY) * 9 // 10] + "~" * (len(PLAY) - len(PLAY) * 9 // 10))
    told = [
        records(capsys, "train", "--data", data, *SIZES, *STEPS, "--hold-out", held, "--out", f"{data}-{held}")
        for held in ("scenes", "train-tail")
        for data in (play, str(other))
    ]
    assert validations(told[0]) == validations(told[1]) != validations(told[2]) == validations(told[3])


def test_what_is_no_choice_is_told_in_a_line(play: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("train", "--data", play, "--schedule", "sine") == 2
    assert "cosine" in capsys.readouterr().err.splitlines()[-1]


def test_a_run_out_of_patience_ends_and_gives_away_its_best_checkpoint(
    play: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    rows = records(capsys, "train", "--data", play, *SIZES, *STEPS, "--lr", "0", "--patience", "1", "--out", str(run))
    assert [row["step"] for row in rows if "val_loss" in row] == [2, 4]  # nothing is learned at a rate of 0
    assert max(row["step"] for row in rows) == 4
    assert rows[-1] == {"saved": str(run / "model"), "step": 2}
