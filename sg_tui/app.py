"""The app: its three views, the engine's life, and the one timer that hands the engine's events on.

The engine is made after the first paint, on a thread of its own: nothing here imports NumPy or Numba.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from textual.app import App, SystemCommand
from textual.screen import Screen

from sg_core.messages import Command, Event, Failed, Load, Loaded, Notice
from sg_tui.keys import ACTIONS, bindings
from sg_tui.screens.mode import ModeScreen
from sg_tui.state import GenerationState
from sg_tui.textsafe import safe_line
from sg_tui.theme import DARK, LIGHT
from sg_tui.training_state import TrainingState

FLUSH_SECONDS = 1 / 20
SLOW_SECONDS = 0.025  # a flush that costs more makes the next ones come later
LATEST_SECONDS = 0.5  # but never later than this
UNSEEN_SECONDS = 0.25  # between flushes while the terminal has no focus


class EngineLike(Protocol):
    """What the app needs of sg_core.engine.Engine."""

    events: deque[Event]

    @property
    def busy(self) -> bool: ...
    def start(self) -> None: ...
    def submit(self, command: Command) -> None: ...
    def stop(self) -> None: ...
    def close(self, timeout: float = 1.0) -> None: ...


def _write() -> Screen[None]:
    from sg_tui.screens.write import WriteScreen

    return WriteScreen()


def _train() -> Screen[None]:
    from sg_tui.screens.train import TrainScreen

    return TrainScreen()


def _bench() -> Screen[None]:
    from sg_tui.screens.bench import BenchScreen

    return BenchScreen()


class SgApp(App[None]):
    """`generation` and `training` hold what is known, the views show it; `submit` reaches the engine."""

    CSS_PATH = "styles/app.tcss"
    TITLE = "sg-tui"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    MODES = {"write": _write, "train": _train, "bench": _bench}  # noqa: RUF012 (declared so by Textual)
    DEFAULT_MODE = "write"
    BINDINGS = bindings("app")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    def __init__(
        self,
        model: str = "tinyshakespeare",
        precision: str = "f32",
        threads: int | None = None,
        engine: EngineLike | None = None,
    ) -> None:
        super().__init__()
        sys.setswitchinterval(5e-4)  # the screen gets its turn while the engine computes
        self.model, self.precision = model, precision
        self.generation = GenerationState()
        self.generation.threads = threads
        self.training = TrainingState()
        self.engine: EngineLike | None = None
        self._given_engine = engine
        self._waiting: list[Command] = []  # submitted before the engine was there
        self._early: deque[Event] = deque()  # events of an engine that could not be made
        self._not_before = 0.0
        self._requests = 0
        self._theme_before = ""
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name

    # ------------------------------------------------------------ the engine

    def on_mount(self) -> None:
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.submit(Load(self.model, self.precision, self.generation.threads))
        self.set_interval(FLUSH_SECONDS, self._tick, name="flush")
        if self._given_engine is not None:
            self._given_engine.start()
            self._adopt(self._given_engine)
        else:
            threading.Thread(target=self._make_engine, name="sg-start", daemon=True).start()

    def _make_engine(self) -> None:
        try:
            from sg_core.engine import Engine

            engine = Engine()
            engine.start()
        except Exception as error:  # whatever stops the engine is told; the app lives on
            self._early.append(Failed(f"the engine can't start: {error}"))
        else:
            self._adopt(engine)

    def _adopt(self, engine: EngineLike) -> None:
        self.engine = engine

    def submit(self, command: Command) -> None:
        """Hand a command to the engine, now or as soon as there is one."""
        self._waiting.append(command)
        self._hand_over()

    def _hand_over(self) -> None:
        while self.engine is not None and self._waiting:
            self.engine.submit(self._waiting.pop(0))

    def next_request(self) -> int:
        """A number for a generation or a benchmark, never used before."""
        self._requests += 1
        return self._requests

    def stop_engine(self) -> None:
        """Stop the running generation or benchmark within one token."""
        if self.engine is not None:
            self.engine.stop()

    # ------------------------------------------------------------ events

    def _tick(self) -> None:
        now = time.perf_counter()
        if now < self._not_before:
            return
        self.flush_events()
        cost = time.perf_counter() - now
        pause = min(LATEST_SECONDS, 2 * cost) if cost > SLOW_SECONDS else 0.0
        self._not_before = now + max(pause, 0.0 if self.app_focus else UNSEEN_SECONDS)

    def flush_events(self) -> None:
        """Hand every waiting event on, then draw the view that is seen."""
        self._hand_over()
        screens = self.mode_screens()
        for queue in (self._early, self.engine.events if self.engine else ()):
            for _ in range(len(queue)):
                self._hand_on(queue.popleft(), screens)  # type: ignore[union-attr]  # the empty tuple has no turn
        if isinstance(self.screen, ModeScreen):
            self.screen.draw_all()

    def _hand_on(self, event: Event, screens: list[ModeScreen]) -> None:
        self.generation.take(event)
        self.training.take(event)
        match event:
            case Notice(text=text):
                self.say(text)
            case Failed(message=message):
                self.say(message, "error")
            case Loaded(model=model, precision=precision):
                self.model, self.precision = model, precision
        for screen in screens:
            screen.handle(event)

    def mode_screens(self) -> list[ModeScreen]:
        """The main screens that exist so far, seen or hidden."""
        bases = [stack[0] for stack in self._screen_stacks.values() if stack]
        return [screen for screen in bases if isinstance(screen, ModeScreen)]

    def say(self, text: str, severity: str = "information") -> None:
        """One line to the person; any text is harmless here."""
        timeout = 12 if severity == "error" else 6
        kind = severity if severity in ("warning", "error") else "information"
        self.notify(safe_line(text, 400), severity=kind, timeout=timeout, markup=False)  # type: ignore[arg-type]

    # ------------------------------------------------------------ actions

    def action_mode(self, name: str) -> None:
        if not isinstance(self.screen, ModeScreen):
            return  # a dialog is open: it is answered first
        self.switch_mode(name)

    def action_toggle_theme(self) -> None:
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    async def action_quit(self) -> None:
        self.exit()

    def on_unmount(self) -> None:
        if self.engine is not None:
            self.engine.close(timeout=0.7)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: every action of the view that is seen, from the one table."""
        scopes = {"app", getattr(screen, "MODE", "")}
        for action in ACTIONS:
            if action.palette and action.scope in scopes:
                target = "app" if action.scope == "app" else "screen"
                name = f"app.{action.id}" if target == "app" else f"screen.{action.id}"
                yield SystemCommand(
                    action.description,
                    action.key_text,
                    lambda name=name: self.call_later(self.run_action, name),
                )
