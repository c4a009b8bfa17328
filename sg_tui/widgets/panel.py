"""A titled frame around figures, drawn again only when a figure has changed."""

from __future__ import annotations

from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from sg_tui.widgets.framed import Framed


class Panel(Framed, Widget):
    """Subclasses give `set_content` new content; the title stands in the frame."""

    ALLOW_SELECT = False
    TITLE = ""

    class Resized(Message):
        """There is more room, or less: it is to be drawn again."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.border_title = self.TITLE
        self._content = Content("")

    def set_content(self, content: Content) -> None:
        if not content.is_same(self._content):
            self._content = content
            self.refresh()

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    def render(self) -> Content:
        return self._content


def lines(rows: list[Content]) -> Content:
    """Rows beneath each other."""
    return Content("\n").join(rows)


def meter(share: float, width: int) -> tuple[str, str]:
    """`share` of `width` cells: what is full and what is left, to be coloured apart."""
    full = round(max(0.0, min(1.0, share)) * width)
    return "━" * full, "─" * (width - full)
