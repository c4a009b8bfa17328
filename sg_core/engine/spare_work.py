"""What the engine does while nothing else is wanted: the newest order of each kind."""

from __future__ import annotations

from sg_core.engine.commands import MeasureReads, MeasureSteps, Score
from sg_core.engine.models import Models
from sg_core.engine.outbox import Outbox
from sg_core.types import Cancelled


class SpareWork:
    """True while something waits or is done."""

    def __init__(self, models: Models, outbox: Outbox) -> None:
        self._models, self._outbox = models, outbox
        self._working = False
        self._waiting: dict[type, Score | MeasureReads | MeasureSteps] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting) or self._working

    @property
    def ready(self) -> bool:
        """Whether something can be done now, and no command would then have to wait for the compiler."""
        return bool(self._waiting) and not self._models.preparing_ahead

    def add(self, command: Score | MeasureReads | MeasureSteps) -> None:
        """Takes the place of one of its kind."""
        self._waiting[type(command)] = command

    def do_one(self, cancelled: Cancelled) -> None:
        """Do the oldest one; a failure of any kind is told in a line. What is cancelled on the way waits again."""
        self._working = True
        command = self._waiting.pop(next(iter(self._waiting)))
        try:
            if not (cancelled() or self._models.spare(command, cancelled)):
                self._waiting.setdefault(type(command), command)
        except Exception as error:  # of any kind: the thread goes on
            self._outbox.fail(error, type(command).__name__, getattr(command, "request", None))
        self._working = False
