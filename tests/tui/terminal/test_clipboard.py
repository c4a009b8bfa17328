"""Copying reaches the terminal in one sequence, or a tool, or a file."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from sg_tui.terminal import clipboard


def payload(sequence: str) -> str:
    inner = sequence.replace("\x1b\x1b", "\x1b").removeprefix("\x1bPtmux;").removesuffix("\x1b\\")
    assert inner.startswith("\x1b]52;c;")
    assert inner.endswith("\a")
    return base64.b64decode(inner.removeprefix("\x1b]52;c;").removesuffix("\a")).decode()


def test_a_text_goes_to_the_terminal_encoded() -> None:
    sequence = clipboard.osc52("ROMEO:\x1b[31m é", {})
    assert sequence is not None
    assert payload(sequence) == "ROMEO:\x1b[31m é"
    assert sequence.count("\x1b") == 1


def test_tmux_gets_it_wrapped() -> None:
    sequence = clipboard.osc52("a", {"TMUX": "/tmp/tmux,1,0"})
    assert sequence is not None
    assert sequence.startswith("\x1bPtmux;\x1b\x1b]52;c;")
    assert sequence.endswith("\x1b\\")
    assert payload(sequence) == "a"


def test_what_no_terminal_takes_is_not_sent() -> None:
    assert clipboard.osc52("x" * 100_000, {}) is None


def test_a_tool_is_used_only_where_its_desktop_is() -> None:
    if sys.platform != "darwin":
        assert clipboard.tool({}) is None


def test_a_tool_that_fails_or_is_missing_says_so() -> None:
    assert clipboard.run_tool([sys.executable, "-c", "import sys; sys.stdin.read()"], "x")
    assert not clipboard.run_tool([sys.executable, "-c", "raise SystemExit(1)"], "x")
    assert not clipboard.run_tool(["/nonexistent/tool"], "x")


def test_the_last_resort_is_a_file(tmp_path: Path) -> None:
    path = clipboard.into_file("a\r\nb\ud800", tmp_path)
    assert path.read_bytes() == b"a\r\nb?"
