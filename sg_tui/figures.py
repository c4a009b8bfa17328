"""Figures as people read them: counts, spans of time, bars. Plain strings, no markup."""

from __future__ import annotations

import math


def number(value: float, digits: int = 4) -> str:
    """A number for a tick or a figure: no exponent where none is needed."""
    if not math.isfinite(value):
        return "–"
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.{max(0, digits - 2)}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
    return f"{value:.{digits}g}"


def count(value: float) -> str:
    """A count for a tick: 950, 12k, 1.5M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """A span of time as 0:07, 12:34 or 1:02:03."""
    if not math.isfinite(seconds):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """About how long, in the unit that suits: 35 ms, 1.2 s, 4 min, 2.1 h, 3.4 days."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 1.0:
        return f"{seconds * 1e3:,.0f} ms"
    for unit, size, most in (("s", 1.0, 120.0), ("min", 60.0, 7200.0), ("h", 3600.0, 172_800.0)):
        if seconds < most:
            return f"{seconds / size:,.{0 if seconds / size >= 20 else 1}f} {unit}"
    return f"{seconds / 86_400:,.1f} days"


def bar(share: float, width: int) -> str:
    """`share` of `width` cells as a bar with eighths of a cell; empty cells are left out."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8) if math.isfinite(share) else 0
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def nats(value: float, decimals: int = 3) -> str:
    """A loss, with as many decimals whatever it is, so that it does not jump about while it changes."""
    return f"{value:.{decimals}f}" if abs(value) < 1000 else number(value)


def size(count: float) -> str:
    """Bytes as people read them: "14.2 MB", "1.52 GB"."""
    if count >= 1e9:
        return f"{count / 1e9:,.2f} GB"
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.0f} kB"


def milliseconds(value: float) -> str:
    """A time in ms with two or three meaningful figures."""
    if value >= 99.95:
        return f"{value:,.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.3f}"
