"""A line to type in, into which nothing harmful can be pasted."""

from __future__ import annotations

from textual import events
from textual.widgets import Input

from sg_tui.terminal.textsafe import safe_line

LONGEST = 4096


class LineInput(Input):
    """Textual's Input; a pasted text loses its line ends and its control characters."""

    def on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        words = " ".join(event.text[:LONGEST].split())
        self.insert_text_at_cursor(safe_line(words))
