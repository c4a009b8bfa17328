"""From series to what a chart of braille cells can show: fewer points, gaps, limits, ticks. No widgets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """The visible part of the x axis, cut into `columns` equal columns."""

    start: float
    end: float
    columns: int


def decimate(xs: ArrayLike, ys: ArrayLike, window: Window) -> list[tuple[Floats, Floats]]:
    """Reduce a curve to the least and the greatest value of every column: two points each, peaks intact.

    xs: (n,) ascending. ys: (n,), NaN or infinite where there is a gap. Returns unbroken pieces of the line:
    points between which a gap lies are never in one piece. One point before and one after the window keep
    the line running to its edges.
    """
    x: Floats = np.asarray(xs, dtype=np.float64)
    y: Floats = np.asarray(ys, dtype=np.float64)
    finite = np.isfinite(y) & np.isfinite(x)
    gaps = np.cumsum(~finite)
    x, y, gaps = x[finite], y[finite], gaps[finite]
    kept = np.fromiter(_kept(x, y, window), dtype=np.intp)
    if not len(kept):
        return []
    breaks = np.flatnonzero(np.diff(gaps[kept])) + 1
    return list(zip(np.split(x[kept], breaks), np.split(y[kept], breaks), strict=True))


def _kept(x: Floats, y: Floats, window: Window) -> Iterator[int]:
    """Indices of the points that stay, ascending."""
    first, last = (int(i) for i in np.searchsorted(x, (window.start, window.end), side="left"))
    last += int(np.searchsorted(x[last:], window.end, side="right"))
    if first > 0:
        yield first - 1
    edges = np.linspace(window.start, window.end, window.columns + 1)[1:-1]
    bounds = [first, *(first + np.searchsorted(x[first:last], edges)).tolist(), last]
    for low, high in pairwise(bounds):
        if high > low:
            least, greatest = low + int(y[low:high].argmin()), low + int(y[low:high].argmax())
            yield from sorted({least, greatest})
    if last < len(x):
        yield last


def gap_marks(xs: ArrayLike, ys: ArrayLike, window: Window) -> Floats:
    """Where values of ys are missing within the window: the x of at most one mark a column."""
    x: Floats = np.asarray(xs, dtype=np.float64)
    y: Floats = np.asarray(ys, dtype=np.float64)
    missing: Floats = x[~np.isfinite(y) & (x >= window.start) & (x <= window.end)]
    width = (window.end - window.start) / max(1, window.columns) or 1.0
    _, first = np.unique(np.floor((missing - window.start) / width), return_index=True)
    marks: Floats = missing[first]
    return marks


def padded(low: float, high: float, share: float = 0.04, least: float = 1e-4) -> tuple[float, float]:
    """Limits of an axis that leave room beside the data: a share of its extent, and `least` at least."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 1.0
    room = max((high - low) * share, max(abs(low), abs(high)) * 1e-4, least)
    return low - room, high + room


def robust_limits(values: ArrayLike, smooth: ArrayLike) -> tuple[float, float]:
    """Limits of the y axis: all of `smooth`, and all but the wildest hundredth of `values` on either side.

    The wild ones are cut off at the edge by the chart, one zoom away; they would flatten everything else.
    """
    raw = np.asarray(values, dtype=np.float64)
    raw = raw[np.isfinite(raw)]
    even = np.asarray(smooth, dtype=np.float64)
    even = even[np.isfinite(even)]
    ends = [
        *(np.quantile(raw, (0.01, 0.99)) if raw.size else ()),
        *((even.min(), even.max()) if even.size else ()),
    ]
    return (float(min(ends)), float(max(ends))) if ends else (math.nan, math.nan)


# ---------------------------------------------------------------- ticks


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most about `most` multiples of 1, 2 or 5 times a power of ten within [low, high]."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return []
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next((power * k for k in (1, 2, 5) if span / (power * k) <= most), power * 10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Ticks for an axis whose positions are log10 of its values: at round values within [10^low, 10^high]."""
    if not high > low or high > 300 or low < -300:
        return []
    if high - low < 1:
        return [math.log10(value) for value in nice_ticks(10.0**low, 10.0**high, most) if value > 0]
    decades = range(math.floor(low), math.ceil(high) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [math.log10(k) + d for d in decades for k in digits if low <= math.log10(k) + d <= high]
        if len(ticks) <= most:
            return ticks
    stride = math.ceil(len(ticks) / most)
    return ticks[::stride]


def duration_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Ticks in seconds at round times: 1, 5, 10, 30 s, 1, 5, 10, 30 min, 1, 2, 6, 12, 24 h."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return []
    steps = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 43200, 86400)
    step = next((s for s in steps if span / s <= most), None)
    if step is None or span < 2:
        return nice_ticks(low, high, most)
    return [float(k * step) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
