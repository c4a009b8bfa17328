"""The app in a real pseudo-terminal: what a person's terminal receives and shows."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest
from stories import end

TESTS = Path(__file__).parents[1]
REPLY = "one two \x1b]52;c;QUJD\x07 [/bold] 漢字 \x9b2J three"
PROGRAM = f"""
import sys
sys.path[:0] = [{str(TESTS.parents[1])!r}, {str(TESTS)!r}]
from scripted_engine import ScriptedEngine
from sg_tui.app import SgApp
import sg_tui.screens.write_walk, sg_tui.widgets.walk_keys
sg_tui.screens.write_walk.REST_SECONDS = sg_tui.widgets.walk_keys.BURST_SECONDS = 0.0  # every key is meant
SgApp(engine=ScriptedEngine(replies=({REPLY!r},))).run()
"""


class Terminal:
    """A program and the screen it draws. `raw` is every byte it sent."""

    def __init__(self, columns: int, lines: int, **environment: str) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.child = pexpect.spawn(
            sys.executable,
            ["-c", PROGRAM],
            dimensions=(lines, columns),
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment},
        )

    def until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "\n".join(self.screen.display)
            try:
                data = self.child.read_nonblocking(1 << 16, timeout=0.1)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                break
            self.raw += data
            self.stream.feed(data)

    def see(self, text: str) -> None:
        self.until(lambda: any(text in line for line in self.screen.display))

    def send(self, keys: str) -> None:
        self.child.send(keys)

    def ended(self) -> bool:
        return not self.child.isalive()


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    terminal = Terminal(80, 24)
    yield terminal
    end(terminal.child)


def test_a_session_from_the_first_key_to_the_last(terminal: Terminal) -> None:
    terminal.see("tinyshakespeare 3.5M")
    terminal.send("Count:\n\r")  # Ctrl+J, then Enter
    terminal.see("one two ␛]52;c;QUJD␇ [/bold] 漢字 \ufffd2J three")
    terminal.see("1+2+3+4+5+6+7+8-9-  ● f32")
    terminal.send("\x1b1")  # Alt+1, as most terminals send it
    terminal.see("1-2+3+4+5+6+7+8-9-")
    terminal.send("\x1b")
    terminal.send("\x1bp")  # Alt+P
    terminal.see("○ f32 ● bf16")
    terminal.see("walk ·")
    terminal.send("3")
    terminal.see("1-2+3-4+5+6+7+8-9-")
    terminal.send("\x11")
    terminal.until(terminal.ended)
    assert b"QUJD\x07" not in terminal.raw
    assert b"\xc2\x9b" not in terminal.raw
    assert b"\x1b[?1049l" in terminal.raw  # the terminal has its own screen back
    assert terminal.child.wait() == 0


def test_copying_reaches_the_terminal_through_tmux(home: Path) -> None:
    terminal = Terminal(120, 40, TMUX="/tmp/tmux,1,0")
    try:
        terminal.see("tinyshakespeare 3.5M")
        terminal.send("a\r")
        terminal.see("one two")
        terminal.send("prompt\x1b[1;2H")  # Shift+Home selects
        terminal.send("\x03")
        terminal.until(lambda: b"\x1bPtmux;\x1b\x1b]52;c;cHJvbXB0\x07\x1b\\" in terminal.raw)
    finally:
        end(terminal.child)
