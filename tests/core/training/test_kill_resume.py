"""`sg-tui train`, killed at random moments, goes on and gives the numbers of the uninterrupted run, bit for bit."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
WORDS = [
    "the",
    "king",
    "my",
    "lord",
    "shall",
    "speak",
    "no",
    "more",
    "of",
    "love",
    "and",
    "night,",
    "sorrow?",
]


@dataclass
class Log:
    """What a training said on stdout, by ("step" | "val_loss" | "sample", number of the step)."""

    told: dict[tuple[str, int], Any] = field(default_factory=dict)
    saved: int = 0

    def take(self, line: str) -> None:
        """Add a line. A number that was told before must be the same again."""
        record = json.loads(line)
        step = record.pop("step")
        record.pop("tokens_per_second", None)
        if "saved" in record:
            self.saved = step
            return
        kind = next(name for name in ("loss", "val_loss", "sample") if name in record)
        assert kind != "loss" or step > self.saved  # what was saved is not done again
        assert self.told.setdefault((kind, step), record) == record


def start(folder: Path, *arguments: str, threads: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sg_tui", "train", *arguments, "--json", "--sample-every", "20"]
    return subprocess.Popen(
        [*command, "--threads", str(threads)], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=(folder / "stderr").open("a"),
    )  # fmt: skip


def finish(process: subprocess.Popen[str], log: Log, folder: Path) -> None:
    """Take what a process says until it ends by itself."""
    assert process.stdout is not None
    for line in process.stdout:
        log.take(line)
    assert process.wait(120) == 0, (folder / "stderr").read_text()


def kill_after(process: subprocess.Popen[str], lines: int, delay: float, log: Log) -> None:
    """SIGKILL some time after so many lines; a last line that was cut short is dropped."""
    assert process.stdout is not None
    for _ in range(lines):
        log.take(process.stdout.readline())
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.kill()
    for line in process.stdout:
        if line.endswith("\n"):
            log.take(line)
    process.wait(120)


@pytest.mark.parametrize(
    ("kills", "steps"), [(4, 120), pytest.param(100, 3000, marks=pytest.mark.slow)], ids=["4 kills", "100 kills"]
)
def test_a_killed_training_equals_the_uninterrupted_one(tmp_path: Path, kills: int, steps: int) -> None:
    chance = random.Random(kills)
    text = tmp_path / "text.txt"
    text.write_text("\n".join(" ".join(chance.choices(WORDS, k=8)) for _ in range(300)))
    settings = [
        "--data", str(text), "--steps", str(steps), "--save-every", "4", "--eval-every", "10", "--warmup", "10",
        "--vocab-size", "300", "--layers", "1", "--heads", "2", "--embd", "16", "--context", "16",
        "--batch-size", "3", "--accumulation", "2", "--dropout", "0.2",
    ]  # fmt: skip
    whole, broken = Log(), Log()
    finish(start(tmp_path, *settings, "--out", str(tmp_path / "whole"), threads=1), whole, tmp_path)
    assert len(whole.told) == steps + steps // 10 + steps // 20

    run = tmp_path / "broken"
    killed = 0
    for number in range(kills):
        arguments = ["--resume", str(run)] if number else [*settings, "--out", str(run)]
        process = start(tmp_path, *arguments, threads=1 + number % 2)
        # the first kill mostly comes before the first checkpoint
        lines, delay = (chance.randrange(1, 30), chance.uniform(0, 0.1)) if number else (1, 0)
        kill_after(process, lines, delay, broken)
        killed += process.returncode < 0
    assert killed >= kills - 1
    finish(start(tmp_path, "--resume", str(run), threads=2), broken, tmp_path)

    assert broken == whole
    for name in ("model.safetensors", "vocab.json", "merges.txt"):
        assert (run / "model" / name).read_bytes() == (tmp_path / "whole" / "model" / name).read_bytes()
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]
