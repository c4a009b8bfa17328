"""`mpiexec -n R sg-tui train` in real processes, where there are mpi4py and a launcher: the extra "test" has both."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_support import TEXT, environment, failure, hear_ctrl_c, records

from sg_core.training.trainer import Trainer

LAUNCHER = shutil.which("mpiexec", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
needs_mpi = pytest.mark.skipif(
    LAUNCHER is None or importlib.util.find_spec("mpi4py") is None,
    reason="there is no MPI: pip install 'sg-tui[mpi]' mpich",
)
SETTINGS = (
    "--layers", "2", "--heads", "2", "--embd", "16", "--vocab-size", "280", "--context", "16", "--batch-size", "8",
    "--warmup", "2", "--eval-every", "3", "--save-every", "3", "--sample-every", "3", "--dropout", "0.2", "--json",
)  # fmt: skip
ENDLESS = ("--steps", "1000000", "--eval-every", "0", "--sample-every", "0")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("text") / "mist.txt"
    path.write_text(TEXT)
    return str(path)


def launch(size: int, *arguments: str, program: tuple[str, ...] = ("-m", "sg_tui", "train")) -> subprocess.Popen[bytes]:
    """That many processes of `sg-tui train`."""
    assert LAUNCHER is not None
    return subprocess.Popen(
        [LAUNCHER, "-n", str(size), sys.executable, *program, *arguments],
        env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        bufsize=0, preexec_fn=hear_ctrl_c,
    )  # fmt: skip


def told(out: bytes) -> list[dict[str, Any]]:
    """The JSON lines of a run, without what differs from one to the next; a launcher may tell things of its own."""
    lines = [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]
    kept = [{name: value for name, value in line.items() if name != "tokens_per_second"} for line in lines]
    return [{**line, "saved": Path(line["saved"]).name} if "saved" in line else line for line in kept]


def done(process: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    return told(out)


def model(run: Path) -> str:
    return hashlib.sha256((run / "model" / "model.safetensors").read_bytes()).hexdigest()


def saved_step(run: Path, at_least: int) -> int:
    """Waits for a checkpoint."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        steps = [int(path.name.removeprefix("step-")) for path in run.glob("step-*")]
        if max(steps, default=0) >= at_least:
            return max(steps)
        time.sleep(0.05)
    raise AssertionError(f"no checkpoint of step {at_least}")


def processes(run: Path) -> Iterator[tuple[int, int]]:
    """(rank, process number) of those that train into a folder."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().split(b"\0")
            variables = dict(one.split(b"=", 1) for one in (path / "environ").read_bytes().split(b"\0") if b"=" in one)
        except OSError:
            continue
        rank = variables.get(b"PMI_RANK", variables.get(b"OMPI_COMM_WORLD_RANK"))
        if rank is not None and str(run).encode() in command and command[1] == b"-m":
            yield int(rank), int(path.name)


@needs_mpi
def test_as_many_slots_give_the_same_run_with_and_without_mpi_and_in_any_number_of_processes(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = records(
        capsys, "train", "--data", text, *SETTINGS, "--steps", "6", "--slots", "8", "--out", str(tmp_path / "0")
    )
    alone = told("\n".join(map(json.dumps, rows)).encode())
    assert [line["step"] for line in alone if "loss" in line] == [1, 2, 3, 4, 5, 6]
    for size in (1, 2, 4):
        out = tmp_path / str(size)
        # the launcher's runs have 8 slots where nobody says otherwise
        assert done(launch(size, "--data", text, *SETTINGS, "--steps", "6", "--out", str(out))) == alone
        assert model(out) == model(tmp_path / "0")
        assert json.loads((out / "run.json").read_text())["training"]["slots"] == 8


@needs_mpi
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc, which is not there")
def test_a_killed_run_goes_on_in_another_number_of_processes(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    process = launch(4, "--data", text, *SETTINGS, *ENDLESS, "--out", str(run))
    saved_step(run, 3)
    os.kill(dict(processes(run))[2], signal.SIGKILL)  # any but the first
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert not dict(processes(run))
    trainer = Trainer.resume(run)
    step = trainer.step_count
    assert step % 3 == 0
    end = ("--steps", str(step + 3), "--sample-every", "0", "--json")
    shutil.copytree(run, tmp_path / "other")
    two = done(launch(2, "--resume", str(run), *end))
    one = told("\n".join(map(json.dumps, records(capsys, "train", "--resume", str(tmp_path / "other"), *end))).encode())
    assert two == one
    assert [line["step"] for line in two if "loss" in line] == [step + 1, step + 2, step + 3]


@needs_mpi
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc, which is not there")
@pytest.mark.parametrize("whom", ["the launcher", "one process"])
def test_a_signal_saves_and_stops_all_processes(whom: str, text: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = launch(2, "--data", text, *SETTINGS, *ENDLESS, "--save-every", "0", "--out", str(run))
    assert process.stdout is not None
    head = process.stdout.readline()
    if whom == "the launcher":
        process.send_signal(signal.SIGINT)
    else:
        os.kill(dict(processes(run))[1], signal.SIGTERM)
    rest, err = process.communicate(timeout=120)
    lines = told(head + rest)
    assert lines[-1]["saved"] == "model", err.decode()
    assert b"Traceback" not in err
    assert process.returncode == (130 if whom == "the launcher" else 143)
    assert Trainer.resume(run).step_count == max(line["step"] for line in lines if "loss" in line)


@needs_mpi
def test_a_process_that_fails_ends_all_with_one_line(text: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    program = tmp_path / "failing.py"
    program.write_text(
        "import os, sys\n"
        "from sg_core.training.trainer import Trainer\n"
        "from sg_tui.cli import main\n"
        "step = Trainer.step\n"
        "def fail(self, rate=None):\n"
        "    if self.ranks.rank == 1 and self.step_count == 4:\n"
        "        raise MemoryError\n"
        "    return step(self, rate)\n"
        "Trainer.step = fail\n"
        "sys.exit(main())\n"
    )
    process = launch(2, "train", "--data", text, *SETTINGS, *ENDLESS, "--out", str(run), program=(str(program),))
    _, err = process.communicate(timeout=120)
    assert process.returncode not in (0, None)
    said = [line for line in err.decode().splitlines() if line.startswith("sg-tui train:")]
    assert len(said) == 1
    assert "process 2 of 2: not enough memory" in said[0]
    assert said[0].endswith("--resume goes on from the run's last checkpoint")
    assert b"Traceback" not in err
    assert Trainer.resume(run).step_count == 3


@needs_mpi
def test_what_is_refused_is_told_once(text: str, tmp_path: Path) -> None:
    process = launch(2, "--data", text, *SETTINGS, "--batch-size", "12", "--out", str(tmp_path / "run"))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert out == b""
    assert [line for line in err.decode().splitlines() if "sg-tui" in line] == [
        "sg-tui train: batch_size is 12, which 8 slots don't divide: take 8 or 16, or an accumulation that they divide"
    ]


@pytest.mark.parametrize("rank", [0, 1])
def test_without_mpi4py_the_first_process_says_what_to_install(
    rank: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PMI_RANK", str(rank))
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    arguments = ("train", "--data", text, "--out", str(tmp_path / "run"))
    if rank:
        from sg_tui.cli import main

        assert main(arguments) == 1
        assert capsys.readouterr().err == ""
    else:
        said = failure(capsys, 1, *arguments)
        assert "mpi4py is not installed: pip install 'sg-tui[mpi]'" in said
    assert not (tmp_path / "run").exists()
