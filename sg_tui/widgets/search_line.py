"""A line in which words to search for are typed, above the list of what they leave."""

from __future__ import annotations

from textual.message import Message

from sg_tui.keys import bindings
from sg_tui.widgets.line_input import LineInput


class SearchLine(LineInput):
    """The list is moved in from here, too."""

    BINDINGS = bindings("search")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    class Moved(Message):
        """The entry before (-1) or after (1) is meant, or (0) the list has the keys from now on."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def action_highlight(self, by: int) -> None:
        self.post_message(self.Moved(by))
