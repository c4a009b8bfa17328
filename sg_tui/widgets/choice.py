"""A few choices beneath each other, of which one is taken: the arrows move it, a click sets it.

Where there is less room than choices, those around the one taken are seen.
"""

from __future__ import annotations

from collections.abc import Mapping

from textual import events
from textual.content import Content
from textual.geometry import Size
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
        if 0 <= event.y < len(self._seen):
            self.take(self._seen[event.y])

    @property
    def _seen(self) -> list[str]:
        """The options that have room, the one taken among them."""
        keys, room = list(self._options), max(1, self.size.height)
        first = min(max(0, keys.index(self.value) - room // 2), max(0, len(keys) - room))
        return keys[first : first + room]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._options)

    def render(self) -> Content:
        keys, seen = list(self._options), self._seen
        above, below = keys.index(seen[0]), len(keys) - 1 - keys.index(seen[-1])
        more = dict.fromkeys(seen, "")
        more[seen[0]] += f"  ↑ {above} more" if above else ""
        more[seen[-1]] += f"  ↓ {below} more" if below else ""
        return Content("\n").join(self._line(key, self._options[key], more[key]) for key in seen)

    def _line(self, key: str, words: str, more: str) -> Content:
        taken = key == self.value
        name, _, rest = safe_line(words).partition("  ")
        style = "bold reverse $primary" if taken and self.has_focus else "$foreground" if taken else "$foreground 70%"
        return Content.assemble(
            ("◉ " if taken else "○ ", "$primary" if taken else "$faint"),
            (name, style),
            (more, "$accent"),
            (f"  {rest}", "$faint"),
        )

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()
