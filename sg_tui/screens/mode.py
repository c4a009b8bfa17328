"""What the three main screens have in common: header, footer, events, and the word when there is no room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from sg_core.engine.events import Event
from sg_tui.desk import Desk
from sg_tui.keys import Scope
from sg_tui.widgets.action_footer import ActionFooter
from sg_tui.widgets.header import Header

LEAST_WIDTH, LEAST_HEIGHT = 60, 16


class ModeScreen(Screen[None]):
    """A main screen. Subclasses give `body` and take events; data stays in plain state, drawn only when seen.

    The app calls `handle` for every event, also while the screen is hidden (no widget work there), and `draw`
    once after each batch of events and at least twice a second, only while the screen is seen.
    """

    MODE: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (118, "-roomy")]  # noqa: RUF012 (declared so by Textual)
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall"), (48, "-high")]  # noqa: RUF012

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._focused_before: Widget | None = None  # when the terminal became too small to show it

    def compose(self) -> ComposeResult:
        yield Header()
        yield from self.body()
        yield ActionFooter()
        yield Static(f"This needs {LEAST_WIDTH} columns and {LEAST_HEIGHT} lines.", id="too-small", markup=False)

    def body(self) -> Iterable[Widget]:
        """The widgets between header and footer."""
        return ()

    def scopes(self) -> tuple[Scope, ...]:
        """The scopes whose actions the footer shows now, nearest first."""
        return ("app",)

    def labels(self) -> Mapping[str, str]:
        """What the footer calls actions that do another thing now than usually, by their ids; "": nothing."""
        return {}

    def handle(self, event: Event) -> None:
        """Take an event. Widgets are not touched here."""

    def draw(self) -> None:
        """Show what has changed."""

    def draw_all(self) -> None:
        """Header, footer and the screen's own; called by the app."""
        if not self.query(Header):  # not composed yet, or taken apart at the end
            return
        self.query_one(Header).show(self.desk, self.MODE)
        self.query_one(ActionFooter).show(self.scopes(), self.labels())
        self.draw()

    def on_screen_resume(self) -> None:
        if self.is_mounted:
            self.draw_all()

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        small = width < LEAST_WIDTH or height < LEAST_HEIGHT
        if small and not self.has_class("-too-small"):
            self._focused_before = self.focused
        elif not small and self.has_class("-too-small"):
            self.call_after_refresh(self._focus_again)
        self.set_class(small, "-too-small")
        if small:
            notice = f"sg-tui needs {LEAST_WIDTH} x {LEAST_HEIGHT}, this terminal is {width} x {height}"
            self.query_one("#too-small", Static).update(notice)

    def _focus_again(self) -> None:
        """What was hidden for want of room has the keys again."""
        if self.focused is None:
            chain = self.focus_chain
            self.set_focus(self._focused_before if self._focused_before in chain else next(iter(chain), None))
