"""`sg-tui bench`."""

from __future__ import annotations

import csv
import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from cli_support import failure, make_model, records, start

from sg_core.kernels.bandwidth import ReadBandwidth
from sg_core.network.optimizations import Optimizations
from sg_tui.cli import main

KEYS = [
    "model", "precision", "threads", "optimizations", "tokens", "ms_per_token", "mean", "min", "max",
    "tokens_per_second", "gb_per_second", "bound_ms", "ratio_to_bound", "peak_rss_mb",
]  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(autouse=True)
def rate(monkeypatch: pytest.MonkeyPatch) -> float:
    """A bound without reading memory."""

    def measure(self: ReadBandwidth, size: int) -> float:
        self.bytes_per_second = 10e9
        return self.bytes_per_second

    monkeypatch.setattr(ReadBandwidth, "measure", measure)
    return 10e9


def switches(row: dict[str, Any]) -> str:
    return "".join(str(int(row["optimizations"][name])) for name in Optimizations.names())


def test_one_row_with_all_on(model: str, capsys: pytest.CaptureFixture[str], rate: float) -> None:
    [row] = records(capsys, "bench", "--model", model, "--tokens", "5", "--threads", "2")
    assert list(row) == KEYS
    assert (row["model"], row["precision"], row["threads"], row["tokens"]) == (model, "f32", 2, 5)
    assert switches(row) == "111111100"
    assert row["min"] <= row["ms_per_token"] <= row["max"]
    assert row["tokens_per_second"] == pytest.approx(1000 / row["ms_per_token"])
    assert row["ratio_to_bound"] == pytest.approx(row["ms_per_token"] / row["bound_ms"])
    assert row["gb_per_second"] * row["ratio_to_bound"] == pytest.approx(rate / 1e9)


def test_the_ladder_is_two_tables(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = records(capsys, "bench", "--model", model, "--tokens", "4", "--ladder")
    original = [row for row in rows if row["table"] == "original"]
    later = [row for row in rows if row["table"] == "later edition"]
    assert [switches(row) for row in original] == ["000000000", "110100000", "110110000", "111100000", "111110000"]
    assert [switches(row) for row in later] == [
        "000000000", "100000000", "110000000", "111000000", "111100000", "111101000", "111101100", "111111100",
    ]  # fmt: skip
    assert original[0]["ms_per_token"] == later[0]["ms_per_token"]  # measured once
    for table in (original, later):
        for row in table:
            assert row["speed_up"] == pytest.approx(table[0]["ms_per_token"] / row["ms_per_token"])


def test_rows_as_comma_separated_values(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--model", model, "--tokens", "2", "--ladder", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 13
    assert list(rows[0])[3:5] == ["optimizations.kv_cache", "optimizations.linear"]
    assert [row["optimizations.gelu_table"] for row in rows[:5]] == ["False", "False", "True", "False", "True"]
    assert float(rows[0]["ms_per_token"]) > 0
    assert rows[0]["speed_up"] == "1.0"


def test_the_ladder_for_people(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--model", model, "--tokens", "2", "--ladder"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert all(len(line) <= 80 for line in lines if line[:1] in "1.")
    assert [line.split()[0] for line in lines if line.startswith((".", "1"))].count(".........") == 2
    assert "1 kv_cache 2 linear" in out
    assert "at 10.0 GB/s" in out
    assert "which no figure contains" in err


def test_several_precisions_have_a_bound_each(model: str, capsys: pytest.CaptureFixture[str], rate: float) -> None:
    rows = records(capsys, "bench", "--random", "tiny", "--tokens", "3", "--precision", "f32,bf16, int8,int4")
    assert [row["precision"] for row in rows] == ["f32", "bf16", "int8", "int4"]
    f32, bf16, int8, int4 = (row["bound_ms"] for row in rows)
    assert bf16 == pytest.approx(f32 / 2, rel=0.02)  # biases and norms stay float32
    assert int8 == pytest.approx(f32 / 4, rel=0.07)
    assert int4 == pytest.approx(f32 * 5 / 32, rel=0.07)
    for row in rows:
        assert row["gb_per_second"] == pytest.approx(row["bound_ms"] * rate / 1e9 / row["ms_per_token"])


def test_precisions_are_compared_with_the_first(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--model", model, "--tokens", "3", "--precision", "bf16,int8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (bf16, int8) = [line.split() for line in lines if line.startswith("1234567.")]
    assert bf16[7] == "1.00"
    assert float(int8[7]) == pytest.approx(float(bf16[1]) / float(int8[1]), rel=0.2)  # all are rounded
    assert [line for line in lines if "MB of weights" in line]


def test_lookup_is_measured_by_its_mean(capsys: pytest.CaptureFixture[str]) -> None:
    [row] = records(capsys, "bench", "--random", "tiny", "--tokens", "40", "--with", "lookup")
    assert switches(row) == "111111110"
    assert row["min"] < row["ms_per_token"] <= row["mean"]  # all that passed holds what the tokens took


def test_all_combinations(capsys: pytest.CaptureFixture[str]) -> None:
    rows = records(capsys, "bench", "--random", "tiny", "--tokens", "1", "--all")
    assert len({switches(row) for row in rows}) == len(rows) == 128


def test_random_weights_need_no_download(capsys: pytest.CaptureFixture[str]) -> None:
    [row] = records(capsys, "bench", "--random", "tiny", "--tokens", "2")
    assert row["model"] == "tiny (random weights)"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--precision", "f32,f64"), "precision is 'f64'"),
        (("--precision", ","), "--precision names none"),
        (("--with", "speed"), "'speed' is unknown; choose from kv_cache"),
        (("--with", "lookup", "--ladder"), "not allowed with"),
        (("--quality", "--all"), "not allowed with"),
        (("--quality", "--csv"), "--csv is for rows of times"),
        (("--json", "--csv"), "not allowed with"),
        (("--tokens", "0"), "0 is not a whole number from 1"),
        (("--tokens", "49"), "tokens is 49; it must be a whole number from 1 to 48"),
        (("--all", "--ladder"), "not allowed with"),
        (("--random", "gpt2"), "not allowed with"),
    ],
)
def test_bad_input_is_one_line(
    model: str, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert said in failure(capsys, 2, "bench", "--model", model, *options)


def test_a_size_that_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert "invalid choice: 'gpt3'" in failure(capsys, 2, "bench", "--random", "gpt3")


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    process = start("bench", "--random", "tinyshakespeare", "--all", "--tokens", "100", "--json")
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.endswith(b"sg-tui bench: interrupted\n")
    assert b"Traceback" not in err
    rows = [json.loads(line) for line in (first + rest).splitlines()]
    assert 1 <= len(rows) < 128


def test_a_race_prints_a_line_a_token_and_its_end(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "--model", model, "--tokens", "12", "--threads", "1", "--race", "f32", "f32-kv_cache-gelu"]
    *laps, end = records(capsys, *command)
    assert [lap["token"] for lap in laps] == list(range(1, 13))
    assert all(lap["logit_difference"] == 0.0 and lap["left_text"] == lap["right_text"] for lap in laps)
    assert (end["left"], end["right"], end["tokens"], end["pairs"]) == ("f32", "f32-kv_cache-gelu", 12, 11)
    assert end["low"] <= end["speed_up"] <= end["high"]
    assert (end["first_difference"], end["largest_logit_difference"]) == (None, 0.0)
    assert main(command) == 0
    assert "the same 12 tokens" in capsys.readouterr().out


def test_a_race_of_a_setting_that_is_none_is_refused(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing" in failure(capsys, 2, "bench", "--model", model, "--race", "f32", "f32-nothing")
