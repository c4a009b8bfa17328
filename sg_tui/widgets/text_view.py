"""The text: each token in the colour of its author, or of its surprise; grows at the tail at a flat cost."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from textwrap import wrap
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Offset, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from sg_tui.keys import bindings
from sg_tui.state.manuscript import Manuscript, Piece
from sg_tui.state.tint import Runs
from sg_tui.terminal.textsafe import raw_index, safe
from sg_tui.widgets.framed import Framed
from sg_tui.widgets.shading import LEVELS, Shade, Shading, cut_at
from sg_tui.widgets.walk_keys import WalkKeys
from sg_tui.widgets.wrapping import WrappedText, expanded

HINT = ("Type the beginning of a text below and press Enter: the model goes on with it.",)
CHAT_HINT = ("Type below what you say and press Enter: the model answers.",)
MORE_HINTS = (
    "",
    "While it writes, press Alt+1 … Alt+9 to switch its optimizations off and on, and see what each of them is "
    "worth. The text stays the same. Alt+P stores the weights in fewer bits; F8: a reading pace, or full speed.",
    "",
    "When it rests, Esc walks through the text: ↑ ↓ choose another token, Enter takes it, Space writes four ways on, "
    "i looks inside the model. F7 tints every token by how sure the model was of it.",
    "",
)
CHANGE_HINT = "Alt+C makes it a chat: you speak, the model answers."
CHAT_CHANGE_HINT = "Alt+C goes back to completing one text."


class TextView(WalkKeys, Framed, ScrollView, can_focus=True):
    """Shows a Manuscript. Follows the tail unless the person has scrolled away from it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "text--person",
        "text--model",
        "text--taken",
        "text--edit",
        "text--changed",
        "text--cue",
        "text--cursor",
        "text--caret",
        "text--hint",
        *(f"text--tint-{level}" for level in ("plain", "0", "1", "2", "3")),
        *(f"text--tint-{style}" for style in ("person", "model", "cue", "taken", "edit", "changed")),
        *(f"text--shade-{level}" for level in range(1, LEVELS + 1)),
    }

    BINDINGS = bindings("document")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    class CursorMoved(Message):
        """The token under the cursor is another one, or none."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tint: Runs | None = None  # of the text as it is shown, instead of the colours of the authors
        self.running = False
        self.chat = False  # what is typed is spoken, and answered
        self.cursor: int | None = None  # index of a piece
        self.unseen = 0  # rows below the last visible one that came since the person scrolled away
        self._follow = True
        self._wrapped = WrappedText(1)
        self._pieces: list[Piece] = []
        self._starts: list[int] = []  # where each piece begins in the wrapped text
        self._source: tuple[int, int] | None = None
        self._styles: dict[str, Style] = {}
        self._rows: dict[int, Strip] = {}  # drawn before, and still right
        self._shading = Shading()
        self.looked_into = False  # the chosen token is seen, also while keys act elsewhere

    # ------------------------------------------------------------ what is shown

    def show(self, manuscript: Manuscript, running: bool) -> None:
        """Show the manuscript as it is now. Only what was added since is worked on."""
        source = (id(manuscript), manuscript.version)
        added = len(manuscript.pieces) - len(self._pieces)
        if source == self._source and not added and running == self.running:
            return
        rows, before = len(self._wrapped), len(self._pieces)
        kept = before if source == self._source else self._common(manuscript)
        self._cut(kept)
        self._append(manuscript.pieces[kept:])
        self._source, self.running = source, running
        self._resized()
        self.unseen = 0 if self._follow else self.unseen + max(0, len(self._wrapped) - rows)
        if before and kept == before:  # the rows before the last one stay as they are
            self.refresh_lines(rows - 1, len(self._wrapped) - rows + 1)
        else:
            self.refresh()

    def _common(self, manuscript: Manuscript) -> int:
        """How many pieces at the beginning are the very same."""
        count = 0
        for old, new in zip(self._pieces, manuscript.pieces, strict=False):
            if old is not new:
                break
            count += 1
        return count

    def _cut(self, kept: int) -> None:
        if kept == len(self._pieces):
            return
        length = self._starts[kept]
        del self._pieces[kept:], self._starts[kept:]
        self._wrapped.cut(length)
        self._rows.clear()
        self.move_cursor(None)
        self.screen.clear_selection()

    def _append(self, pieces: list[Piece]) -> None:
        if not pieces:
            return
        texts = [safe(piece.text) for piece in pieces]
        at = len(self._wrapped.text)
        for text in texts:
            self._starts.append(at)
            at += len(text)
        self._pieces.extend(pieces)
        changed = self._wrapped.append("".join(texts))
        for row in [row for row in self._rows if row >= changed]:
            del self._rows[row]

    def _resized(self) -> None:
        size = Size(self._wrapped.width, len(self._wrapped) if self._pieces else 0)
        scrolled = size.height > self.scrollable_content_region.height
        if self.show_vertical_scrollbar == scrolled and size.width == self.virtual_size.width:
            # a longer text moves the scroll bar at most; a new layout would draw the whole screen again
            self.set_reactive(Widget.virtual_size, size)
            if scrolled:
                self.vertical_scrollbar.window_virtual_size = size.height
        else:
            self.virtual_size = size
        if self._follow:
            self._scroll_to_end()

    def _scroll_to_end(self) -> None:
        # forced: the scroll bar that would allow it appears only with the next layout
        self.scroll_end(animate=False, immediate=True, force=True, x_axis=False)

    def on_resize(self) -> None:
        width = self.scrollable_content_region.width
        if width != self._wrapped.width:
            self._wrapped.set_width(width)
            self._rows.clear()
            self.screen.clear_selection()
        self._resized()
        self.refresh()

    def set_tint(self, tint: Runs | None) -> None:
        """Tint runs of the shown text, or no longer; levels name styles."""
        self.tint = tint
        self._redraw()

    def set_shade(self, shades: Iterable[Shade]) -> None:
        """Shade these parts of the text, and no others."""
        self._shading = Shading(shades, self._pieces)
        self._redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._rows.clear()

    def _redraw(self) -> None:
        """The same text looks different now."""
        self._rows.clear()
        self.refresh()

    def follow(self) -> None:
        """Follow the tail again."""
        self._follow, self.unseen = True, 0
        self._scroll_to_end()

    def go_to_end(self) -> None:
        """Follow the tail again, no token chosen."""
        self.move_cursor(None)
        self.follow()

    # ------------------------------------------------------------ the cursor on a token

    @property
    def cursor_piece(self) -> Piece | None:
        """The piece under the cursor, or else the newest token."""
        if self.cursor is not None and self.cursor < len(self._pieces):
            return self._pieces[self.cursor]
        return next((piece for piece in reversed(self._pieces) if piece.top_texts), None)

    def move_cursor(self, index: int | None) -> None:
        """Put the cursor on a piece (None: take it away) and bring it into view."""
        if index is not None:
            if not self._pieces:
                return
            index = max(0, min(len(self._pieces) - 1, index))
        if index == self.cursor:
            return
        self.cursor = index
        if index is not None:
            row, _ = self._wrapped.place(self._starts[index])
            top, height = self.scroll_offset.y, self.scrollable_content_region.height
            if not top <= row < top + height:
                self.scroll_to(y=row - height // 2, animate=False)
        self._redraw()
        self.post_message(self.CursorMoved())

    def step_cursor(self, by: int) -> None:
        """Move the cursor to the token before or after; it begins at the last one."""
        last = len(self._pieces)
        self._hold()
        self.move_cursor((last if self.cursor is None else self.cursor) + by)

    def _hold(self) -> None:
        """A token is being chosen: what comes meanwhile does not move it away."""
        if self.running and self.cursor is not None:
            self._follow = False

    def action_cursor_left(self) -> None:
        self.step_cursor(-1)

    def action_cursor_right(self) -> None:
        self.step_cursor(1)

    def show_cursor(self) -> None:
        """Bring the token under the cursor near the top."""
        if self.cursor is not None and self.cursor < len(self._starts):
            row, _ = self._wrapped.place(self._starts[self.cursor])
            self.scroll_to(y=row - 1, animate=False)

    def action_cursor_row(self, by: int) -> None:
        """Move the cursor to the token above or below it."""
        if self.cursor is None or self.cursor >= len(self._starts):
            self.step_cursor(-1)
            return
        self._hold()
        row, cell = self._wrapped.place(self._starts[self.cursor])
        row = max(0, min(len(self._wrapped) - 1, row + by))
        found = bisect_right(self._starts, self._wrapped.index_at(row, cell)) - 1
        self.move_cursor(found if found != self.cursor else found + by)

    @property
    def cursor_offset(self) -> Offset | None:
        """Where the token under the cursor begins on the screen; None where it is not seen."""
        if self.cursor is None or self.cursor >= len(self._starts):
            return None
        region = self.scrollable_content_region
        row, cell = self._wrapped.place(self._starts[self.cursor])
        row -= self.scroll_offset.y
        return Offset(region.x + cell, region.y + row) if 0 <= row < region.height else None

    def piece_at(self, row: int, cell: int) -> int | None:
        """Index of the piece shown there."""
        if not self._pieces or row >= len(self._wrapped):
            return None
        index = self._wrapped.index_at(row, cell)
        if index >= len(self._wrapped.text):
            return None
        return bisect_right(self._starts, index) - 1

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and not self.screen.get_selected_text():
            self.move_cursor(self.piece_at(offset.y + self.scroll_offset.y, offset.x))
            self._hold()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._follow = self.is_vertical_scroll_end
        if self._follow:
            self.unseen = 0
        if self.cursor is not None:
            self.post_message(self.CursorMoved())

    # ------------------------------------------------------------ selection

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The raw text under the selection, as the model wrote it."""
        first = 0 if selection.start is None else self._index(*selection.start)
        end = len(self._wrapped.text) if selection.end is None else self._index(*selection.end)
        return self._raw(first, end), ""

    def selection_updated(self, selection: Selection | None) -> None:
        self._redraw()

    def on_focus(self) -> None:
        if self.cursor is None:
            self.step_cursor(-1)
        self._redraw()

    def on_blur(self) -> None:
        self._redraw()

    def _index(self, x: int, y: int) -> int:
        if y >= len(self._wrapped):
            return len(self._wrapped.text)
        start, end = self._wrapped.span(y)
        return min(start + x, end)

    def _raw(self, first: int, end: int) -> str:
        parts = []
        for number in range(max(0, bisect_right(self._starts, first) - 1), len(self._pieces)):
            start = self._starts[number]
            if start >= end:
                break
            raw = self._pieces[number].text
            low = raw_index(raw, first - start) if first > start else 0
            parts.append(raw[low : raw_index(raw, end - start)])
        return "".join(parts)

    # ------------------------------------------------------------ drawing

    def _hints(self) -> tuple[str, ...]:
        """What an empty text says: how one begins, as the mode has it."""
        if self.chat:
            return *CHAT_HINT, *MORE_HINTS, CHAT_CHANGE_HINT
        return *HINT, *MORE_HINTS, CHANGE_HINT

    def render_line(self, y: int) -> Strip:
        width, row = self.scrollable_content_region.width, y + self.scroll_offset.y
        base = self._style("base")
        if not self._pieces:
            lines = [line for part in self._hints() for line in wrap(part, max(20, width)) or [""]]
            hint = lines[row] if row < len(lines) else ""
            return Strip([Segment(hint[:width], self._style("hint"))]).extend_cell_length(width, base)
        if row >= len(self._wrapped):
            return Strip.blank(width, base)
        if self.running and row == len(self._wrapped) - 1:
            segments, column = self._row_segments(row)
            if column < width:
                segments.append(Segment("▌", self._style("caret")))
            return Strip(segments).adjust_cell_length(width, base)
        if row not in self._rows:
            self._rows[row] = Strip(self._row_segments(row)[0]).adjust_cell_length(width, base)
        return self._rows[row]

    def _row_segments(self, row: int) -> tuple[list[Segment], int]:
        """The row's segments, one a piece and selection state, and its width in cells."""
        start, end = self._wrapped.span(row)
        chosen = self._selected(row, start, end)
        segments: list[Segment] = []
        column, index = 0, start
        number = bisect_right(self._starts, start) - 1
        while index < end:
            while number + 1 < len(self._starts) and self._starts[number + 1] <= index:
                number += 1
            stop = min(end, self._starts[number + 1] if number + 1 < len(self._starts) else end)
            name, stop = self._named_style(number, index, stop)
            for first, last, selected in cut_at(index, stop, chosen):
                for low, high, level in self._shading.cuts(number, self._starts[number], first, last):
                    style = self._piece_style(number, name)
                    if level:
                        style += self._style(f"shade-{level}")
                    if selected:
                        style += self.screen.get_component_rich_style("screen--selection")
                    shown, column = expanded(self._wrapped.text[low:high], column)
                    segments.append(Segment(shown, style + Style.from_meta({"offset": (low - start, row)})))
            index = stop
        if not segments:
            segments.append(Segment(" ", self._style("base") + Style.from_meta({"offset": (0, row)})))
        return segments, column

    def _selected(self, row: int, start: int, end: int) -> tuple[int, int] | None:
        """The part of the row that is selected, as indices of the wrapped text."""
        span = self.text_selection.get_span(row) if self.text_selection else None
        if span is None:
            return None
        low, high = span
        return start + low, end if high < 0 else min(end, start + high)

    def _named_style(self, number: int, index: int, stop: int) -> tuple[str, int]:
        """The style of the text at `index` of a piece, and where it ends, at the latest at `stop`."""
        tint = self.tint
        if tint is None or not tint.starts:
            return self._pieces[number].style, stop
        run = bisect_right(tint.starts, index) - 1
        return f"tint-{tint.levels[run]}", min(stop, *tint.starts[run + 1 : run + 2], stop)

    def _piece_style(self, number: int, name: str) -> Style:
        style = self._style(name)
        if number == self.cursor and (self.has_focus or self.looked_into):
            style += self._style("cursor")
        return style

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self.rich_style if name == "base" else self.get_component_rich_style(f"text--{name}")
            self._styles[name] = style
        return style
