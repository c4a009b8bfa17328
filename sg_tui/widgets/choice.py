"""A few choices beneath each other, of which one is taken: the arrows move it, a click sets it."""

from __future__ import annotations

from collections.abc import Mapping

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from sg_tui.keys import bindings
from sg_tui.terminal.textsafe import safe_line


class Choice(Widget):
    """`value` is the key of the option taken. Tab leaves it; Enter is left to the screen."""

    DEFAULT_CSS = "Choice { height: auto; width: 1fr; }"
    BINDINGS = bindings("choice")  # type: ignore[assignment]  # a list of Binding is what Textual wants
    can_focus = True
    ALLOW_SELECT = False

    class Changed(Message):
        """Another option was taken by the person."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> Choice:
            """What `on` selects by."""
            return self.choice

    def __init__(self, options: Mapping[str, str], value: str, id: str | None = None) -> None:
        super().__init__(id=id)
        self._options = dict(options)
        self.value = value

    def reword(self, key: str, words: str) -> None:
        """Give an option other words."""
        if self._options[key] != words:
            self._options[key] = words
            self.refresh(layout=True)

    def take(self, key: str) -> None:
        """Take an option; says so if it is another one."""
        if key != self.value:
            self.value = key
            self.refresh()
            self.post_message(self.Changed(self))

    def action_move(self, by: int) -> None:
        keys = list(self._options)
        self.take(keys[(keys.index(self.value) + by) % len(keys)])

    def on_click(self, event: events.Click) -> None:
        if 0 <= event.y < len(self._options):
            self.take(list(self._options)[event.y])

    def render(self) -> Content:
        return Content("\n").join(self._line(key, words) for key, words in self._options.items())

    def _line(self, key: str, words: str) -> Content:
        taken = key == self.value
        name, _, rest = safe_line(words).partition("  ")
        style = "bold $primary" if taken and self.has_focus else "$foreground" if taken else "$foreground 70%"
        return Content.assemble(
            ("◉ " if taken else "○ ", "$primary" if taken else "$faint"),
            (name, style),
            (f"  {rest}", "$faint"),
        )

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()
