"""`sg-tui bench --quality`."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path

import pytest
from cli_support import failure, make_model, records, start

from sg_core.gpt2 import GPT2
from sg_core.measure.quality import measure_quality, validation_text
from sg_tui.cli import main

KEYS = ["model", "precision", "perplexity", "perplexity_ratio", "kl", "nats_per_char", "tokens"]
TEXT = "The lantern of the watch goes up the hill, and all the town is sleeping.\n" * 200


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "hill.txt"
    path.write_text(TEXT, "utf-8")
    return str(path)


def test_every_precision_has_its_row(model: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = records(capsys, "bench", "--quality", "--model", model, "--data", text)
    assert [row["precision"] for row in rows] == ["f32", "bf16", "int8", "w8a8", "int4"]
    assert all(list(row) == KEYS for row in rows)
    loaded = GPT2.from_pretrained(model)
    measured = measure_quality(loaded, ["f32", "bf16", "int8", "w8a8", "int4"], validation_text(loaded, text))
    assert measured is not None
    for row, expected in zip(rows, measured, strict=True):
        assert (row["model"], row["tokens"]) == (model, expected.tokens)
        assert row["perplexity"] == expected.perplexity
        assert row["kl"] == expected.kl
        assert row["perplexity_ratio"] == pytest.approx(row["perplexity"] / rows[0]["perplexity"])
        assert row["nats_per_char"] * len(TEXT) / 10 == pytest.approx(
            math.log(row["perplexity"]) * row["tokens"], rel=0.01
        )


def test_the_precisions_and_the_part_of_the_text_that_are_asked_for(
    model: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--model", model, "--data", text, "--precision", "int8", "--tokens", "100")
    [row] = records(capsys, "bench", "--quality", *options)
    assert (row["precision"], row["tokens"]) == ("int8", 96)  # two windows of 48


def test_a_table_for_people(model: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--quality", "--model", model, "--data", text]) == 0
    out, _ = capsys.readouterr()
    first, head, *rows = out.splitlines()
    assert "windows of 48" in first
    assert "perplexity" in head
    assert [row.split()[0] for row in rows] == ["f32", "bf16", "int8", "w8a8", "int4"]
    assert "+0.000%" in rows[0]
    assert all(len(row) <= 80 for row in (head, *rows))


@pytest.mark.parametrize(
    ("code", "options", "said"),
    [
        (1, ("--data", "nowhere.txt"), "nowhere.txt"),
        (2, ("--precision", "int2"), "precision is 'int2'; choose from f32, bf16, int8, w8a8, int4"),
        (2, ("--tokens", "0"), "0 is not a whole number from 1"),
        (2, ("--with", "lookup"), "not allowed with"),
    ],
)
def test_what_can_not_be_measured_is_one_line(
    model: str, text: str, capsys: pytest.CaptureFixture[str], code: int, options: tuple[str, ...], said: str
) -> None:
    assert said in failure(capsys, code, "bench", "--quality", "--model", model, *options)


def test_random_weights_have_no_quality(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = failure(capsys, 2, "bench", "--quality", "--random", "tiny", "--data", text)
    assert "has no tokenizer files; quality is measured on a text" in said


def test_without_network_and_cache_one_line_says_what_works(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SG_DATASETS", raising=False)
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    said = failure(capsys, 1, "bench", "--quality", "--model", model)
    assert "tinyshakespeare" in said
    assert "--data python-docs" in said


def test_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text(TEXT * 300, "utf-8")
    process = start("bench", "--quality", "--data", str(path), "--json")
    assert process.stderr is not None
    line = b""
    while b"measuring" not in line:
        line = process.stderr.readline()
        assert line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.endswith(b"sg-tui bench: interrupted\n")
    assert b"Traceback" not in err
    assert [json.loads(row) for row in out.splitlines()] == []
