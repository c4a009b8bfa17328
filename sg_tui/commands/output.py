"""What commands say: data to stdout, narration and progress to stderr, and the exit codes."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from sg_core.errors import SgError
from sg_core.files import reason
from sg_tui.terminal.textsafe import safe, safe_line

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_TERMINAL_PACE = 0.1  # seconds between two updates of a progress line
_LOG_PACE = 2.0  # the same where every update is a line of its own: only what takes long is told


class Output:
    """Text for a terminal is made harmless; into a pipe or a file it goes unchanged, as UTF-8."""

    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self._closed = stdout is None and sys.stdout is None
        self._out = io.StringIO() if self._closed else stdout or sys.stdout
        self._err = stderr or sys.stderr
        self.to_terminal = self._out.isatty()
        self._overwrites = self._err.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._progress_shown = False
        self._progress_what = ""
        self._progress_at = 0.0 if self._overwrites else time.monotonic()
        self._inside_line = False
        self.silent = False  # nothing is said: another process says it
        reconfigure = getattr(self._out, "reconfigure", None)
        if reconfigure is not None:
            if self.to_terminal:
                reconfigure(errors="replace")
            else:
                reconfigure(encoding="utf-8", newline="\n")

    def require_stdout(self) -> None:
        """Raises SgError when standard output is closed: what a command has to say would be lost."""
        if self._closed:
            raise SgError("standard output is closed")

    def text(self, text: str) -> None:
        """A piece of text to stdout, at once."""
        if self.silent:
            return
        if self.to_terminal:
            self._clear_progress()
            text = safe(text)
        try:
            self._out.write(text)
            self._out.flush()
        except BrokenPipeError:  # nobody reads on, which is no failure
            raise
        except OSError as problem:
            if sys.platform == "win32" and problem.errno == errno.EINVAL:  # so a pipe that nobody reads is told there
                raise BrokenPipeError from problem
            raise SgError(f"standard output can't be written: {reason(problem)}") from problem
        if text:
            self._inside_line = not text.endswith("\n")

    def end_line(self) -> None:
        """On a terminal, what comes next begins on a line of its own."""
        if self.to_terminal and self._inside_line:
            self.text("\n")

    def line(self, text: str = "") -> None:
        """A line to stdout."""
        self.text(f"{text}\n")

    def json(self, record: Mapping[str, Any]) -> None:
        """A JSON line to stdout; a number that is not finite becomes null."""
        self.line(json.dumps({key: _finite(value) for key, value in record.items()}, allow_nan=False))

    def csv(self, values: Iterable[Any]) -> None:
        """A line of comma-separated values to stdout; floats at full precision, nothing for None."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerow(values)  # both are quoted then where a value has one of them
        self.line(text.getvalue().removesuffix("\r\n"))

    def note(self, text: str) -> None:
        """A line to stderr."""
        self._clear_progress()
        self.end_line()
        self._narrate(f"{safe_line(text)}\n")

    def error(self, command: str, message: str) -> None:
        """The one line of a failure to stderr."""
        self.note(f"{command}: {' '.join(message.split())}")

    def progress(self, what: str, done: int = 0, total: int = 0, rest: str = "") -> None:
        """How far something is: one line that is overwritten on a terminal, now and then a new line elsewhere."""
        now = time.monotonic()
        pace = _TERMINAL_PACE if self._overwrites else _LOG_PACE
        news = self._overwrites and what != self._progress_what
        if not news and now - self._progress_at < pace:
            return
        self._progress_what, self._progress_at = what, now
        counted = f" {done:,}/{total:,}" if total else ""
        text = safe_line(f"{what}{counted}{f'  {rest}' if rest else ''}", limit=200)
        if self._overwrites:
            columns = max(20, _columns(self._err) - 1)
            self._narrate(f"\r\x1b[K{text[:columns]}")
            self._progress_shown = True
        else:
            self._narrate(f"{text}\n")

    def compiling(self, what: str, done: int, total: int) -> None:
        """Progress of compilation.warm_up."""
        if done < total:
            self.progress(f"compiling the {what}", done, total)

    def _clear_progress(self) -> None:
        if self._progress_shown:
            self._narrate("\r\x1b[K")
            self._progress_shown = False
            self._progress_what = ""

    def _narrate(self, text: str) -> None:
        if self.silent:
            return
        with contextlib.suppress(OSError, ValueError):  # that nobody can be told is no reason to fail
            self._err.write(text)
            self._err.flush()

    def close(self) -> None:
        """End the progress line and flush. Raises BrokenPipeError when nobody reads stdout any more."""
        self._clear_progress()
        self._out.flush()

    def abandon(self) -> None:
        """Nobody reads stdout any more: let what is still buffered go nowhere, without a complaint at exit."""
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 80
