"""`sg-tui bench --ablate-each`."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from cli_support import failure, make_model, records, start

from sg_core.gpt2 import GPT2
from sg_core.measure.ablation import ablate_each
from sg_core.network.interventions import Interventions
from sg_tui.cli import main

TEXT = "The lantern of the watch goes up the hill, and all the town is sleeping.\n" * 8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "hill.txt"
    path.write_text(TEXT, "utf-8")
    return str(path)


def mean_loss(model: GPT2, ids: list[int], changes: Interventions) -> float:
    size = model.config.n_ctx
    pieces = [(ids[s : s + size], ids[s + 1 : s + 1 + size]) for s in range(0, len(ids) - 1, size)]
    losses = [model.losses(one[: len(two)], two, interventions=changes) for one, two in pieces]
    return float(np.concatenate(losses).mean())


def test_every_head_and_mlp_is_ranked_by_what_the_text_loses(
    model: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = records(capsys, "bench", "--ablate-each", file, "--model", model)
    loaded = GPT2.from_pretrained(model)
    assert loaded.tokenizer is not None
    ids = loaded.tokenizer.encode(TEXT)
    assert len(ids) > 2 * loaded.config.n_ctx
    assert {(row["layer"], row["head"]) for row in rows} == {(n, head) for n in (0, 1) for head in (0, 1, None)}
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["change"] for row in rows] == sorted((row["change"] for row in rows), reverse=True)
    plain = mean_loss(loaded, ids, Interventions())
    for row in rows:
        nothing = Interventions()
        layer, head = row["layer"], row["head"]
        changes = nothing.scale_mlp(layer, 0.0) if head is None else nothing.scale_head(layer, head, 0.0)
        assert row["part"] == ("mlp" if head is None else "head")
        assert row["tokens"] == len(ids) - 1
        assert row["plain_loss"] == pytest.approx(plain, rel=1e-12)
        assert row["loss"] == pytest.approx(mean_loss(loaded, ids, changes), rel=1e-12)
        assert row["change"] == row["loss"] - row["plain_loss"] != 0.0


def test_a_table_for_people_names_them_as_ablate_reads_them(
    model: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--ablate-each", file, "--model", model, "--tokens", "50"]) == 0
    head, columns, *lines = capsys.readouterr().out.splitlines()
    assert f"on 50 tokens of {file}, loss" in head
    assert columns.split() == ["rank", "muted", "loss", "change"]
    assert {line.split()[1] for line in lines} == {"0.0", "0.1", "0.mlp", "1.0", "1.1", "1.mlp"}
    assert all(line.split()[3][0] in "+-" for line in lines)


def test_reduced_weights_and_faults(model: str, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = records(capsys, "bench", "--ablate-each", file, "--model", model, "--precision", "int8", "--tokens", "20")
    assert len(rows) == 6
    assert {row["precision"] for row in rows} == {"int8"}
    options = ("bench", "--model", model, "--ablate-each")
    assert "no such file" in failure(capsys, 1, *options, str(tmp_path / "none.txt")).lower()
    assert "one precision" in failure(capsys, 2, *options, file, "--precision", "f32,int8")
    (tmp_path / "short.txt").write_text("T", "utf-8")
    assert "at least two" in failure(capsys, 2, *options, str(tmp_path / "short.txt"))


def test_a_stop_ends_it_between_two_passes() -> None:
    model = GPT2.from_pretrained("tinyshakespeare")
    answers = iter([False] * 3 + [True])
    told: list[tuple[int, int]] = []
    rows = ablate_each(model, list(range(20)), progress=lambda *row: told.append(row), cancelled=lambda: next(answers))
    assert len(list(rows)) == 2  # the plain loss, and two of all
    assert told[-1] == (3, 1 + model.config.n_layer * (model.config.n_head + 1))


def test_ctrl_c_prints_what_is_known_and_ends_with_130(model: str, tmp_path: Path) -> None:
    long = tmp_path / "long.txt"
    long.write_text(TEXT * 2000, "utf-8")
    process = start("bench", "--ablate-each", str(long), "--model", model)
    assert process.stderr is not None
    seen = b""
    while b"muting each" not in seen:
        seen += process.stderr.read(4096)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"stopped after" in err
