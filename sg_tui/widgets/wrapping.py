"""Wrapping of a growing text to a width in cells: only the last row is wrapped again when text comes."""

from __future__ import annotations

from bisect import bisect_right

from rich.cells import get_character_cell_size

TAB = 4  # cells between tab stops


def width_of(character: str, column: int) -> int:
    """Cells that a character takes when it begins at `column` of its row."""
    return TAB - column % TAB if character == "\t" else get_character_cell_size(character)


def expanded(text: str, column: int) -> tuple[str, int]:
    """The text with its tabs as blanks, and the column after it."""
    parts = []
    for character in text:
        width = width_of(character, column)
        parts.append(" " * width if character == "\t" else character)
        column += width
    return "".join(parts), column


class WrappedText:
    """A text, harmless already (textsafe.safe), as rows. Every character belongs to exactly one row.

    starts: where each row begins in `text`; a row ends where the next begins; a newline or a blank at its end
    may hang over the edge unseen. There is always at least one row.
    """

    def __init__(self, width: int) -> None:
        self.width = max(1, width)
        self.text = ""
        self.starts = [0]

    def __len__(self) -> int:
        return len(self.starts)

    def append(self, text: str) -> int:
        """Add text at the end. Returns the first row that changed."""
        first = len(self.starts) - 1
        self.text += text
        self._wrap_from(self.starts.pop())
        return first

    def cut(self, length: int) -> None:
        """Keep the first `length` characters."""
        self.text = self.text[:length]
        while len(self.starts) > 1 and self.starts[-1] >= length:
            self.starts.pop()
        start = self.starts.pop()
        if self.starts and self.text[start - 1] != "\n":
            start = self.starts.pop()  # what is left of the last word may fit into the row before
        self._wrap_from(start)

    def set_width(self, width: int) -> None:
        """Wrap everything again if the width has changed."""
        width = max(1, width)
        if width != self.width:
            self.width, self.starts = width, []
            self._wrap_from(0)

    def span(self, row: int) -> tuple[int, int]:
        """Where the row begins and ends in `text`, its newline left out."""
        start = self.starts[row]
        end = self.starts[row + 1] if row + 1 < len(self.starts) else len(self.text)
        if end > start and self.text[end - 1] == "\n":
            end -= 1
        return start, end

    def place(self, index: int) -> tuple[int, int]:
        """(row, cell) where the character at `index` is shown."""
        row = bisect_right(self.starts, index) - 1
        column = 0
        for character in self.text[self.starts[row] : index]:
            column += width_of(character, column)
        return row, column

    def index_at(self, row: int, cell: int) -> int:
        """Index of the character shown at this place; the row's end if the place lies behind it."""
        if row >= len(self.starts):
            return len(self.text)
        start, end = self.span(max(0, row))
        column = 0
        for index in range(start, end):
            column += width_of(self.text[index], column)
            if column > cell:
                return index
        return end

    def _wrap_from(self, start: int) -> None:
        """Wrap from `start`, where a row begins, to the end of the text."""
        text, line_end = self.text, start - 1
        while True:
            self.starts.append(start)
            if line_end < start:
                found = text.find("\n", start)
                line_end = found if found >= 0 else len(text)
            end = self._row_end(start, line_end)
            if end < line_end:
                start = end
            elif line_end < len(text):
                start = line_end + 1
            else:
                return

    def _row_end(self, start: int, line_end: int) -> int:
        """Where the row that begins at `start` ends, within a line that ends at `line_end`."""
        chunk = self.text[start : min(line_end, start + self.width + 1)]
        if chunk.isascii() and "\t" not in chunk:
            if len(chunk) <= self.width:
                return start + len(chunk)
            blank = chunk.rfind(" ")
            return start + (blank + 1 if blank >= 0 else self.width)
        return self._row_end_by_cells(start, line_end)

    def _row_end_by_cells(self, start: int, line_end: int) -> int:
        column, break_at = 0, start
        for index in range(start, line_end):
            character = self.text[index]
            width = width_of(character, column)
            if column + width > self.width and index > start and width:
                if character in " \t" and column <= self.width:
                    return index + 1  # one blank may hang over the edge
                return break_at if break_at > start else index
            column += width
            if character in " \t" or width == 2:
                break_at = index + 1
            elif width == 0 and break_at == index:
                break_at = index + 1  # a mark stays with its character
        return line_end
