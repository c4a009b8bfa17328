"""The way to the engine: made on a thread of its own, given commands, asked for events."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

from sg_core.engine.commands import Command
from sg_core.engine.events import Event, Failed

Severity = Literal["information", "warning", "error"]


class EngineLike(Protocol):
    """What is needed of sg_core.engine.engine.Engine."""

    @property
    def events(self) -> deque[Event]: ...
    @property
    def busy(self) -> bool: ...
    def start(self) -> None: ...
    def submit(self, command: Command) -> None: ...
    def stop(self) -> None: ...
    def close(self, timeout: float = 1.0) -> None: ...


class EngineLink:
    """Commands wait until the engine is there; the events of one that could not be made come from here.

    tell: shows one line to the person, any text, with its severity.
    """

    def __init__(self, tell: Callable[[str, Severity], None]) -> None:
        self._tell = tell
        self.engine: EngineLike | None = None
        self.wake: Callable[[], None] = _nothing  # called when the engine is given something to do
        self._waiting: list[Command] = []  # submitted before the engine was there
        self._early: deque[Event] = deque()  # events of an engine that could not be made

    def say(self, text: str, severity: Severity = "information") -> None:
        """One line to the person; any text is harmless."""
        self._tell(text, severity)

    def connect(self, engine: EngineLike | None) -> None:
        """Take this engine, or make one, off this thread."""
        if engine is not None:
            engine.start()
            self.engine = engine
        else:
            threading.Thread(target=self._make_engine, name="sg-start", daemon=True).start()

    def _make_engine(self) -> None:
        try:
            from sg_core.engine.engine import Engine

            engine = Engine()
            engine.start()
        except Exception as error:  # whatever stops the engine is told; the app lives on
            self._early.append(Failed(f"the engine can't start: {error}"))
        else:
            self.engine = engine

    def submit(self, command: Command) -> None:
        """Hand a command to the engine, now or as soon as there is one."""
        self._waiting.append(command)
        self._hand_over()
        self.wake()

    def _hand_over(self) -> None:
        while self.engine is not None and self._waiting:
            self.engine.submit(self._waiting.pop(0))

    def arrived(self) -> Iterator[Event]:
        """The events that wait now."""
        self._hand_over()
        for queue in (self._early, self.engine.events if self.engine else self._early):
            for _ in range(len(queue)):
                yield queue.popleft()


def _nothing() -> None:
    """Nobody sleeps."""
