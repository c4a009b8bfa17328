"""Closed and full streams, hostile arguments, damaged kernels: one line, and the right status."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_support import ROOT, TEXT, environment, exit_code, failure, make_model

from sg_core.config import GPT2Config
from sg_core.gpt2 import GPT2
from sg_core.text.vocabulary import learn_vocabulary

COMPLETE = ("complete", "x", "--max-tokens", "3")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_model(tmp_path_factory.mktemp("tiny") / "model"))


def shell(redirection: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`sg-tui` with streams as a shell redirects them."""
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "sg_tui", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment() | variables, capture_output=True, text=True, check=False, timeout=600
    )


def test_closed_standard_output_is_one_line(model: str) -> None:
    done = shell(">&-", *COMPLETE, "--model", model)
    assert (done.returncode, done.stderr) == (1, "sg-tui complete: standard output is closed\n")


def test_full_standard_output_is_one_line(model: str) -> None:
    done = shell(">/dev/full", *COMPLETE, "--model", model)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "sg-tui complete: standard output can't be written: no space left on device"
    )
    assert "Traceback" not in done.stderr


def test_closed_standard_input_is_one_line_where_it_is_wanted(model: str) -> None:
    done = shell("<&-", "complete", "-", "--model", model)
    assert done.returncode == 1
    assert done.stderr.startswith("sg-tui complete: standard input is closed")
    assert done.stderr.count("\n") == 1
    for command in (("score", "-"), ("bench", "--ablate-each", "-"), ("chat",)):
        closed = shell("<&-", *command, "--model", model)
        assert closed.returncode == 1
        assert "standard input is closed" in closed.stderr.splitlines()[-1]
    assert shell("<&-", *COMPLETE, "--model", model).returncode == 0
    assert "needs a terminal" in shell("<&-").stderr


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_narration_that_nobody_hears_stops_nothing(model: str, redirection: str) -> None:
    done = shell(redirection, *COMPLETE, "--model", model)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("command", ["complete", "score"])
def test_an_input_without_an_end_is_refused_before_it_fills_the_memory(model: str, command: str) -> None:
    done = shell("</dev/zero", command, "-", "--model", model)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"sg-tui {command}: standard input has more than 67,108,864 bytes")


def test_a_text_that_no_terminal_can_send_is_refused(model: str) -> None:
    assert exit_code("complete", "x", "--model", model, "--stop", "a\udcff") == 2


def test_all_streams_closed_is_a_status(model: str) -> None:
    assert shell(">&- 2>&- <&-", *COMPLETE, "--model", model).returncode == 1
    assert shell(">&- 2>&- <&-", "models", "--wrong").returncode == 2


