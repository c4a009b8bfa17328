"""The whole text, to be changed anywhere."""

from __future__ import annotations

from textual.message import Message

from sg_tui.keys import bindings
from sg_tui.widgets.prompt import Prompt


class TextEditor(Prompt):
    """As the prompt, over all of the text: Enter lets the model go on from the cursor, Esc is done with it."""

    BINDINGS = bindings("editor")

    class Finished(Message):
        """at: where the cursor is when the model is to go on from there; None: it stays as it is."""

        def __init__(self, at: int | None) -> None:
            self.at = at
            super().__init__()

    def open(self, text: str, at: int) -> None:
        """Show this text, harmless already, with the cursor at a character of it."""
        self.load_text(text)
        row = text.count("\n", 0, at)
        self.move_cursor((row, at - (text.rfind("\n", 0, at) + 1)))
        self.scroll_cursor_visible()

    def action_send(self) -> None:
        row, column = self.cursor_location
        before = sum(len(self.document.get_line(line)) + 1 for line in range(row))
        self.post_message(self.Finished(before + column))

    def action_done(self) -> None:
        self.post_message(self.Finished(None))

    def action_older(self) -> None:
        self.action_cursor_up()

    def action_newer(self) -> None:
        self.action_cursor_down()

    def action_scroll(self, by: int) -> None:
        match by:
            case -1:
                self.action_cursor_page_up()
            case 1:
                self.action_cursor_page_down()
            case by:
                self.move_cursor((0, 0) if by < 0 else self.document.end)

    def action_edge(self, by: int) -> None:
        if by < 0:
            self.action_cursor_line_start()
        else:
            self.action_cursor_line_end()

    def action_undo(self) -> None:
        self.undo()

    def action_redo(self) -> None:
        self.redo()
