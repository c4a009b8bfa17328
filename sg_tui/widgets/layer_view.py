"""What happens in each block while it learns: rows of heat, the newest on the right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from textual.content import Content

from sg_core.training.results import LayerFigures
from sg_tui.figures import number
from sg_tui.state.training_run import Run
from sg_tui.widgets.panel import Panel, lines

EIGHTHS = "▁▂▃▄▅▆▇█"
WELL = -3.0  # log10 of a good update by weight (Karpathy)
HEAD = 9  # cells of a block's name
WORDS = 9  # cells of a figure
COLUMNS = ("gradient", "update/weight", "dead GELUs")

Share = Callable[[LayerFigures], float]  # how high a cell is, 0 to 1
Heat = Callable[[LayerFigures], str]  # its colour


class LayerView(Panel):
    """A row a block, as many as there is room for, evenly chosen; a strip of each figure's latest values."""

    TITLE = "blocks: norm of the gradient, update by weight (well: 1e-3), dead GELUs"

    def show(self, run: Run | None) -> None:
        """Draw the run's blocks."""
        width, height = self.content_size
        if width <= 0 or height <= 1:
            return
        known = {layer: seen for layer, seen in sorted(run.layers.items()) if seen} if run is not None else {}
        if not known:
            words = "A block is looked at every few steps; the first figures come soon."
            self.set_content(Content.styled(words, "$faint"))
            return
        strip = max(0, (width - HEAD) // len(COLUMNS) - WORDS - 2)
        head = "".join(f"{words:<{strip + WORDS + 2}}" for words in COLUMNS)
        rows = [Content.styled(f"{'':<{HEAD}}{head}"[:width], "$faint")]
        gradient = _among([one for seen in known.values() for one in seen])
        for layer in _chosen(list(known), height - 1):
            seen = known[layer]
            last = seen[-1]
            dead = "–" if math.isnan(last.dead) else f"{last.dead:.1%}"
            rows.append(
                Content.assemble(
                    (f"{f'block {layer}':<{HEAD}}", "$faint"),
                    *_figure(number(last.grad_norm, 3), seen, strip, gradient, lambda one: "$primary"),
                    *_figure(_signed(last), seen, strip, _nearness, update_heat),
                    *_figure(dead, seen, strip, lambda one: one.dead, dead_heat),
                )
            )
        self.set_content(lines(rows))


def update_heat(one: LayerFigures) -> str:
    """Of an update by weight: well within a factor of 4 of 1e-3, far beyond a factor of 10."""
    away = abs(_away(one))
    return "$success" if away < 0.6 else "$warning" if away < 1.0 else "$error"


def dead_heat(one: LayerFigures) -> str:
    """A tenth of the units is no loss yet, half of them is."""
    return "$secondary" if not one.dead > 0.1 else "$warning" if one.dead < 0.5 else "$error"


def _away(one: LayerFigures) -> float:
    """Powers of ten between an update by weight and a good one."""
    return math.log10(one.update_ratio) - WELL if one.update_ratio > 0 else -math.inf


def _signed(one: LayerFigures) -> str:
    """The ratio, and without colours too whether it is high or low."""
    away = _away(one)
    return f"{one.update_ratio:.0e}" + ("↑" if away >= 0.6 else "↓" if away <= -0.6 else "")


def _nearness(one: LayerFigures) -> float:
    """Of an update by weight: 1e-5 at the bottom of the strip, 1e-3 in its middle, 1e-1 at its top."""
    return max(0.0, min(1.0, _away(one) / 4 + 0.5))


def _among(all_of_them: Sequence[LayerFigures]) -> Share:
    """Of the norm of a gradient: where it lies between the least and the greatest of all blocks, by its logarithm."""
    norms = [math.log10(one.grad_norm) for one in all_of_them if 0 < one.grad_norm < math.inf]
    low, high = min(norms, default=0.0), max(norms, default=1.0)

    def share(one: LayerFigures) -> float:
        if not 0 < one.grad_norm < math.inf:
            return math.nan
        return (math.log10(one.grad_norm) - low) / max(0.3, high - low)

    return share


def _figure(words: str, seen: Sequence[LayerFigures], strip: int, share: Share, heat: Heat) -> list[tuple[str, str]]:
    """A strip of the latest values, and the newest one in words, which keeps the colour of its cell."""
    latest = seen[-strip:] if strip else []
    cells = [(" " if math.isnan(share(one)) else EIGHTHS[round(7 * share(one))], heat(one)) for one in latest]
    return [(" " * (strip - len(cells)), ""), *cells, (f" {words:<{WORDS}} ", heat(seen[-1]))]


def _chosen(layers: list[int], most: int) -> list[int]:
    """At most so many of the blocks, the first and the last among them."""
    if len(layers) <= most:
        return layers
    return [layers[round(place * (len(layers) - 1) / max(1, most - 1))] for place in range(most)]
