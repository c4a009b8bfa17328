"""The losses of a search for a learning rate: a curve of blocks over all rates, and the one that is suggested."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content

from sg_core.training.results import Trial
from sg_tui.figures import number
from sg_tui.state.rate_search import RateSearch
from sg_tui.widgets.panel import Panel, lines

EIGHTHS = " ▁▂▃▄▅▆▇█"


class RateView(Panel):
    """The smoothed loss at each rate, rates from left to right on a logarithmic scale."""

    TITLE = "learning rates"

    def show(self, search: RateSearch) -> None:
        """Draw the search."""
        width, height = self.content_size
        if width <= 0 or height <= 2:
            return
        self.border_title = self.TITLE
        if search.found is not None:
            rate = rate_words(search.found.suggested)
            self.border_title = f"highest learning rate {rate}: a tenth of where the loss is lowest"
        if not search.trials:
            self.set_content(Content.styled("Rates are tried on a copy of the run, which waits meanwhile.", "$faint"))
            return
        rows = _blocks(search.trials, width, height - 1)
        self.set_content(lines([*(Content.styled(row, "$primary") for row in rows), _axis(search, width)]))


def rate_words(rate: float) -> str:
    """With two digits, as it is offered."""
    return number(float(f"{rate:.2g}"), 3)


def _blocks(trials: Sequence[Trial], width: int, height: int) -> list[str]:
    """The curve, from its lowest loss to where it began; what lies higher is cut off."""
    lowest = min(one.smoothed for one in trials)
    highest = max(trials[0].smoothed, lowest + 1e-6)
    first, last = math.log(trials[0].rate), math.log(trials[-1].rate)
    heights = [0] * width
    for column in range(width):
        rate = first + (last - first) * column / max(1, width - 1)
        nearest = min(trials, key=lambda one: abs(math.log(one.rate) - rate))
        share = min(1.0, (nearest.smoothed - lowest) / (highest - lowest))
        heights[column] = 1 + round(share * (8 * height - 1))
    return ["".join(EIGHTHS[max(0, min(8, one - 8 * row))] for one in heights) for row in range(height - 1, -1, -1)]


def _axis(search: RateSearch, width: int) -> Content:
    """The lowest rate, the highest so far, and a mark at what is suggested."""
    trials = search.trials
    left, right = f"{trials[0].rate:.0e}", f"{trials[-1].rate:.1e}  loss {trials[-1].smoothed:.3f}"
    row = list(f"{left}{right:>{max(0, width - len(left))}}"[:width])
    if search.found is not None:
        first, last = math.log(trials[0].rate), math.log(trials[-1].rate)
        share = (math.log(search.found.suggested) - first) / max(1e-9, last - first)
        mark = f"▲ {rate_words(search.found.suggested)}"
        start = max(0, min(width - len(mark), round(share * (width - 1))))
        row[start : start + len(mark)] = mark
    return Content.styled("".join(row), "$accent")
