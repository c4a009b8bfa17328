"""What the stories about the app share: waiting for something to come true, and the screen as plain text."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pexpect
from textual.app import App
from textual.pilot import Pilot

WIDE, STANDARD, SMALL = (120, 40), (80, 24), (60, 20)
PATIENCE = 60.0  # seconds until a story that does not go on is given up


async def wait_until(pilot: Pilot[Any], predicate: Callable[[], object], what: str = "") -> None:
    """Let the app run until `predicate()` is true; fails with the screen after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not predicate():
        assert time.monotonic() < deadline, f"never happened: {what}\n{screen_text(pilot.app)}"
        await pilot.pause(0.01)


async def see(pilot: Pilot[Any], text: str) -> None:
    """Let the app run until `text` stands on one line of the screen."""
    await wait_until(pilot, lambda: text in screen_text(pilot.app), f"{text!r} on the screen")


def screen_lines(app: App[Any]) -> list[str]:
    """The lines of the screen as a terminal shows them, without styles."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip) for strip in strips]


def screen_text(app: App[Any]) -> str:
    return "\n".join(line.rstrip() for line in screen_lines(app))


def end(child: pexpect.spawn) -> None:
    """A program in a pseudo-terminal is over when this returns, however busy the machine is."""
    with suppress(pexpect.ExceptionPexpect, OSError):  # others may have waited for it already, or closed its terminal
        if child.isalive():
            child.kill(signal.SIGKILL)
            child.wait()
        child.close()
