"""A person at a terminal: starts a program on a screen of its own, presses keys, and sees what stands there."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import NamedTuple

import pexpect
import pyte

PATIENCE = 180.0  # seconds for anything awaited; a first start compiles the engine

KEYS = {
    "enter": "\r",
    "esc": "\x1b",
    "space": " ",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "tab": "\t",
    "f1": "\x1bOP",
    "f2": "\x1bOQ",
    "f3": "\x1bOR",
    "f4": "\x1bOS",
    "f5": "\x1b[15~",
    "f8": "\x1b[19~",
    "f10": "\x1b[21~",
}


class Cell(NamedTuple):
    """One character of a screen and its looks; colours are RRGGBB, or "default"."""

    data: str
    fg: str
    bg: str
    bold: bool
    italics: bool
    underscore: bool
    reverse: bool


Rows = tuple[tuple[Cell, ...], ...]


class Terminal:
    """A pseudo-terminal with a program in it."""

    def __init__(self, command: list[str], columns: int, rows: int, environment: Mapping[str, str]) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        said = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment}
        self._child = pexpect.spawn(command[0], command[1:], dimensions=(rows, columns), env=said, timeout=PATIENCE)

    def press(self, *keys: str) -> None:
        """Keys by name ("enter", "alt+1"), or text, one after another as a person would."""
        for key in keys:
            if key in KEYS:
                self._child.send(KEYS[key])
            elif key.startswith("alt+"):
                self._child.send("\x1b" + key.removeprefix("alt+"))
            elif key.startswith("ctrl+"):
                self._child.sendcontrol(key.removeprefix("ctrl+"))
            else:
                self._child.send(key)
            self.watch(0.15)

    def watch(self, seconds: float) -> None:
        """Let the program draw for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                self._stream.feed(self._child.read_nonblocking(65536, timeout=left))
            except pexpect.TIMEOUT:
                return

    def until(self, words: str) -> None:
        """Let it draw until these words stand on the screen. Raises TimeoutError."""
        began = time.monotonic()
        while words not in "\n".join(self._screen.display):
            if time.monotonic() - began > PATIENCE:
                raise TimeoutError(f"{words!r} did not come; the screen:\n" + "\n".join(self._screen.display))
            self.watch(0.1)

    def rows(self) -> Rows:
        """The screen as it is now."""
        screen = self._screen
        return tuple(
            tuple(
                Cell(cell.data, cell.fg, cell.bg, cell.bold, cell.italics, cell.underscore, cell.reverse)
                for cell in (screen.buffer[row][column] for column in range(screen.columns))
            )
            for row in range(screen.lines)
        )

    def close(self) -> None:
        """End the program."""
        self._child.kill(signal.SIGKILL)
        self._child.wait()
        self._child.close()
