"""Four continuations of one place, whole and side by side; where there is less room, two and two."""

from __future__ import annotations

import math
from collections.abc import Iterator

from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from sg_tui.keys import bindings
from sg_tui.state.continuations import Continuations
from sg_tui.terminal.textsafe import safe
from sg_tui.widgets.panel import Panel, lines
from sg_tui.widgets.walk_keys import WalkKeys
from sg_tui.widgets.wrapping import WrappedText

COUNT = 4
HIGHEST, LOWEST = 16, 10  # rows
TEXT_ROWS = 5  # of the text that stay above it
CHARACTERS = 4  # of a token, about


class Way(Panel):
    """One continuation, numbered by the key that takes it."""

    def __init__(self, number: int) -> None:
        super().__init__(id=f"way-{number + 1}")
        self.number = number
        self.border_title = str(number + 1)

    def show(self, ways: Continuations, first: int) -> int:
        """Draw it from row `first` on; how many rows it has more than are seen."""
        width, height = self.content_size
        if width <= 0:
            return 0
        node = ways.nodes[self.number]
        text = WrappedText(width)
        text.append(safe(node.words.lstrip("\n") if node is not None else ""))
        rows = [text.text[slice(*text.span(row))].expandtabs(4) for row in range(len(text))]
        seen = rows[min(first, max(0, len(rows) - height)) :][:height]
        self.set_content(lines([Content.styled(row, "$model") for row in seen]))
        self.border_subtitle = Content(self._facts(ways))
        return len(rows) - height

    def _facts(self, ways: Continuations) -> str:
        bits = ways.bits(self.number)
        if math.isnan(bits):
            return "nothing came" if ways.reasons[self.number] else "…"
        node = ways.nodes[self.number]
        return f"{bits:.1f} bits a token · {len(node.pieces) if node else 0}"


class ContinuationsView(WalkKeys, Widget, can_focus=True):
    """Stands beneath the text. Posts what the person wants of it."""

    BINDINGS = bindings("several")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    class Asked(Message):
        """take: the number of a continuation; others: write four more; else: the text stays as it was."""

        def __init__(self, take: int | None = None, others: bool = False) -> None:
            self.take, self.others = take, others
            super().__init__()

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.display = False
        self._first = 0  # row at the top of each
        self._hidden = 0  # rows below what is seen, of the longest
        self._drawn: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        for number in range(COUNT):
            yield Way(number)

    @property
    def ways(self) -> Iterator[Way]:
        return iter(self.query(Way))

    @staticmethod
    def rows(screen_rows: int) -> int:
        """How high it is on a screen of so many rows."""
        return max(LOWEST, min(HIGHEST, screen_rows - TEXT_ROWS - 2))

    @classmethod
    def tokens(cls, columns: int, rows: int) -> int:
        """How many tokens can be read whole in each."""
        across = COUNT if columns >= 100 else 2
        width, height = columns // across - 4, cls.rows(rows) * across // COUNT - 2
        return max(12, min(48, 2 * width * height // CHARACTERS // 3))

    def show(self, ways: Continuations) -> None:
        """Show them as they are now."""
        drawn = (id(ways), ways.version, self._first, self.size)
        if drawn != self._drawn:
            self._drawn = drawn
            self._hidden = max(way.show(ways, self._first) for way in self.ways)

    def reset(self) -> None:
        """The next ones are shown from their beginning."""
        self._first, self._drawn = 0, ()

    def action_pick(self, number: int) -> None:
        self.post_message(self.Asked(take=number - 1))

    def action_others(self) -> None:
        self.post_message(self.Asked(others=True))

    def action_keep_old(self) -> None:
        self.post_message(self.Asked())

    def action_scroll_all(self, by: int) -> None:
        self._first = max(0, min(self._first + by, self._hidden))
        self._drawn = ()
        self.call_next(self.screen.draw_all)  # type: ignore[attr-defined]  # a view's
