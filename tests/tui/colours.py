"""How well colours are told apart: contrast, and what a terminal of 256 or of 16 colours makes of them."""

from __future__ import annotations

from typing import Any

from rich.color import Color, ColorSystem
from rich.color_triplet import ColorTriplet
from rich.style import Style
from textual.app import App

# the least contrast of text: 4.5:1 (WCAG 2.2, 1.4.3); of 16 colours each is far from the others, and 3:1 is the rule
LEAST = {ColorSystem.TRUECOLOR: 4.5, ColorSystem.EIGHT_BIT: 4.5, ColorSystem.STANDARD: 3.0}
BARS = frozenset("━█▇▆▅▄▃▂▁")  # graphics that carry a meaning: 3:1 (WCAG 2.2, 1.4.11)


def shown(color: Color, system: ColorSystem) -> ColorTriplet:
    """What a terminal with these colours shows."""
    return color.downgrade(system).get_truecolor()


def contrast(one: ColorTriplet, other: ColorTriplet) -> float:
    """From 1 to 21, as WCAG defines it."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: ColorTriplet) -> float:
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in color.normalized)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def unreadable(app: App[Any], system: ColorSystem) -> list[str]:
    """What stands on the screen, in its dialog where one is open, with too little contrast."""
    dialog = app.screen.query("#dialog")
    region = dialog.first().region if dialog else app.screen.region
    found = []
    for line, strip in enumerate(app.screen._compositor.render_strips()):
        if region.y <= line < region.bottom:
            for segment in strip.crop(region.x, region.right):
                least = _least(segment.text, system)
                if least and segment.style and (ratio := _ratio(segment.style, system)) < least:
                    found.append(f"{ratio:.2f} {segment.style} {segment.text.strip()!r}")
    return found


def _least(text: str, system: ColorSystem) -> float:
    if any(character.isalnum() for character in text):
        return LEAST[system]
    return 3.0 if BARS & set(text) else 0.0


def _ratio(style: Style, system: ColorSystem) -> float:
    if style.color is None or style.bgcolor is None:
        return 21.0
    return contrast(shown(style.color, system), shown(style.bgcolor, system))
