"""The app is ended from outside: nothing that was on the screen is lost, and the terminal is as it was before."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pexpect
import pyte
import pytest
from stories import end

from sg_tui.library.store import Store

TESTS = Path(__file__).parents[1]
PROGRAM = f"""
import sys, threading, time
sys.path[:0] = [{str(TESTS.parents[1])!r}, {str(TESTS)!r}]
from scripted_engine import ScriptedEngine
import sg_tui.app, sg_tui.desk, sg_tui.cli
engine = ScriptedEngine(replies=("word " * 100_000,), automatic=False)
start = engine.start
def started():
    start()
    def go():
        while True:
            engine.advance(3)
            time.sleep(0.01)
    threading.Thread(target=go, daemon=True).start()
engine.start = started
made = sg_tui.app.SgApp.__init__
def init(self, *given, **named):
    made(self, *given, **named)
    self._given_engine = engine
    self.desk.generation.max_tokens = 100_000
sg_tui.app.SgApp.__init__ = init
sys.exit(sg_tui.cli.main([]))
"""


class Terminal:
    """The app in a pseudo-terminal of its own."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.child = pexpect.spawn(
            sys.executable, ["-c", PROGRAM], dimensions=(lines, columns),
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        )  # fmt: skip

    def read(self) -> None:
        try:
            data = self.child.read_nonblocking(1 << 16, timeout=0.05)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self.raw += data
        self.stream.feed(data)

    def until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "\n".join(self.screen.display)
            self.read()

    def see(self, text: str) -> None:
        self.until(lambda: any(text in line for line in self.screen.display))

    def fresh(self) -> bool:
        """Whether an empty prompt below an empty text is on the screen."""
        seen = "\n".join(self.screen.display)
        return "a new text ─" in seen and "type, then Enter" in seen and "word word" not in seen

    def watch(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.read()

    def ended(self) -> bool:
        self.read()
        return not self.child.isalive()


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    with suppress(OSError):  # closed by the test
        end(terminal.child)


def kept(home: Path) -> list[str]:
    store = Store(home / "data")
    found = [store.load_text(one.id) for one in store.texts()]
    store.close()
    return [one.text for one in found if one is not None]


def begin(terminal: Terminal) -> None:
    """A text that grows, and words that were not sent."""
    terminal.see("tinyshakespeare 3.5M")
    terminal.child.send("Once\r")
    terminal.see("word word")
    terminal.child.send("not sent")
    terminal.see("not sent")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_keeps_the_text_and_gives_the_terminal_back(terminal: Terminal, home: Path, number: int) -> None:
    begin(terminal)
    terminal.child.kill(number)
    terminal.until(terminal.ended)
    assert terminal.child.exitstatus == 128 + number
    raw = terminal.raw
    assert raw.rfind(b"\x1b[?1049l") > raw.rfind(b"\x1b[?1049h") >= 0  # its own screen
    assert raw.rfind(b"\x1b[?1003l") > raw.rfind(b"\x1b[?1003h") >= 0  # the mouse is its own again
    assert raw.rfind(b"\x1b[?25h") > raw.rfind(b"\x1b[?25l") >= 0  # and the cursor is seen
    (text,) = kept(home)
    assert text.startswith("Onceword word")


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_what_was_on_the_screen_for_a_second_survives_any_kill(home: Path, kills: int) -> None:
    chance = random.Random(kills)
    for number in range(kills):
        terminal = Terminal()
        try:
            terminal.see("tinyshakespeare 3.5M")
            if number:
                terminal.see("not sent")  # what was in the prompt last time is there again
                terminal.child.send("\x15\x0e")  # an empty line, a new text
                terminal.until(terminal.fresh)  # or the words of the text before would be taken for its own
            terminal.child.send(f"Text{number}.\r")
            terminal.see("word word")
            terminal.child.send("not sent")
            terminal.see("not sent")
            terminal.watch(chance.uniform(0.0, 1.0))
            seen = terminal.screen.display
            words = sum(line.count("word") for line in seen if "│" in line)
            terminal.watch(1.0)
        finally:
            terminal.child.kill(signal.SIGKILL)
            end(terminal.child)
        (text,) = [one for one in kept(home) if one.startswith(f"Text{number}.")]
        assert text.count("word") >= words > 0


def test_a_byte_that_is_no_text_ends_nothing(terminal: Terminal) -> None:
    terminal.see("tinyshakespeare 3.5M")
    terminal.child.send(b"caf\xe9 and on")
    terminal.see("caf\ufffd and on")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGSTOP])
def test_a_program_that_was_stopped_comes_back_whole(terminal: Terminal, number: int) -> None:
    terminal.see("tinyshakespeare 3.5M")
    terminal.child.send("before")
    terminal.see("before")
    process = Path(f"/proc/{terminal.child.pid}")
    threads = len(list((process / "task").iterdir()))
    terminal.raw = b""
    terminal.child.kill(number)
    terminal.until(lambda: "\nState:\tT" in (process / "status").read_text())
    terminal.watch(0.2)
    if number == signal.SIGTSTP:
        assert b"\x1b[?1049l" in terminal.raw  # the shell has its own screen
        assert b"\x1b[?1003l" in terminal.raw
    terminal.raw = b""
    terminal.screen.reset()
    terminal.child.kill(signal.SIGCONT)
    terminal.see("tinyshakespeare 3.5M")
    terminal.see("before")
    assert b"\x1b[?1049h" in terminal.raw
    terminal.child.send(", after")
    terminal.see("before, after")
    terminal.until(lambda: len(list((process / "task").iterdir())) <= threads)


def test_a_terminal_that_goes_away_ends_the_program_and_keeps_the_text(terminal: Terminal, home: Path) -> None:
    begin(terminal)
    pid = terminal.child.pid
    os.close(terminal.child.child_fd)  # as when a window is closed: the kernel sends SIGHUP, writing fails
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
    else:
        os.kill(pid, signal.SIGKILL)
        pytest.fail("the program lives on without a terminal")
    assert os.waitstatus_to_exitcode(status) == 129
    assert kept(home)


def test_a_library_that_is_locked_costs_no_word_and_leaving_says_where(terminal: Terminal, home: Path) -> None:
    terminal.see("tinyshakespeare 3.5M")
    holder = sqlite3.connect(home / "data" / "library.sqlite3", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    begin(terminal)
    terminal.child.send("\x11")
    terminal.until(terminal.ended)
    assert terminal.child.exitstatus == 0
    assert b"the text is kept in" in terminal.raw[terminal.raw.rfind(b"\x1b[?1049l") :]
    holder.execute("ROLLBACK")
    holder.close()
    (text,) = kept(home)
    assert text.startswith("Onceword word")
