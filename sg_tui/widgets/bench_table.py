"""The rows of a benchmark as a table with bars; it can be sorted."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from sg_tui.figures import bar
from sg_tui.state.bench_state import BenchState, Line, SortKey, pattern, words_of
from sg_tui.terminal.textsafe import safe_line

Column = tuple[str, int, SortKey | None]  # title, cells, what a click sorts by
COLUMNS: tuple[Column, ...] = (
    ("switches on", 12, "switches"),
    ("", 20, "order"),
    ("ms/token", 10, "ms"),
    ("least – most", 17, None),
    ("step", 8, None),
    ("in all", 8, None),
    ("before", 10, None),
    ("change", 8, None),
)
SORT_WORDS: dict[SortKey, str] = {
    "order": "as measured",
    "ms": "fastest first",
    "switches": "most switches first",
}
LEAST_BAR = 8


class BenchTable(Vertical):
    """`show` draws the state, sorted by `sort`."""

    class HeaderClicked(Message):
        """A column that can be sorted by was clicked."""

        def __init__(self, sort: SortKey) -> None:
            super().__init__()
            self.sort = sort

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.sort: SortKey = "order"
        self._shown: tuple[int, SortKey, int] | None = None
        self._width, self._ladder, self._compared = 0, True, False

    def compose(self) -> ComposeResult:
        yield Static(id="bench-head", markup=False)
        with VerticalScroll(id="bench-rows"):
            yield Static(id="bench-lines", markup=False)

    def show(self, state: BenchState) -> None:
        """Draw the rows, if one is new or they are sorted anew."""
        width = self.content_size.width - 3  # the mark of the chosen row, and the scroll bar
        key = (state.version, self.sort, width)
        if width <= 0 or key == self._shown:
            return
        resorted = self._shown is not None and self._shown[1] != self.sort
        self._shown = key
        self._width, self._ladder, self._compared = width, state.is_ladder, bool(state.before)
        columns = _columns(width, state.is_ladder, bool(state.before))
        self.query_one("#bench-head", Static).update(_head(columns, self.sort))
        room = width - sum(cells for _, cells, _ in columns)
        before = state.before
        rows = [
            _row(line, columns, room, before.get(line.row.timing.optimizations), place == state.chosen)
            for place, line in enumerate(state.lines(self.sort))
        ]
        self.query_one("#bench-lines", Static).update(Content("\n").join(rows))
        if state.running and self.sort == "order":
            self.query_one("#bench-rows").scroll_end(animate=False)
        elif not resorted:
            self._show_row(state.chosen)
        elif resorted:
            self.query_one("#bench-rows").scroll_home(animate=False)

    def _show_row(self, place: int) -> None:
        rows = self.query_one("#bench-rows")
        top, height = round(rows.scroll_offset.y), rows.size.height
        if height and not top <= place < top + height:
            rows.scroll_to(y=max(0, place - height // 2), animate=False)

    def on_click(self, event: events.Click) -> None:
        if event.widget is not self.query_one("#bench-head"):
            return
        at = 0
        for _, cells, sort in _columns(self._width, self._ladder, self._compared):
            if at <= event.x - 1 < at + cells and sort is not None:
                self.post_message(self.HeaderClicked(sort))
            at += cells


def _columns(width: int, ladder: bool, compared: bool) -> list[Column]:
    """The columns that say something and have room beside the shortest bar; what can be missed goes first."""
    columns = [column for column in COLUMNS if ladder or column[0] not in ("", "step")]
    columns = [column for column in columns if compared or column[0] not in ("before", "change")]
    for missed in ("least – most", "switches on" if ladder else "", "before"):
        if sum(cells for _, cells, _ in columns) + LEAST_BAR > width:
            columns = [column for column in columns if column[0] != missed]
    return columns


def _head(columns: list[Column], sort: SortKey) -> Content:
    parts = []
    for title, cells, key in columns:
        mark = "▾" if key == sort else ""
        words = f"{title}{mark}"
        text = f"{words:<{cells}}" if key in ("order", "switches") else f"{words:>{cells - 1}} "
        parts.append((text, "bold $foreground" if key == sort else "$faint"))
    return Content.assemble(" ", *parts)


def _row(line: Line, columns: list[Column], room: int, before: float | None, chosen: bool) -> Content:
    timing = line.row.timing
    decimals = 3 if line.ms < 10 else 2
    least_to_most = f"{timing.minimum:.{decimals}f} – {timing.maximum:.{decimals}f}"
    first = line.order == 0
    cells = {
        "switches on": (pattern(timing.optimizations), "$primary"),
        "": (safe_line(words_of(line.row), 19), "$foreground"),
        "ms/token": (f"{line.ms:.{decimals}f}", "bold $foreground"),
        "least – most": (least_to_most, "$faint"),
        "step": ("" if first else f"× {line.step:.2f}", _gain(line.step)),
        "in all": ("" if first else f"× {line.total:.1f}", "bold $accent"),
        "before": (f"{before:.{decimals}f}" if before else "", "$faint"),
        "change": (f"{line.ms / before - 1:+.0%}".replace("-", "−") if before else "", "$foreground"),
    }
    parts = []
    for title, width, key in columns:
        words, style = cells[title]
        text = f"{words:<{width}}" if key in ("order", "switches") else f"{words:>{width - 1}} "
        parts.append((text, style))
    row = Content.assemble(*parts, (bar(line.share, max(0, room)), "$primary"))
    return Content.assemble("▸" if chosen else " ", row).stylize("bold") if chosen else Content.assemble(" ", row)


def _gain(factor: float) -> str:
    return "$foreground" if factor >= 1.02 else "$faint"
