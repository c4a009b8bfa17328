"""Who speaks and who answers in a chat: two names that can be changed."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Label

from sg_tui.state.play import NAME_LENGTH, Cast, name
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.line_input import LineInput


class CastBar(Horizontal):
    """One line, seen in a chat."""

    class Changed(Message):
        """A name was changed."""

        def __init__(self, cast: Cast) -> None:
            self.cast = cast
            super().__init__()

    def __init__(self, cast: Cast, id: str | None = None) -> None:
        super().__init__(id=id)
        self._cast = cast

    def compose(self) -> ComposeResult:
        yield Label("you are ", classes="faint")
        yield LineInput(safe_line(self._cast.person), compact=True, max_length=NAME_LENGTH, id="person")
        yield Label("  the model is ", classes="faint")
        yield LineInput(safe_line(self._cast.model), compact=True, max_length=NAME_LENGTH, id="other")

    @on(LineInput.Changed)
    def _changed(self) -> None:
        person, other = (self.query_one(f"#{id}", LineInput).value for id in ("person", "other"))
        cast = Cast(name(person, Cast().person), name(other, Cast().model))
        if cast != self._cast:
            self._cast = cast
            self.post_message(self.Changed(cast))

    @on(LineInput.Submitted)
    def _leave(self) -> None:
        self.screen.focus_next()
