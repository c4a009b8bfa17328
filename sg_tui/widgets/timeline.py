"""A row that stands for the samples of a run: as high as the loss was at each (log), the one seen in brackets."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content

_HEIGHTS = "▁▂▃▄▅▆▇"


def timeline(losses: Sequence[float], at: int, width: int) -> Content:
    """losses: at each sample, in order. at: the one that is seen. Where they don't fit, those around it are shown."""
    room = max(1, width - 2)
    first = min(max(0, at - room // 2), max(0, len(losses) - room))
    losses = [math.log(loss) if loss > 0 else math.nan for loss in losses]
    seen = losses[first : first + room]
    finite = [loss for loss in losses if math.isfinite(loss)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)

    def height(loss: float) -> str:
        if not math.isfinite(loss):
            return "·"
        share = (loss - low) / (high - low) if high > low else 0.0
        return _HEIGHTS[round(share * (len(_HEIGHTS) - 1))]

    signs = "".join(map(height, seen))
    place = at - first
    return Content.assemble(
        (signs[:place], "$faint"),
        (f"[{signs[place : place + 1]}]", "bold $primary"),
        (signs[place + 1 :], "$faint"),
    )
