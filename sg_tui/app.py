"""The app: its views, its colours, and the one timer that hands the engine's events on. All else is at the desk."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from typing import cast

from textual.app import App, SystemCommand
from textual.screen import Screen

from sg_core import paths
from sg_tui.desk import Desk, EngineLike, Severity
from sg_tui.keys import ACTIONS, MODES, Mode, bindings, first_key
from sg_tui.screens.help import HelpScreen
from sg_tui.screens.mode import ModeScreen
from sg_tui.screens.model_picker import ModelPicker
from sg_tui.terminal import clipboard
from sg_tui.terminal.terminal_keys import restore_alt_keys
from sg_tui.terminal.textsafe import safe_line
from sg_tui.theme import DARK, LIGHT

FLUSH_SECONDS = 1 / 20
SLOW_SECONDS = 0.025  # a flush that costs more makes the next ones come later
LATEST_SECONDS = 0.5  # but never later than this
UNSEEN_SECONDS = 0.25  # between flushes while the terminal has no focus


class SgApp(App[None]):
    """`desk` holds the engine and what is known; the views get it, and show what stands there."""

    CSS_PATH = "styles/app.tcss"
    TITLE = "sg-tui"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = first_key("command_palette")
    DEFAULT_MODE = MODES[0].name
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
        self.desk = Desk(self._tell, model, precision, threads)
        self._given_engine = engine
        self._not_before = 0.0
        self._views: list[ModeScreen] = []
        for mode in MODES:
            self.add_mode(mode.name, partial(self._open_view, mode))
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = LIGHT.name if self.desk.preferences.theme == "light" else DARK.name

    def _open_view(self, mode: Mode) -> ModeScreen:
        """A view, imported when it is first seen; from now on it gets every event."""
        module, name = mode.screen.split(":")
        view = cast(type[ModeScreen], getattr(import_module(module), name))(self.desk)
        self._views.append(view)
        return view

    def _tell(self, text: str, severity: Severity) -> None:
        timeout = 12 if severity == "error" else 6
        self.notify(safe_line(text, 400), severity=severity, timeout=timeout, markup=False)

    # ------------------------------------------------------------ from the first paint to the end

    def on_mount(self) -> None:
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """The engine starts after the first paint."""
        self.desk.start(self._given_engine)
        self.set_interval(FLUSH_SECONDS, self._tick, name="flush")

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
        count = 0
        for event in self.desk.drain():
            for view in self._views:
                view.handle(event)
            count += 1
        if self.desk.load_trouble:
            self.call_later(self.action_choose_model, self.desk.load_trouble)
            self.desk.load_trouble = ""
        if self.screen_stack and isinstance(self.screen, ModeScreen):  # no screen is left at the very end
            self.screen.draw_all()
        return count

    def on_unmount(self) -> None:
        self.desk.close("light" if self.theme == LIGHT.name else "dark")

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
                self.desk.say(trouble, "error")
            return
        self.push_screen(ModelPicker(trouble, self.desk.preferences.model), self._model_chosen)

    def _model_chosen(self, model: str | None) -> None:
        if model is not None:
            self.desk.load(model)

    def action_next_precision(self) -> None:
        if isinstance(self.screen, ModeScreen):
            self.desk.set_precision(self.desk.generation.next_precision)

    def action_copy_or_stop(self) -> None:
        """The selection goes to the clipboard; without one, what runs is stopped. Never quits."""
        text = getattr(self.focused, "selected_text", "") or self.screen.get_selected_text()
        if text:
            self.copy_to_clipboard(text)
            self.screen.clear_selection()
        elif self.desk.busy:
            self.desk.stop()
        else:
            self.desk.say("Nothing is selected, and nothing runs. Ctrl+Q leaves.")

    def copy_to_clipboard(self, text: str) -> None:
        """Copy through the terminal, or the desktop's own tool, or into a file, and say so."""
        self._clipboard = text
        sequence, command = clipboard.osc52(text), clipboard.tool()
        if sequence is not None and self._driver is not None:
            self._driver.write(sequence)
        if command is not None:
            threading.Thread(target=clipboard.run_tool, args=(command, text), daemon=True).start()
        elif sequence is None:
            self._copy_into_file(text)
            return
        self.desk.say(f"Copied {len(text):,} characters.")

    def _copy_into_file(self, text: str) -> None:
        try:
            path = clipboard.into_file(text, paths.data_dir())
        except OSError as problem:
            self.desk.say(f"This can't be copied: {problem.strerror}", "error")
        else:
            self.desk.say(f"Too long for this terminal's clipboard: it is in {path}")

    def action_toggle_theme(self) -> None:
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    async def action_quit(self) -> None:
        self.exit()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: every action of the view that is seen, from the one table."""
        for action in ACTIONS:
            if action.palette and action.scope in ("app", getattr(screen, "MODE", "")):
                run = self.run_action if action.scope == "app" else screen.run_action
                yield SystemCommand(action.description, action.key_text, partial(self.call_later, run, action.id))
