"""Screens of a terminal as SVG: one as a picture, several as a loop in which each row changes where it changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from terminal import Cell, Rows

CELL, LINE, MARGIN = 7.25, 16.0, 12.0  # pixels
FOREGROUND, BACKGROUND = "#e0e0e0", "#121212"
STYLE = (
    "text{font:12px/16px 'DejaVu Sans Mono','Cascadia Mono',Menlo,Consolas,monospace;white-space:pre}"
    ".b{font-weight:bold}.i{font-style:italic}.u{text-decoration:underline}"
)

ANSI = {
    "black": "#000000",
    "red": "#cd3131",
    "green": "#0dbc79",
    "brown": "#e5e510",
    "blue": "#2472c8",
    "magenta": "#bc3fbc",
    "cyan": "#11a8cd",
    "white": "#e5e5e5",
}

Timed = tuple[float, Rows]


def _colour(name: str, otherwise: str) -> str:
    if name == "default":
        return otherwise
    return ANSI.get(name, f"#{name}")


def _colours(cell: Cell) -> tuple[str, str]:
    """Of the letter and of what is behind it."""
    letter, behind = _colour(cell.fg, FOREGROUND), _colour(cell.bg, BACKGROUND)
    return (behind, letter) if cell.reverse else (letter, behind)


class _Paper:
    """What is drawn, and the colours it is drawn in: each is a class, so that it is written once."""

    def __init__(self) -> None:
        self._inks: dict[str, str] = {}

    def _ink(self, colour: str) -> str:
        return self._inks.setdefault(colour, f"c{len(self._inks)}")

    def line(self, cells: Sequence[Cell]) -> str:
        """One row, with its top at 0."""
        return "".join(self._parts(cells))

    def _parts(self, cells: Sequence[Cell]) -> Iterator[str]:
        column = 0
        for ((letter, behind), names), group in groupby(cells, key=_looks):
            run = list(group)
            x, width = column * CELL, len(run) * CELL
            column += len(run)
            text = "".join(cell.data for cell in run)  # the second half of a wide character holds nothing
            if behind != BACKGROUND:
                yield f'<rect x="{x:g}" width="{width:g}" height="{LINE:g}" class="{self._ink(behind)}"/>'
            if text.strip():
                yield f'<text x="{x:g}" y="12" textLength="{width:g}" class="{self._ink(letter)}{names}">'
                yield f"{escape(text, quote=False)}</text>"

    def framed(self, content: str, screen: Rows) -> str:
        """The whole file."""
        width, height = 2 * MARGIN + len(screen[0]) * CELL, 2 * MARGIN + len(screen) * LINE
        inks = "".join(f".{name}{{fill:{colour}}}" for colour, name in self._inks.items())
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" viewBox="0 0 {width:g} {height:g}" '
            f'width="{width:g}"><style>{STYLE}{inks}</style>'
            f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>\n{content}</svg>\n'
        )


def _looks(cell: Cell) -> tuple[tuple[str, str], str]:
    return _colours(cell), " b" * cell.bold + " i" * cell.italics + " u" * cell.underscore


def _placed(lines: str, number: int) -> str:
    """A row where it stands on the screen."""
    return f'<g transform="translate({MARGIN:g},{MARGIN + number * LINE:g})">{lines}</g>\n' if lines else ""


def picture(screen: Rows) -> str:
    """One screen."""
    paper = _Paper()
    return paper.framed("".join(_placed(paper.line(row), number) for number, row in enumerate(screen)), screen)


def _shown(line: str, begin: float, end: float, seconds: float) -> str:
    """A row that stands from `begin` to `end` of a loop of so many seconds."""
    times, values = ["0"], ["0"]
    if begin > 0:
        times.append(f"{begin / seconds:.4f}")
        values.append("1")
    else:
        values[0] = "1"
    if end < seconds:
        times.append(f"{end / seconds:.4f}")
        values.append("0")
    if len(times) == 1:
        return f"<g>{line}</g>"
    animate = (
        f'<animate attributeName="opacity" calcMode="discrete" dur="{seconds:.2f}s" repeatCount="indefinite" '
        f'keyTimes="{";".join(times)}" values="{";".join(values)}"/>'
    )
    return f'<g opacity="{values[0]}">{animate}{line}</g>'


def loop(frames: Sequence[Timed], seconds: float) -> str:
    """Frames at seconds from the beginning, shown one after another, again and again."""
    paper = _Paper()
    content: list[str] = []
    for number in range(len(frames[0][1])):
        spans = groupby(frames, key=lambda frame: frame[1][number])
        begun = [(next(iter(group))[0], row) for row, group in spans]
        ends = [*(time for time, _ in begun[1:]), seconds]
        rows = ((paper.line(row), begin, end) for (begin, row), end in zip(begun, ends, strict=True))
        content.append(_placed("".join(_shown(line, begin, end, seconds) for line, begin, end in rows if line), number))
    return paper.framed("".join(content), frames[0][1])
