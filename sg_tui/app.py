"""The app: its views, its colours, and the one timer that hands the engine's events on. All else is at the desk."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import cast

from textual.app import App, SystemCommand
from textual.driver import Driver
from textual.screen import Screen
from textual.timer import Timer

from sg_core import paths
from sg_tui.desk import Desk, EngineLike, Severity
from sg_tui.keys import ACTIONS, MODES, SCOPES, Action, Mode, actions, bindings, choose, chosen, first_key, name_of
from sg_tui.library import figures_file
from sg_tui.screens.help import HelpScreen
from sg_tui.screens.mode import ModeScreen
from sg_tui.screens.model_picker import ModelPicker
from sg_tui.screens.palette import UsedFirst
from sg_tui.screens.settings import SettingsScreen
from sg_tui.terminal import clipboard
from sg_tui.terminal.terminal_keys import restore_alt_keys
from sg_tui.terminal.textsafe import safe_line
from sg_tui.theme import DARK, LIGHT

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
FLUSH_SECONDS = 1 / 20
SHARE = 1 / 10  # of a processor's time that flushes may take, all with what they draw: dear ones come less often
LATEST_SECONDS = 0.5  # but never later than this
IDLE_SECONDS = 0.4  # between two looks while nothing goes on
QUIET_LOOKS = 20  # without an event, after which nothing goes on
SELDOM = 5  # looks for one drawing then
UNSEEN_SECONDS = 0.25  # between flushes while the terminal has no focus


class SgApp(App[None]):
    """`desk` holds the engine and what is known; the views get it, and show what stands there."""

    CSS_PATH = "styles/app.tcss"
    TITLE = "sg-tui"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {UsedFirst}  # noqa: RUF012 (declared so by Textual)
    COMMAND_PALETTE_BINDING = first_key("command_palette")
    DEFAULT_MODE = MODES[0].name
    BINDINGS = bindings("app")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    def __init__(
        self,
        model: str = "tinyshakespeare",
        precision: str | None = None,
        threads: int | None = None,
        engine: EngineLike | None = None,
        adapters: tuple[str, ...] = (),
        plain: bool = False,
    ) -> None:
        super().__init__()
        sys.setswitchinterval(5e-4)  # the screen gets its turn while the engine computes
        self.desk = Desk(self._tell, model, precision, threads, adapters, plain)
        self._wrong_keys = choose(self.desk.keys, ACTIONS)
        self.set_keymap({name: ",".join(keys) for name, keys in chosen().items()})
        restore_alt_keys()
        self._given_engine = engine
        self.crash = ""  # one line, when the program ended by a fault of its own
        self._not_before = 0.0
        self._quiet = 0  # looks in a row that found nothing
        self._timer: Timer | None = None
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

    def get_driver_class(self) -> type[Driver]:
        """Textual's own, made to bear what terminals do."""
        chosen = super().get_driver_class()
        if chosen.__name__ != "LinuxDriver":
            return chosen
        from sg_tui.terminal.driver import SteadyDriver

        return SteadyDriver

    def on_mount(self) -> None:
        if not self.is_headless:
            self._hear_signals()
        self.app_resume_signal.subscribe(self, self._paint_anew)
        self.call_after_refresh(self._begin)

    def _hear_signals(self) -> None:
        """A wish to end, or the end of the terminal, is as good as the key; a second one ends the program at once."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            with suppress(NotImplementedError):  # Windows
                loop.add_signal_handler(number, self._end_by, number)

    def _paint_anew(self, _: object) -> None:
        """After SIGTSTP and fg nothing is left on the terminal of what the app had drawn."""
        self.refresh(layout=True)

    def _end_by(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        for one in SIGNALS:
            loop.remove_signal_handler(one)
        self.exit(return_code=128 + number)

    def _begin(self) -> None:
        """The engine starts after the first paint."""
        self.desk.wake = self._wake
        self.desk.start(self._given_engine)
        for problem in self._wrong_keys:
            self.desk.say(f"{problem}; the usual key holds", "warning")
        self._sleep()

    def _sleep(self) -> None:
        """Until the next look at the engine: a short while where something goes on."""
        quiet = self._quiet > QUIET_LOOKS and not self.desk.busy
        self._timer = self.set_timer(IDLE_SECONDS if quiet else FLUSH_SECONDS, self._tick, name="flush")

    def _wake(self) -> None:
        """Something was asked for: what comes of it is to be seen at once. From any thread."""
        self.call_later(self._look_soon)

    def _look_soon(self) -> None:
        if self._quiet > QUIET_LOOKS and self._timer is not None:
            self._quiet = 0
            self._timer.stop()
            self._sleep()
        self._quiet = 0

    def _tick(self) -> None:
        self._look()
        if self._running:
            self._sleep()

    def _look(self) -> None:
        now, busy = time.perf_counter(), time.thread_time()
        self.desk.keep_now_and_then(self._theme_name)
        if now < self._not_before:
            return
        self._not_before = now + (0.0 if self.app_focus else UNSEEN_SECONDS)
        count = self._hand_on()
        self._quiet = 0 if count else self._quiet + 1
        if self._quiet < QUIET_LOOKS or self._quiet % SELDOM == 0:
            self._draw()
        if count:
            self.call_after_refresh(self._drawn, busy)

    def _drawn(self, busy: float) -> None:
        """What a flush brought is on the screen: the next one waits until this one was within its share.

        busy: processor time of this thread when it began.
        """
        cost = time.thread_time() - busy
        self._not_before = max(self._not_before, time.perf_counter() + min(LATEST_SECONDS, cost / SHARE - cost))

    def flush_events(self) -> int:
        """Hand every waiting event on, then draw the view that is seen. Returns the number of events."""
        count = self._hand_on()
        self._draw()
        return count

    def _hand_on(self) -> int:
        count = 0
        for event in self.desk.drain():
            for view in self._views:
                view.handle(event)
            count += 1
        if self.desk.load_trouble:
            self.call_later(self.action_choose_model, self.desk.load_trouble)
            self.desk.load_trouble = ""
        if self.desk.may_go:
            self.exit()
        return count

    def _draw(self) -> None:
        if self.screen_stack and isinstance(self.screen, ModeScreen):  # no screen is left at the very end
            self.screen.draw_all()

    def on_unmount(self) -> None:
        self.desk.close(self._theme_name)

    @property
    def _theme_name(self) -> str:
        return "light" if self.theme == LIGHT.name else "dark"

    def _fatal_error(self) -> None:
        """What nobody foresaw goes into a report; the terminal gets one line, when it has its screen back."""
        if isinstance(self._exception, Exception):
            from sg_core.crash_report import unforeseen

            self.crash = unforeseen(self._exception)
        self._close_messages_no_wait()

    # ------------------------------------------------------------ actions

    def action_mode(self, name: str) -> None:
        if not isinstance(self.screen, ModeScreen):
            return  # a dialog is open: it is answered first
        self.switch_mode(name)

    def action_help(self) -> None:
        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
        else:
            nearest = self.screen.scopes() if isinstance(self.screen, ModeScreen) else ()
            self.push_screen(HelpScreen(nearest))

    def action_settings(self) -> None:
        if isinstance(self.screen, ModeScreen):
            self.push_screen(SettingsScreen(self.desk))

    def action_choose_model(self, trouble: str = "") -> None:
        if not isinstance(self.screen, ModeScreen):
            if trouble:
                self.desk.say(trouble, "error")
            return
        loaded = self.desk.generation.loaded
        picker = ModelPicker(trouble, self.desk.preferences.model, loaded.model if loaded else "")
        self.push_screen(picker, self._model_chosen)

    def _model_chosen(self, model: str | None) -> None:
        if model is not None:
            self.desk.choose_model(model)

    def action_next_precision(self) -> None:
        if isinstance(self.screen, ModeScreen):
            self.desk.set_precision(self.desk.generation.next_precision)

    def action_fade_adapters(self) -> None:
        if isinstance(self.screen, ModeScreen):
            self.desk.fade_adapters()

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
        sequence = clipboard.osc52(text)
        if sequence is not None and self._driver is not None:
            self._driver.write(sequence)
        threading.Thread(target=self._copy, args=(text, sequence is not None), daemon=True).start()

    def _copy(self, text: str, sent: bool) -> None:
        try:
            self.call_later(self.desk.say, clipboard.copied(text, sent, paths.data_dir()))
        except OSError as problem:
            self.call_later(self.desk.say, f"This can't be copied: {problem.strerror}", "error")

    def action_export(self) -> None:
        """The screen as a picture, and the numbers behind it, into files; where they are is told whole."""
        if not isinstance(self.screen, ModeScreen):
            return
        from sg_tui.desk.records import records

        view, now, folder = self.screen.MODE, datetime.now(), paths.data_dir() / "figures"
        try:
            name = f"{now:%Y-%m-%d-%H%M%S}-{view}"
            written = [figures_file.save_text(folder, f"{name}.svg", self.export_screenshot(title="sg-tui"))]
            if rows := records(self.desk, view):
                written += figures_file.save_rows(folder, view, rows, now)
        except OSError as problem:
            self.desk.say(f"This can't be written into {folder}: {problem.strerror}", "error")
        else:
            self.desk.say(f"In {folder}: {', '.join(path.name for path in written)}")

    def action_toggle_theme(self) -> None:
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    async def action_quit(self) -> None:
        if self.desk.leave():
            self.exit()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: every action of the view that is seen, from the one table, the most used first."""
        mode = getattr(screen, "MODE", "")
        here = [action for action in actions(*SCOPES) if action.palette and action.scope in ("app", mode)]
        for action in sorted(here, key=lambda action: -self.desk.habits.weight(name_of(action))):
            run = self.run_action if action.scope == "app" else screen.run_action
            yield SystemCommand(action.description, action.key_text, partial(self._use, run, action))

    def _use(self, run: Callable[[str], Awaitable[object]], action: Action) -> None:
        self.desk.count_use(name_of(action))
        self.call_later(run, action.id)
