"""Copying reaches the terminal in one sequence, or a tool, or a file."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest

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


def command(folder: Path, name: str, script: str) -> None:
    """A command `name` on the PATH that is `folder`."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name: str(folder / name) if (folder / name).exists() else None)
    return folder


def test_a_tool_is_used_only_where_its_desktop_is() -> None:
    if sys.platform != "darwin":
        assert clipboard.tools({}) == []


TMUX = {"TMUX": "/tmp/tmux,1,0"}


def test_tmux_takes_a_copy_into_its_buffer_and_passes_it_on(programs: Path, tmp_path: Path) -> None:
    command(programs, "tmux", f'[ "$1 $2" = "load-buffer -w" ] && cat > {tmp_path}/buffer')
    said = clipboard.copied("a\x1b[31m é", True, tmp_path, TMUX)
    assert said.startswith("Copied 8 characters into tmux")
    assert (tmp_path / "buffer").read_text() == "a\x1b[31m é"


def test_a_tmux_that_can_not_pass_it_on_has_it_in_its_buffer_all_the_same(programs: Path, tmp_path: Path) -> None:
    command(programs, "tmux", f'[ "$2" = "-w" ] && exit 1\ncat > {tmp_path}/buffer')
    assert "into tmux" in clipboard.copied("abc", True, tmp_path, TMUX)
    assert (tmp_path / "buffer").read_text() == "abc"


def test_what_nobody_took_is_not_called_copied(programs: Path, tmp_path: Path) -> None:
    command(programs, "tmux", "exit 1")
    said = clipboard.copied("abc", True, tmp_path, TMUX)  # tmux lets no sequence through by itself
    assert said == f"No clipboard takes this: it is in {tmp_path / 'copied.txt'}"
    assert (tmp_path / "copied.txt").read_text() == "abc"
    if sys.platform != "darwin":
        assert clipboard.copied("abc", True, tmp_path, {}) == "Copied 3 characters."
        assert "copied.txt" in clipboard.copied("abc", False, tmp_path, {})


def test_a_tool_that_fails_or_is_missing_says_so() -> None:
    assert clipboard.run_tool([sys.executable, "-c", "import sys; sys.stdin.read()"], "x")
    assert not clipboard.run_tool([sys.executable, "-c", "raise SystemExit(1)"], "x")
    assert not clipboard.run_tool(["/nonexistent/tool"], "x")


def test_windows_own_tool_is_given_what_it_can_tell_apart(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(programs, "clip", f"cat > {tmp_path}/buffer")
    monkeypatch.setattr(sys, "platform", "win32")
    tools = clipboard.tools({})
    monkeypatch.undo()
    assert tools == [["clip"]]
    assert clipboard.run_tool([str(programs / "clip")], "é🎉")
    assert (tmp_path / "buffer").read_bytes().decode("utf-16") == "é🎉"


def test_the_last_resort_is_a_file(tmp_path: Path) -> None:
    path = clipboard.into_file("a\r\nb\ud800", tmp_path)
    assert path.read_bytes() == b"a\r\nb?"
