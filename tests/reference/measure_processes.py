"""What a second process brings to a training: the shipped model's size, one thread a process, in turns.

python tests/reference/measure_processes.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 5
STEPS = 40
SETTINGS = ("--config", "tinyshakespeare", "--slots", "8", "--eval-every", "0", "--save-every", "0", "--threads", "1")


def tokens_per_second(processes: int, folder: Path) -> float:
    """The median over the steps of a short run, without the first ones."""
    command = [
        "mpiexec", "-n", str(processes), sys.executable, "-m", "sg_tui", "train", *SETTINGS,
        "--sample-every", "0", "--steps", str(STEPS), "--json", "--out", str(folder),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return statistics.median(float(line["tokens_per_second"]) for line in lines[STEPS // 4 :] if "loss" in line)


def main() -> None:
    """Print the pace of one process and of two, and the ratio, of each round and in the median."""
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            one, two = (tokens_per_second(count, Path(folder) / f"{number}-{count}") for count in (1, 2))
            ratios.append(two / one)
            print(f"1 process {one:,.0f} tokens/s, 2 processes {two:,.0f}: {two / one:.2f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
