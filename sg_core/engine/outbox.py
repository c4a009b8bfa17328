"""The events on their way out of the engine thread, at a pace that a screen can follow."""

from __future__ import annotations

import time
import traceback
from collections import deque

from sg_core.crash_report import unforeseen
from sg_core.engine.events import Event, Failed, Metrics, Phase
from sg_core.errors import SgError

PACE = 0.025  # seconds between two Metrics, or two counts of the same phase


class Outbox:
    """Text, results and failures all go out; metrics and progress only as often as someone can read them."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self.last_traceback = ""
        self._phase = Phase("idle")
        self._phase_at = 0.0
        self._metrics_at = 0.0
        self._out = self.events  # where events go: out, or into what is held back

    def into(self, events: deque[Event]) -> None:
        """From now on events go there, to be shown later; `self.events` again: out."""
        self._out = events

    def emit(self, event: Event) -> None:
        """Add an event that must not be lost."""
        self._out.append(event)

    def phase(self, name: str, detail: str = "", done: int = 0, total: int = 0) -> None:
        """Say what the engine does now, if that is news."""
        phase, last = Phase(name, detail, done, total), self._phase
        now = time.perf_counter()
        known = (name, detail) == (last.name, last.detail)
        if known and (total == 0 or phase == last or (done < total and now - self._phase_at < PACE)):
            return
        self._phase, self._phase_at = phase, now
        self._out.append(phase)

    def metrics_due(self) -> bool:
        """Whether the last figures have been out for long enough."""
        return time.perf_counter() - self._metrics_at >= PACE

    def metrics(self, metrics: Metrics) -> None:
        """Add figures."""
        self._metrics_at = time.perf_counter()
        self._out.append(metrics)

    def fail(self, error: Exception, command: str, request: int | None = None, advice: str = "") -> None:
        """Tell a failure in one line; the traceback of one that nobody foresaw is kept in `last_traceback`."""
        if not isinstance(error, SgError):
            self.last_traceback = "".join(traceback.format_exception(error))
        text = f"{readable(error)}; {advice}" if advice else readable(error)
        self._out.append(Failed(text, request, command))


def readable(error: Exception) -> str:
    """One line that says what went wrong."""
    if isinstance(error, SgError):
        text = str(error)
    elif isinstance(error, MemoryError):
        text = "not enough memory for this; choose a smaller model, batch or context"
    elif isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        text = f"{place}{error.strerror or error or type(error).__name__}"
    else:
        text = unforeseen(error)
    return " ".join(text.split())
