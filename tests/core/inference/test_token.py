"""One Token, made where it is chosen and light enough for those who only show it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_there_is_one_token_and_one_result_of_each_kind() -> None:
    found = [
        (node.name, path.relative_to(ROOT).as_posix())
        for folder in ("sg_core", "sg_tui")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and node.name in ("Token", "StepResult", "Evaluation", "Timing")
    ]
    assert dict(found) == {
        "Token": "sg_core/inference/token.py",
        "StepResult": "sg_core/training/results.py",
        "Evaluation": "sg_core/training/results.py",
        "Timing": "sg_core/measure/benchmark.py",
    }
    assert len(found) == 4


def test_what_the_engine_tells_can_be_read_without_a_number_cruncher() -> None:
    code = (
        "import sys, sg_core.engine.events, sg_core.engine.commands\n"
        "print(sorted({'numpy', 'numba', 'safetensors', 'tiktoken'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
