"""`sg-tui train`."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import TEXT, exit_code, failure, make_model, records, start

from sg_core.errors import CheckpointError
from sg_core.gpt2 import GPT2
from sg_core.training.settings import fine_tuning
from sg_core.training.trainer import Trainer
from sg_tui.cli import main
from sg_tui.library.run_records import load_record

SIZES = ("--layers", "1", "--heads", "2", "--embd", "16", "--vocab-size", "280", "--context", "16", "--batch-size", "2")
SCHEDULE = ("--steps", "6", "--warmup", "2", "--eval-every", "3", "--save-every", "3", "--sample-every", "3")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("text") / "mist.txt"
    path.write_text(TEXT)
    return str(path)


@pytest.fixture
def train(text: str) -> tuple[str, ...]:
    return ("train", "--data", text, *SIZES, *SCHEDULE)


def by_kind(rows: list[dict[str, Any]], kind: str) -> dict[int, Any]:
    return {row["step"]: row[kind] for row in rows if kind in row}


def test_a_run_tells_steps_validations_samples_and_what_it_saved(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    rows = records(capsys, *train, "--out", str(run))
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    assert set(steps[0]) == {"step", "loss", "lr", "grad_norm", "tokens_per_second"}
    assert [row["lr"] for row in steps[:2]] == pytest.approx([1e-3, 2e-3])
    assert list(by_kind(rows, "val_loss")) == [3, 6]
    assert all(isinstance(sample, str) and sample for sample in by_kind(rows, "sample").values())
    saved = [row["saved"] for row in rows if "saved" in row]
    assert saved == [str(run / "step-00000003"), str(run / "step-00000006"), str(run / "model")]
    assert all(Path(folder).is_dir() for folder in saved)

    assert main(["complete", "The", "--model", str(run / "model"), "--max-tokens", "5"]) == 0
    assert capsys.readouterr().out


def test_blocks_are_told_of_if_asked(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = records(capsys, *train, "--out", str(tmp_path / "run"), "--watch", "2")
    looks = [row for row in rows if "layer" in row]
    assert [(row["step"], row["layer"]) for row in looks] == [(2, 0), (4, 0), (6, 0)]
    assert set(looks[0]) == {"step", "layer", "grad_norm", "update_ratio", "dead"}
    assert main([*train, "--out", str(tmp_path / "again"), "--watch", "6"]) == 0
    assert "step 6: block 0  gradient " in capsys.readouterr().out


def test_a_run_leaves_its_curve_for_the_app_which_a_resume_goes_on_with(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    rows = records(capsys, *train, "--out", str(run))
    rows += records(capsys, "train", "--resume", str(run), "--steps", "8", "--sample-every", "8")
    kept = load_record(run)
    assert kept is not None
    assert kept.name == "tiny on mist.txt"
    told = by_kind(rows, "loss")
    assert [*kept.curve.steps] == [*told] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [*kept.curve.losses] == pytest.approx([*told.values()], rel=1e-5)  # as a file keeps them
    assert {one.step: one.text for one in kept.samples} == by_kind(rows, "sample")
    assert [one.step for one in kept.evaluations] == [3, 6, 8]
    assert kept.facts.training.steps == 8


def test_a_run_that_was_killed_goes_on_with_the_curve_of_its_checkpoint(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    records(capsys, *train, "--out", str(run))
    shutil.rmtree(run / "step-00000006")  # as if the kill had come before that save, and after that curve
    records(capsys, "train", "--resume", str(run))
    kept = load_record(run)
    assert kept is not None
    assert [*kept.curve.steps] == [1, 2, 3, 4, 5, 6]


def test_the_exported_model_is_calibrated_if_asked(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = records(capsys, *train, "--out", str(tmp_path / "run"), "--calibrate")
    [found] = [row for row in rows if "calibrated" in row]
    assert found["val_loss_per_char"] <= found["before"]
    exported = GPT2.from_pretrained(tmp_path / "run" / "model").parameters["ln_f.weight"]
    trained = Trainer.resume(tmp_path / "run").model.parameters["ln_f.weight"]
    assert np.allclose(exported, trained * np.float32(found["calibrated"]), rtol=1e-6, atol=0)


def test_a_run_for_people(train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*train, "--out", str(tmp_path / "run"), "--export-dtype", "F16"]) == 0
    out, err = capsys.readouterr()
    assert "step 6/6  loss " in out
    assert "step 3: validation " in out
    assert f"step 6: saved {tmp_path / 'run' / 'model'}" in out
    assert f"sg-tui train --resume {tmp_path / 'run'}" in err
    assert (tmp_path / "run" / "model" / "model.safetensors").stat().st_size < 2.6 * 10_000


def test_without_out_the_run_gets_a_folder_of_its_own(
    train: tuple[str, ...], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        records(capsys, *train)
    runs = list((home / "data" / "runs").iterdir())
    assert len(runs) == 2
    assert all(run.name.endswith("tiny") or run.name.endswith("tiny-2") for run in runs)


def test_ctrl_c_saves_and_resume_goes_on_bit_for_bit(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # more lines than a pipe holds: no delay of this test lets the run reach its end before the signal
    longer = [*train, "--steps", "1000", "--eval-every", "0", "--save-every", "0", "--sample-every", "0"]
    whole = by_kind(records(capsys, *longer, "--out", str(tmp_path / "whole")), "loss")
    run = tmp_path / "run"
    process = start(*longer, "--out", str(run), "--json")
    assert process.stdout is not None
    head = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    before = [json.loads(line) for line in (head + rest).splitlines()]
    assert before[-1]["saved"] == str(run / "model")
    last = before[-1]["step"]
    assert 0 < last < 1000
    after = records(capsys, "train", "--resume", str(run), "--sample-every", "0")
    assert min(by_kind(after, "loss")) == last + 1
    assert by_kind(before, "loss") | by_kind(after, "loss") == whole


def test_a_run_without_a_checkpoint_begins_again(
    train: tuple[str, ...],
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = records(capsys, *train, "--out", str(tmp_path / "whole"))
    run = tmp_path / "run"

    def killed(*arguments: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sg_tui.commands.training_loop.train", killed)
        patch.chdir(Path(text).parent)  # a path is kept as it was meant
        assert main([*train, "--data", Path(text).name, "--out", str(run)]) == 130
    capsys.readouterr()
    rows = records(capsys, "train", "--resume", str(run), "--sample-every", "3")
    assert by_kind(rows, "loss") == by_kind(whole, "loss")
    assert by_kind(rows, "val_loss") == by_kind(whole, "val_loss")


def test_a_resumed_run_keeps_its_data_and_settings(
    train: tuple[str, ...], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    records(capsys, *train, "--out", run)
    assert [row for row in records(capsys, *train, "--resume", run) if "loss" in row] == []  # said again: no difference
    other = tmp_path / "other.txt"
    other.write_text(TEXT[::-1])
    asked = ("--clip", "9", "--embd", "32", "--lr", "0.002", "--data", str(other))
    said = failure(capsys, 2, "train", "--resume", run, *asked)
    assert "clip_norm 1.0, not 9.0; n_embd 16, not 32; its text mist.txt, not" in said
    assert "learning_rate" not in said


def test_a_folder_that_holds_a_run_is_not_overwritten(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    records(capsys, *train, "--out", str(run))
    assert "already holds a run" in failure(capsys, 1, *train, "--out", str(run))
    assert "one checkpoint of a run" in failure(capsys, 2, "train", "--resume", str(run / "step-00000006"))


def test_fine_tuning_keeps_the_models_vocabulary(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = make_model(tmp_path / "model")
    rows = records(
        capsys, "train", "--data", text, "--model", str(model), "--context", "16", "--batch-size", "2", *SCHEDULE,
        "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert len(by_kind(rows, "loss")) == 6
    assert (tmp_path / "run" / "model" / "vocab.json").read_bytes() == (model / "vocab.json").read_bytes()


def test_a_save_that_fails_is_one_line(
    train: tuple[str, ...],
    tmp_path: Path,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sg_core.engine.training_run.RETRIES", (0.0,))

    def save(self: Trainer, folder: Path) -> Path:
        raise CheckpointError("the disk is full")

    monkeypatch.setattr(Trainer, "save", save)
    assert main([*train, "--out", str(tmp_path / "run"), "--json"]) == 1
    out, err = capsys.readouterr()
    assert by_kind([json.loads(line) for line in out.splitlines()], "loss").keys() == {1, 2, 3}
    assert err.endswith("sg-tui train: the disk is full; --resume goes on from the last checkpoint\n")
    assert not list((home / "data" / "runs").iterdir())  # nor does an attempt leave a folder


@pytest.mark.parametrize(
    ("code", "options", "said"),
    [
        (1, ("--data", "/no/such/file"), "/no/such/file can't be read"),
        (1, ("--resume", "/no/such/run"), "no run at /no/such/run"),
        (2, ("--config", "huge"), "invalid choice: 'huge'"),
        (2, ("--model", "x", "--config", "tiny"), "not allowed with"),
        (2, ("--model", "x", "--layers", "3"), "keeps its sizes"),
        (2, ("--lr", "-1"), "learning_rate is -1"),
        (2, ("--dropout", "nan"), "dropout is nan"),
        (2, ("--heads", "3", "--embd", "16"), "n_head = 3"),
        (2, ("--vocab-size", "10"), "vocabulary size is 10"),
    ],
)
def test_bad_input_is_one_line(
    text: str, capsys: pytest.CaptureFixture[str], code: int, options: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    given = () if "--data" in options or "--resume" in options else ("--data", text, "--out", str(tmp_path / "run"))
    assert exit_code("train", *given, *options) == code
    err = capsys.readouterr().err
    assert said in err.splitlines()[-1]
    assert "Traceback" not in err
    assert "goes on with it" not in err  # no promise of a run that never was
    assert not (tmp_path / "run").exists()


def test_fine_tuning_begins_with_the_settings_of_the_app(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model(tmp_path / "model")
    records(
        capsys, "train", "--data", text, "--model", str(model), *SCHEDULE, "--seed", "5", "--out", str(tmp_path / "run")
    )
    asked = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["training"]
    given: dict[str, Any] = {"steps": 6, "warmup_steps": 2, "evaluate_every": 3, "save_every": 3, "seed": 5}
    assert asked == asdict(replace(fine_tuning(GPT2.from_pretrained(model).config.n_ctx), **given))


def test_a_resumed_run_is_changed_from_where_it_is_and_its_log_tells_it(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    records(capsys, *train, "--out", str(run))
    rows = records(capsys, "train", "--resume", str(run), "--steps", "8", "--lr", "9", "--sample-every", "0")
    [event] = [row for row in rows if "event" in row]
    assert event == {"step": 6, "event": "change", "number": 1, "learning_rate": 9.0}
    assert [row["lr"] for row in rows if "loss" in row] == pytest.approx([0.9, 0.9])  # a tenth, behind the schedule
    line = json.loads((run / "events.jsonl").read_text())
    assert line == {"number": 1, "after": 0, "step": 6, "kind": "change", "values": {"learning_rate": 9.0}}

    best = Trainer.resume(run).best_step
    assert best < 8  # such a rate ruins it
    again = ("train", "--resume", str(run), "--steps", "9", "--back-to-best", "--dropout", "0", "--sample-every", "0")
    assert main(again) == 0
    out = capsys.readouterr().out
    assert f"step 8: back to step {best} (line 2 of the run's log)" in out
    assert f"step {best}: dropout 0 (line 3 of the run's log)" in out
    assert (Trainer.resume(run).config.dropout, Trainer.resume(run).step_count) == (0.0, 9)


def test_a_run_that_goes_on_in_another_folder_is_a_fork(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, fork = tmp_path / "run", tmp_path / "fork"
    records(capsys, *train, "--out", str(run))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    records(capsys, "train", "--resume", str(run), "--out", str(fork), "--steps", "8", "--dropout", "0.5")
    log = [json.loads(line) for line in (fork / "events.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["step"]) for line in log] == [("forked", 6), ("change", 6)]
    assert log[0]["values"] == {"folder": str(run)}
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_what_cant_be_done_to_a_run_ends_the_command_before_a_step(
    train: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "name it, --resume DIR" in failure(capsys, 2, *train, "--back-to-best")
    run = tmp_path / "run"
    records(capsys, *train, "--eval-every", "0", "--out", str(run))
    code = exit_code("train", "--resume", str(run), "--steps", "8", "--back-to-best")
    assert code == 1
    assert "nothing was validated yet: there is no best step to go back to" in capsys.readouterr().err
    assert not (run / "events.jsonl").exists()
