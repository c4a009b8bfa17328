"""The Python blocks of README.md and docs/*.md run as they stand, and print what they are said to print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OUTPUT = re.compile(r"\s*```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A Python block; what it prints, where a text block follows it with nothing between."""

    code: str
    line: int
    output: str | None


def examples(text: str) -> list[Example]:
    """The Python blocks of a page, in order."""
    found = []
    for block in _BLOCK.finditer(text):
        if block[1] == "python":
            told = _OUTPUT.match(text, block.end())
            found.append(Example(block[2], text.count("\n", 0, block.start()) + 2, told[1] if told else None))
    return found


def test_blocks_and_their_outputs_are_found() -> None:
    page = "a\n```python\nx\n```\n\n```text\n1\n```\n```sh\nls\n```\n```python\ny\n```\nwords\n```text\n2\n```\n"
    assert examples(page) == [Example("x\n", 3, "1\n"), Example("y\n", 13, None)]


WITH_EXAMPLES = [page for page in PAGES if examples(page.read_text("utf-8"))]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_examples_run_as_they_stand(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for example in examples(page.read_text("utf-8")):
        code = compile("\n" * (example.line - 1) + example.code, str(page), "exec")  # errors tell the page's own line
        exec(code, names)
        printed = capsys.readouterr().out
        assert example.output in (None, printed), f"{page.name}:{example.line} prints {printed!r}"


def test_the_pages_with_examples_are_there() -> None:
    assert {"README.md", "examples.md"} <= {page.name for page in WITH_EXAMPLES}
