"""The sections of the library in a line, each with how much is in it; a click chooses one."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from sg_tui.state.shelf import SECTIONS, Section, Shelf


class SectionRow(Widget):
    """The one that is seen is underlined."""

    DEFAULT_CSS = "SectionRow { height: 1; padding: 0 1; }"
    ALLOW_SELECT = False

    class Chosen(Message):
        """The person wants to see another section."""

        def __init__(self, section: Section) -> None:
            super().__init__()
            self.section = section

    def __init__(self, shelf: Shelf, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shelf = shelf

    def render(self) -> Content:
        return Content("  ").join(self._word(section) for section in SECTIONS)

    def _word(self, section: Section) -> Content:
        style = "bold underline $primary" if section == self._shelf.section else "$foreground"
        return Content.assemble((section, style), (f" {self._shelf.count(section)}", "$faint"))

    def on_click(self, event: events.Click) -> None:
        at = 1
        for section in SECTIONS:
            end = at + self._word(section).cell_length
            if at <= event.x < end:
                self.post_message(self.Chosen(section))
            at = end + 2
