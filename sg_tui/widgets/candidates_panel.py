"""What else could have stood there: the likeliest tokens at one place of the text."""

from __future__ import annotations

import math

from textual.content import Content

from sg_tui.figures import bar
from sg_tui.state.manuscript import Piece
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.panel import Panel, lines


class CandidatesPanel(Panel):
    """The alternatives of the token under the cursor, or of the newest one, with their probabilities."""

    TITLE = "alternatives"

    def show(self, piece: Piece | None) -> None:
        """Draw the alternatives of this piece."""
        width = self.content_size.width
        if width <= 0:
            return
        token = piece.token if piece else None
        if piece is None or token is None or not token.top:
            self.set_content(Content.styled("Esc, then ← → choose a token", "$faint"))
            self.border_subtitle = ""
            return
        shown = max(1, self.content_size.height)
        rows = [(*one, text) for one, text in zip(token.top, piece.top_texts, strict=True)][:shown]
        if all(id != token.id for id, _, _ in rows):
            rows = [*rows[: shown - 1], (token.id, token.logprob, token.text)]
        self.set_content(lines([_row(id == token.id, logprob, text, width) for id, logprob, text in rows]))
        self.border_subtitle = f"{-token.logprob / math.log(2):.1f} bits of surprise"


def _row(chosen: bool, logprob: float, text: str, width: int) -> Content:
    room = max(0, width - 26)
    probability = math.exp(min(0.0, logprob))
    return Content.assemble(
        ("▸ " if chosen else "  ", "$accent"),
        (f"{_quoted(text):<16}", "bold $foreground" if chosen else "$foreground"),
        (f"{bar(probability, room):<{room}}", "$secondary"),
        (f"{probability:>7.1%}", "$faint"),
    )


def _quoted(text: str) -> str:
    """A token's text so that its blanks can be seen, at most 15 cells wide."""
    content = Content(f"“{safe_line(text)}”")
    if content.cell_length > 15:
        content = content.truncate(15, ellipsis=True)
    return content.plain + " " * max(0, 15 - content.cell_length)
