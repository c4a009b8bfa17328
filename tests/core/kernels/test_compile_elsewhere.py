"""Kernels compile for every system and processor that there are wheels of Numba for, and ask for nothing it has not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compile_elsewhere import TARGETS

PROGRAM = Path(__file__).parents[1] / "compile_elsewhere.py"
CLOCKS = {"linux": "clock_gettime", "darwin": "clock_gettime", "win32": "QueryPerformanceCounter"}


def compiled(target: str, *entries: str) -> list[dict[str, Any]]:
    command = [sys.executable, str(PROGRAM), target, *entries]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROGRAM.parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("target", ["windows-avx512", "macos"])
def test_an_entry_of_all_threads_asks_for_the_systems_own_clock_and_computes_with_vectors(target: str) -> None:
    [code] = compiled(target, "add_entry")
    assert CLOCKS[TARGETS[target].system] in code["names"]
    assert code["missing"] == []
    assert code["additions"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_all_entries_compile_for_every_platform(target: str) -> None:
    codes = compiled(target)
    assert [code for code in codes if code["missing"]] == []
    products = {code["entry"] for code in codes if code["multiply_adds"]}
    assert products >= {"forward", "loss_forward", "backward"}