@pytest.mark.parametrize("arguments", [("--x\x1b[31m",), ("models", "--x\x1b[31m"), ("\x1b]0;x\x07",)])
def test_wrong_arguments_are_told_harmlessly(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    line = failure(capsys, 2, *arguments)
    assert not set("\x1b\x07") & set(line)


IMPOSSIBLE = ["x" * 300, "a/" * 3000, "nul\0", "~nobody-is-called-so/x", "none\udcff", "/no\x1b[31m"]
NAMED = [
    ("complete", "x", "--model", "{}"),
    ("complete", "x", "--adapter", "{}"),
    ("chat", "--model", "{}"),
    ("score", "{}"),
    ("score", "README.md", "--compare", "{}"),
    ("bench", "--model", "{}"),
    ("bench", "--ablate-each", "{}"),
    ("train", "--data", "{}"),
    ("train", "--model", "{}"),
    ("train", "--resume", "{}"),
    ("train", "--resume", "README.md", "--out", "{}"),
    ("models", "path", "{}"),
    ("models", "pull", "{}"),
    ("models", "remove", "{}"),
    ("models", "merge", "{}", "x", "y"),
]


@pytest.mark.parametrize("arguments", NAMED, ids=" ".join)
def test_any_name_of_a_file_gives_one_short_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    for name in IMPOSSIBLE:
        line = failure(capsys, 1, *(name if part == "{}" else part for part in arguments))
        assert line.isprintable()
        assert "internal error" not in line
        assert len(line) < 600


VALUED = [
    ("--precision", "{}"),
    ("--without", "{}"),
    ("--ablate", "{}"),
    ("--seed", "{}"),
    ("--temperature", "{}"),
    ("--adapter", "x:{}"),
    ("--{}",),
]


@pytest.mark.parametrize("arguments", VALUED, ids=" ".join)
def test_any_value_of_an_option_gives_one_short_line(
    model: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    for value in ("x" * 9000, "\x1b[31m", "-", "9" * 5000, "nul\0"):
        assert exit_code("complete", "x", "--model", model, *(one.format(value) for one in arguments)) in (1, 2)
        [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sg-tui")]
        assert line.isprintable()
        assert "internal error" not in line
        assert len(line) < 700


def test_names_of_files_are_told_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in failure(capsys, 1, "complete", "x", "--model", "/\x1b[31m/none")


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8", "int4"])
def test_damaged_weights_are_named_and_give_no_text(tmp_path: Path, precision: str) -> None:
    model = GPT2.random(GPT2Config(vocab_size=300, n_ctx=32, n_layer=1, n_head=2, n_embd=32))
    model.tokenizer = learn_vocabulary(TEXT, 290)
    model.parameters["h.0.mlp.c_proj.weight"][3, 4] = np.nan
    model.save_pretrained(tmp_path / "damaged")
    done = shell("", *COMPLETE, "--model", str(tmp_path / "damaged"), "--precision", precision)
    assert (done.returncode, done.stdout) == (1, "")
    told = [line for line in done.stderr.splitlines() if not line.startswith(("compiling", "loading"))]
    assert len(told) == 2
    assert "1 tensors hold NaN or infinite numbers, first transformer.h.0.mlp.c_proj.weight" in told[0]
    assert told[1].startswith("sg-tui complete: ")
    assert "its weights are damaged" in told[1]


def test_without_compilation_there_is_one_line(model: str) -> None:
    done = shell("", *COMPLETE, "--model", model, NUMBA_DISABLE_JIT="1")
    assert done.returncode == 1
    assert done.stderr == ("sg-tui complete: NUMBA_DISABLE_JIT is set, and there are compiled kernels only; unset it\n")


def test_damaged_kernels_are_compiled_again_told_in_one_line_and_kept(model: str, tmp_path: Path) -> None:
    """One small kernel is damaged: the others need not be compiled for this."""
    folder = tmp_path / "kernels"
    shutil.copytree(environment()["NUMBA_CACHE_DIR"], folder)
    for path in folder.glob("ranking.*"):
        path.write_bytes(b"")
    shared = {"NUMBA_CACHE_DIR": str(folder)}
    before = shell("", "doctor", **shared)
    assert "1 damaged there" in before.stdout
    first, second = (shell("", *COMPLETE, "--model", model, **shared) for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert first.stdout == second.stdout
    assert first.stderr.count(f"compiled kernels in {folder} are damaged; they are compiled again") == 1
    assert "compiled kernels" not in second.stderr
    after = shell("", "doctor", **shared)
    assert "damaged there" not in after.stdout
    assert "compiled and verified" in after.stdout


def test_doctor_says_that_kernels_can_not_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = shell("", "doctor", NUMBA_CACHE_DIR=str(tmp_path / "file" / "kernels"))
    [line] = [line for line in done.stdout.splitlines() if line.startswith("kernels")]
    assert "not compiled yet" in line
    assert "nothing can be written there (not a directory): new ones stay in memory only" in line


def test_damaged_weights_are_not_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_model(tmp_path / "model")
    damaged = GPT2.from_pretrained(str(folder))
    damaged.parameters["h.0.attn.c_attn.weight"][3, 1] = np.inf
    damaged.save_pretrained(folder)
    (tmp_path / "text.txt").write_text(TEXT * 20)
    run = tmp_path / "run"
    told = failure(capsys, 1, "train", "--model", str(folder), "--data", str(tmp_path / "text.txt"), "--out", str(run))
    assert "first transformer.h.0.attn.c_attn.weight; its weights are damaged: train another copy of it" in told
    assert not run.exists()
