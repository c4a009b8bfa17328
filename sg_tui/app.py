"""The app: its three views, the engine's life, and the one timer that hands the engine's events on.

The engine is made after the first paint, on a thread of its own: nothing here imports NumPy or Numba.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Protocol

from textual.app import App, SystemCommand
from textual.screen import Screen

from sg_core import paths
from sg_core.engine.commands import (
    Command,
    Generate,
    Load,
    SetPace,
    SetPrecision,
    SetSampling,
    SetThreads,
)
from sg_core.engine.events import (
    ContextMoved,
    Done,
    Event,
    Exported,
    Failed,
    Loaded,
    Notice,
    PrecisionSet,
)
from sg_core.errors import SettingError
from sg_tui.keys import ACTIONS, bindings
from sg_tui.library import preferences
from sg_tui.library.librarian import Librarian
from sg_tui.library.preferences import Preferences
from sg_tui.screens.help import HelpScreen
from sg_tui.screens.mode import ModeScreen
from sg_tui.screens.model_picker import ModelPicker
from sg_tui.screens.write import WriteScreen
from sg_tui.state.generation_state import GenerationState
from sg_tui.state.training_state import TrainingState
from sg_tui.terminal import clipboard
from sg_tui.terminal.terminal_keys import restore_alt_keys
from sg_tui.terminal.textsafe import safe_line
from sg_tui.theme import DARK, LIGHT

MOST_THREADS = 256
UNSTOPPABLE = ("importing", "compiling", "loading", "converting", "downloading")  # nothing is to be saved then
SLOW_MOTION = 12.0  # tokens a second
PATIENT, HASTY = 0.5, 0.05  # seconds the engine has to end
FLUSH_SECONDS = 1 / 20
SLOW_SECONDS = 0.025  # a flush that costs more makes the next ones come later
LATEST_SECONDS = 0.5  # but never later than this
UNSEEN_SECONDS = 0.25  # between flushes while the terminal has no focus


class EngineLike(Protocol):
    """What the app needs of sg_core.engine.engine.Engine."""

    @property
    def events(self) -> deque[Event]: ...
    @property
    def busy(self) -> bool: ...
    def start(self) -> None: ...
    def submit(self, command: Command) -> None: ...
    def stop(self) -> None: ...
    def close(self, timeout: float = 1.0) -> None: ...


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
    MODES = {"write": WriteScreen, "train": _train, "bench": _bench}  # noqa: RUF012 (declared so by Textual)
    DEFAULT_MODE = "write"
    BINDINGS = bindings("app")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    def __init__(
        self,
        model: str = "tinyshakespeare",
        precision: str | None = None,
        threads: int | None = None,
        engine: EngineLike | None = None,
    ) -> None:
        super().__init__()
        restore_alt_keys()
        sys.setswitchinterval(5e-4)  # the screen gets its turn while the engine computes
        self.model = model
        self.generation = GenerationState()
        self.generation.threads = threads
        self.training = TrainingState()
        self.engine: EngineLike | None = None
        self._given_engine = engine
        self._waiting: list[Command] = []  # submitted before the engine was there
        self._early: deque[Event] = deque()  # events of an engine that could not be made
        self._not_before = 0.0
        self._requests = 0
        self._loading = False
        self._told_of_move = False
        self._views: list[ModeScreen] = []
        self.librarian = Librarian(paths.data_dir)
        self.preferences, self._trouble = preferences.read(paths.config_dir())
        self.precision = precision or self.preferences.precision  # wanted, also where a model can't have it
        self.generation.sampling = self.preferences.sampling
        self.generation.max_tokens = self.preferences.max_tokens
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = LIGHT.name if self.preferences.theme == "light" else DARK.name

    # ------------------------------------------------------------ the engine

    def on_mount(self) -> None:
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        if self._trouble:
            self.say(self._trouble, "warning")
        self.load(self.model)
        self.set_interval(FLUSH_SECONDS, self._tick, name="flush")
        if self._given_engine is not None:
            self._given_engine.start()
            self._adopt(self._given_engine)
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
            self._adopt(engine)

    def _adopt(self, engine: EngineLike) -> None:
        self.engine = engine

    def load(self, model: str) -> None:
        """Load a model; the old one stays until it is there."""
        self._loading = True
        self.submit(Load(model, self.precision, self.generation.threads))

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
        """Stop the running generation or benchmark within one token; one that has not begun, at once."""
        if self.engine is not None:
            self.engine.stop()
            if self.generation.running and self.generation.phase.name in UNSTOPPABLE:
                self.generation.abandon()  # the engine obeys when it is through with what can't be interrupted
            return
        for command in [one for one in self._waiting if isinstance(one, Generate)]:
            self._waiting.remove(command)
            self._early.append(Done(command.request, "stopped", 0))

    # ------------------------------------------------------------ events

    def _tick(self) -> None:
        now = time.perf_counter()
        if now < self._not_before:
            return
        self._not_before = now + (0.0 if self.app_focus else UNSEEN_SECONDS)
        if self.flush_events():
            self.call_after_refresh(self._drawn, now)

    def _drawn(self, begun: float) -> None:
        """What a flush brought is on the screen: if that took long, the next one comes later."""
        now = time.perf_counter()
        if now - begun > SLOW_SECONDS:
            self._not_before = max(self._not_before, now + min(LATEST_SECONDS, 2 * (now - begun)))

    def flush_events(self) -> int:
        """Hand every waiting event on, then draw the view that is seen. Returns the number of events."""
        self._hand_over()
        screens, count = self.mode_screens(), 0
        for queue in (self._early, self.engine.events if self.engine else self._early):
            for _ in range(len(queue)):
                self._hand_on(queue.popleft(), screens)
                count += 1
        while self.librarian.notices:
            self.say(self.librarian.notices.popleft(), "warning")
        if self.screen_stack and isinstance(self.screen, ModeScreen):  # no screen is left at the very end
            self.screen.draw_all()
        return count

    def _hand_on(self, event: Event, screens: list[ModeScreen]) -> None:
        self.generation.take(event)
        self.training.take(event)
        match event:
            case Notice(text=text):
                self.say(text)
            case ContextMoved(kept=kept) if not self._told_of_move:
                self._told_of_move = True
                self.say(f"The context is full: the model now sees the newest {kept:,} tokens, and so on from here.")
            case Exported(folder=folder):
                self.say(f"The trained model is in {folder}; Ctrl+L opens it.")
            case Failed(message=message, request=None, command=command) if self._loading and command != "SetPrecision":
                self._loading = False
                self.call_later(self.action_choose_model, message)
            case Failed(message=message):
                self.say(message, "error")
            case Loaded(model=model):
                self._loading, self.model = False, model
            case PrecisionSet(precision=precision):
                self.precision = precision
        for screen in screens:
            screen.handle(event)

    def mode_screens(self) -> list[ModeScreen]:
        """The main screens that exist so far, seen or hidden."""
        return list(self._views)

    def opened_view(self, view: ModeScreen) -> None:
        """A main screen is there: from now on it gets every event."""
        self._views.append(view)

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

    def action_help(self) -> None:
        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
        else:
            self.push_screen(HelpScreen())

    def action_choose_model(self, trouble: str = "") -> None:
        if not isinstance(self.screen, ModeScreen):
            if trouble:
                self.say(trouble, "error")
            return
        self.push_screen(ModelPicker(trouble, self.preferences.model), self._model_chosen)

    def _model_chosen(self, model: str | None) -> None:
        if model is not None:
            self.load(model)

    def set_precision(self, precision: str) -> None:
        """Store the weights in another precision; a running generation follows at its next token."""
        self.generation.ask_precision(precision)
        self.submit(SetPrecision(precision))

    def set_slow_motion(self, slow: bool) -> None:
        """Tokens at a pace that can be read, or as fast as they come; a running generation follows at its next one."""
        self.generation.set_slow_motion(slow)
        self.submit(SetPace(SLOW_MOTION if slow else 0.0))

    def action_next_precision(self) -> None:
        if isinstance(self.screen, ModeScreen):
            self.set_precision(self.generation.next_precision)

    def set_sampling(self, name: str, value: float) -> None:
        """Change one setting; a running generation follows at its next token."""
        state = self.generation
        try:
            if name == "max_tokens":
                state.max_tokens = max(1, min(1_000_000, int(value)))
            elif name == "threads":
                state.threads = min(int(value), MOST_THREADS) or None
                self.submit(SetThreads(state.threads))
            else:
                state.sampling = replace(state.sampling, **{name: value})  # type: ignore[arg-type]  # validated there
                self.submit(SetSampling(state.sampling))
        except SettingError as problem:
            self.say(str(problem), "warning")
        state.version += 1

    def action_copy_or_stop(self) -> None:
        """The selection goes to the clipboard; without one, what runs is stopped. Never quits."""
        text = getattr(self.focused, "selected_text", "") or self.screen.get_selected_text()
        if text:
            self.copy_to_clipboard(text)
            self.screen.clear_selection()
        elif self.generation.running or (self.engine is not None and self.engine.busy):
            self.stop_engine()
        else:
            self.say("Nothing is selected, and nothing runs. Ctrl+Q leaves.")

    def copy_to_clipboard(self, text: str) -> None:
        self._clipboard = text
        sequence, command = clipboard.osc52(text), clipboard.tool()
        if sequence is not None and self._driver is not None:
            self._driver.write(sequence)
        if command is not None:
            threading.Thread(target=clipboard.run_tool, args=(command, text), daemon=True).start()
        elif sequence is None:
            try:
                self.say(
                    f"Too long for this terminal's clipboard: it is in {clipboard.into_file(text, paths.data_dir())}"
                )
            except OSError as problem:
                self.say(f"This can't be copied: {problem.strerror}", "error")
            return
        self.say(f"Copied {len(text):,} characters.")

    def action_toggle_theme(self) -> None:
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    async def action_quit(self) -> None:
        self.exit()

    def on_unmount(self) -> None:
        """The text and the settings are kept, the engine is let go; all within a second."""
        for screen in self.mode_screens():
            screen.keep()
        self._keep_preferences()
        if self.engine is not None:
            self.engine.close(timeout=HASTY if self.generation.phase.name in UNSTOPPABLE else PATIENT)
        self.librarian.close(timeout=0.3)

    def _keep_preferences(self) -> None:
        state = self.generation
        writing = next((view.writing for view in self._views if isinstance(view, WriteScreen)), None)
        kept = Preferences(
            mode=writing.mode if writing else self.preferences.mode,
            theme="light" if self.theme == LIGHT.name else "dark",
            model=state.loaded.model if state.loaded else self.preferences.model,
            max_tokens=state.max_tokens,
            cast=writing.cast if writing else self.preferences.cast,
            sampling=state.sampling,
            precision=self.precision,
        )
        try:
            preferences.write(paths.config_dir(), kept)
        except OSError as problem:
            self.log(f"settings were not kept: {problem}")

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: every action of the view that is seen, from the one table."""
        for action in ACTIONS:
            if action.palette and action.scope in ("app", getattr(screen, "MODE", "")):
                run = self.run_action if action.scope == "app" else screen.run_action
                yield SystemCommand(action.description, action.key_text, partial(self.call_later, run, action.id))
