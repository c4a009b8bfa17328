"""ms a token against its position: a line a setting, a mark at each flip. Without a KV cache it bends up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from textual.content import Content

from sg_core.measure.setting import Setting
from sg_tui.figures import milliseconds
from sg_tui.state.generation_state import Flip

Line = Mapping[int, float]  # position -> ms
STYLES = ("$primary", "$warning", "$secondary", "$error")  # of the present setting, then of the others
LEAST_AXIS = 64  # positions
SCALE = 6  # cells of the figures beside the chart
OUTLIERS = 20  # one in so many of a line's values may lie above the chart
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, by row and column
REACH = 6  # dots along x over which two values are joined


def chart(
    lines: Mapping[Setting, Line], flips: Iterable[Flip], present: Setting, width: int, height: int, context: int
) -> list[Content]:
    """Rows of so many cells, the last one the axis; none where there is no room or nothing to show.

    context: the most positions a text can have; the axis ends there, or before it where no token came so far.
    """
    shown = _shown(lines, present)
    columns, rows = width - SCALE, height - 1
    if not shown or columns < 10 or rows < 2:
        return []
    end = axis_end(max(max(line) for _, line in shown), context)
    top = max(_robust_top(line) for _, line in shown)
    grid = _Grid(columns, rows)
    for number, (setting, line) in reversed(list(enumerate(shown))):  # the present one last: over the others
        grid.draw(_heights(line, end, top, 2 * columns, 4 * rows), STYLES[number % len(STYLES)])
        if len(shown) > 1:
            grid.name(_label(setting, present), STYLES[number % len(STYLES)])
    marks = [(min(columns - 1, flip.position * columns // end), flip) for flip in flips if flip.position <= end]
    for column, _ in marks:
        grid.mark(column)
    scale = [f"{milliseconds(top):>{SCALE - 1}} ", *[" " * SCALE] * (rows - 2), f"{'0':>{SCALE - 1}} "]
    drawn = [Content.assemble((figure, "$faint"), *row) for figure, row in zip(scale, grid.rows(), strict=True)]
    return [*drawn, Content.assemble(("   ms ", "$faint"), (_axis(marks, end, columns), "$faint"))]


def axis_end(furthest: int, context: int) -> int:
    """Where the axis ends: at a power of two beyond the furthest token, at the latest with the context."""
    end = LEAST_AXIS
    while end < furthest:
        end *= 2
    return max(1, min(end, context) if context >= furthest else end)


def _shown(lines: Mapping[Setting, Line], present: Setting) -> list[tuple[Setting, Line]]:
    """The present setting's line, if it has one, and the newest others."""
    others = [(setting, line) for setting, line in lines.items() if setting != present and line]
    own = [(present, lines[present])] if lines.get(present) else []
    return own + others[::-1][: len(STYLES) - len(own)]


def _label(setting: Setting, present: Setting) -> str:
    return setting.short if setting.precision == present.precision else f"{setting.precision} {setting.short}"


def _robust_top(line: Line) -> float:
    """Above all but the greatest few values, which the chart cuts off."""
    ordered = sorted(line.values())
    return ordered[-1 - len(ordered) // OUTLIERS] * 1.1


def _heights(line: Line, end: int, top: float, dots: int, high: int) -> list[tuple[int, int]]:
    """(x, height) in dots, ascending: the median of what falls on one x."""
    at: dict[int, list[float]] = {}
    for position, ms in line.items():
        if position <= end:
            at.setdefault(min(dots - 1, position * dots // end), []).append(ms)
    return [(x, max(0, min(high - 1, round(median(at[x]) / top * (high - 1))))) for x in sorted(at)]


def _axis(marks: Sequence[tuple[int, Flip]], end: int, columns: int) -> str:
    """The positions at its ends, and what was flipped where."""
    cells = list(f"{'0':<{columns - 9 - len(str(end))}}position {end}")
    free = columns - 10 - len(str(end))
    for column, flip in marks:
        words = f"▴{flip.after.short}"
        if column >= 1 and column + len(words) <= free and not "".join(cells[column : column + len(words)]).strip():
            cells[column : column + len(words)] = words
    return "".join(cells[:columns])


class _Grid:
    """Braille cells, each in the colour of the line drawn last."""

    def __init__(self, columns: int, rows: int) -> None:
        self._columns, self._rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]
        self._words: dict[tuple[int, int], tuple[str, str]] = {}  # row and column -> character, style
        self._end = (0, 0)  # cell of the last dot that was drawn

    def draw(self, points: Sequence[tuple[int, int]], style: str) -> None:
        """A line through points (x, height) in dots."""
        before: tuple[int, int] | None = None
        for x, height in points:
            first_x, first = before if before is not None and x - before[0] <= REACH else (x, height)
            steps = max(x - first_x, abs(height - first), 1)
            for step in range(steps + 1):
                share = step / steps
                self._dot(round(first_x + share * (x - first_x)), round(first + share * (height - first)), style)
            before = x, height
            self._end = (self._rows - 1 - height // 4, x // 2)

    def name(self, words: str, style: str) -> None:
        """Words after the end of the line drawn last; over or under it where there is no room behind it."""
        row, column = self._end
        start = column + 2
        if start + len(words) > self._columns:
            start, row = self._columns - len(words), row - 1 if row else row + 1
        for number, character in enumerate(words):
            if start + number >= 0:
                self._words[row, start + number] = character, f"bold {style}"

    def mark(self, column: int) -> None:
        """A dotted line from top to bottom, behind everything."""
        for row in range(self._rows):
            if not self._dots[row][column]:
                self._words.setdefault((row, column), ("┊", "$faint"))

    def rows(self) -> list[list[tuple[str, str]]]:
        """Each row as characters with their styles."""
        return [[self._cell(row, column) for column in range(self._columns)] for row in range(self._rows)]

    def _cell(self, row: int, column: int) -> tuple[str, str]:
        if (row, column) in self._words:
            return self._words[row, column]
        dots = self._dots[row][column]
        return (chr(0x2800 + dots) if dots else " ", self._styles[row][column])

    def _dot(self, x: int, height: int, style: str) -> None:
        y = 4 * self._rows - 1 - height
        self._dots[y // 4][x // 2] |= DOTS[y % 4][x % 2]
        self._styles[y // 4][x // 2] = style
