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
        width = self.content_size.width
        if width <= 0:
            return
        if piece is None or not piece.top:
            self.set_content(Content.styled("Esc, then ← → choose a token", "$faint"))
            self.border_subtitle = ""
            return
        shown = max(1, self.content_size.height)
        rows = [(token, logprob, text) for token, logprob, text in piece.top[:shown]]
        if all(token != piece.id for token, _, _ in rows):
            rows = [*rows[: shown - 1], (piece.id, piece.logprob, piece.text)]
        self.set_content(lines([_row(piece, *row, width) for row in rows]))
        self.border_subtitle = f"{-piece.logprob / math.log(2):.1f} bits of surprise"


def _row(piece: Piece, token: int, logprob: float, text: str, width: int) -> Content:
    chosen = token == piece.id
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
