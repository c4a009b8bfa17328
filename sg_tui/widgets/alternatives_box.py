"""What else could have stood there: beside the token, and over everything else."""

from __future__ import annotations

import math
from dataclasses import dataclass

from textual.content import Content
from textual.geometry import Offset, Size

from sg_tui.figures import bar
from sg_tui.state.manuscript import Piece
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.panel import Panel, lines

WIDTH = 38
LEAST = 3  # rows with the frame: below that nothing is shown
WORD = 16  # cells of a token's text
WHO = {
    "model": "what else",
    "taken": "you took this",
    "person": "you typed this",
    "edit": "you changed this",
    "cue": "a cue of the chat",
    "changed": "values were changed here",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the tokens that could stand at a place. number: in the token's `top`; None for the token itself."""

    number: int | None
    text: str
    logprob: float
    here: bool  # it stands there now
    written: bool = False  # a branch goes on with it


def choices(piece: Piece | None, written: frozenset[int] = frozenset()) -> list[Choice]:
    """What could stand in the place of a piece, the likeliest first; none for what no model wrote.

    written: ids of the tokens with which other branches go on at this place.
    """
    token = piece.token if piece else None
    if piece is None or token is None or not token.top:
        return []
    found = [
        Choice(number, text, logprob, id == token.id, id in written and id != token.id)
        for number, ((id, logprob), text) in enumerate(zip(token.top, piece.top_texts, strict=True))
    ]
    if not any(one.here for one in found):
        found.append(Choice(None, token.text, token.logprob, here=True))
    return found


def placed(token: Offset, size: Size, screen: Size, floor: int) -> tuple[Offset, int]:
    """Where a box of this size stands that leaves its token's line free, and how high it may be.

    Below the token if it ends there above `floor`, the line where the text does; else above the token if it fits there,
    so that it covers nothing but text; else where more room is.
    """
    below, above = screen.height - token.y - 2, token.y - 1  # the footer and the header stay
    x = max(0, min(token.x - 2, screen.width - size.width))
    within = floor - token.y - 1 >= size.height
    if within or (above < size.height and (below >= size.height or below >= above)):
        return Offset(x, token.y + 1), min(size.height, below)
    height = min(size.height, above)
    return Offset(x, token.y - height), height


class AlternativesBox(Panel):
    """The choices at one place, one of them marked. `shown` is what it shows now."""

    TITLE = "what else"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.display = False
        self.shown: list[Choice] = []
        self.chosen = 0
        self.who: str | None = None
        self.branches = 1
        self._index: int | None = None  # of the token they stand beside
        self._drawn: tuple[object, ...] = ()

    @property
    def choice(self) -> Choice | None:
        """The marked one."""
        return self.shown[self.chosen] if self.chosen < len(self.shown) else None

    def offer(self, index: int | None, found: list[Choice], who: str | None, branches: int) -> None:
        """The choices at a place, with the token itself marked when they are others than before.

        who: wrote what stands there, a key of WHO, None where nothing does; branches: so many ways go on from there.
        """
        self.branches, self.who = branches, who
        if (index, found) == (self._index, self.shown):
            return
        self._index, self.shown = index, found
        self.chosen = next((number for number, one in enumerate(found) if one.here), 0)

    def step(self, by: int) -> None:
        """Mark the one above or below; after the last comes the first."""
        if self.shown:
            self.chosen = (self.chosen + by) % len(self.shown)

    def show(self, token: Offset | None, screen: Size, floor: int) -> None:
        """Stand beside the token, above the line `floor` if it can; None: the token can't be seen, nor the box."""
        size = Size(min(WIDTH, screen.width), max(1, len(self.shown)) + 2)
        offset, height = Offset(), 0
        if token is not None and self.who is not None:
            offset, height = placed(token, size, screen, floor)
        drawn = (offset, height, size, self.chosen, tuple(self.shown), self.who, self.branches)
        if drawn == self._drawn:
            return
        self._drawn, self.display = drawn, height >= LEAST
        if not self.display:
            return
        self.absolute_offset = offset
        self.styles.width, self.styles.height = size.width, height
        self.border_title = WHO[self.who or "model"]
        self._draw(height - 2, size.width - 4)
        self.refresh(layout=True)

    def _draw(self, rows: int, width: int) -> None:
        if self.shown:
            first = max(0, min(self.chosen - rows // 2, len(self.shown) - rows))
            marked = [(number == self.chosen, self.shown[number]) for number in range(first, first + rows)]
            self.set_content(lines([_row(*one, width) for one in marked]))
        else:
            self.set_content(Content.styled("no model told what else", "$faint"))
        moved = self.choice is not None and not self.choice.here
        ways = f"[ ] {self.branches} ways · " if self.branches > 1 else ""
        act = "Enter forks here" if moved else "↑ ↓ choose" if self.shown else "e change it"
        self.border_subtitle = Content(ways + act)


def _row(chosen: bool, choice: Choice, width: int) -> Content:
    probability = math.exp(min(0.0, choice.logprob))
    room = max(0, width - WORD - 12)
    style = "bold $foreground" if chosen or choice.here else "$foreground"
    return Content.assemble(
        ("▸ " if chosen else "  ", "$accent"),
        (f"{_quoted(choice.text):<{WORD}}", style),
        (f"{bar(probability, room):<{room}}", "$secondary"),
        (f"{probability:>7.1%}", "$faint"),
        (" • " if choice.here else " ↳ " if choice.written else "   ", "$accent"),
    )


def _quoted(text: str) -> str:
    """A token's text so that its blanks can be seen, WORD cells wide."""
    content = Content(f"“{safe_line(text)}”")
    if content.cell_length > WORD - 1:
        content = content.truncate(WORD - 1, ellipsis=True)
    return content.plain + " " * max(0, WORD - content.cell_length)
