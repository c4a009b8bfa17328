"""A dialog over a main screen: a titled box that Esc closes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from sg_tui.keys import bindings

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer]):
    """Subclasses give `body`; `problem` shows a line in the box."""

    BINDINGS = bindings("dialog")  # type: ignore[assignment]  # a list of Binding is what Textual wants
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 (declared so by Textual)
    TITLE_TEXT = ""
    HINT = "Esc close"

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = self.TITLE_TEXT
            box.border_subtitle = self.HINT
            yield from self.body()
            yield Static("", id="problem", markup=False)

    def body(self) -> Iterable[Widget]:
        """What stands in the box."""
        return ()

    def problem(self, text: str) -> None:
        """Show a line of trouble, or none; any text that went through textsafe will do."""
        line = self.query_one("#problem", Static)
        line.update(Content(text))
        line.set_class(bool(text), "-shown")

    def action_close(self) -> None:
        self.dismiss(None)
