"""Every colour of text can be read on every ground, in all colours, in 256 and in 16; greys stay grey."""

from __future__ import annotations

import colorsys

import pytest
from colours import LEAST, contrast, shown
from rich.color import Color, ColorSystem
from textual.theme import Theme

from sg_tui.theme import DARK, LIGHT

WORDS = ("primary", "secondary", "accent", "foreground", "success", "warning", "error")
VARIABLES = ("faint", "person", "model", "cue")
NEUTRAL = ("background", "surface", "panel", "foreground")


def color(theme: Theme, name: str) -> Color:
    return Color.parse(theme.variables.get(name) or getattr(theme, name))


@pytest.mark.parametrize("system", LEAST)
@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_text_keeps_its_contrast_on_each_ground(theme: Theme, system: ColorSystem) -> None:
    for ground in ("background", "surface", "panel"):
        for name in (*WORDS, *VARIABLES):
            ratio = contrast(shown(color(theme, name), system), shown(color(theme, ground), system))
            assert ratio >= LEAST[system], (name, ground, ratio)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_the_frame_of_what_can_be_typed_in_is_seen(theme: Theme) -> None:
    for ground in ("background", "surface"):
        for name in ("border", "primary"):
            assert (
                contrast(
                    shown(color(theme, name), ColorSystem.TRUECOLOR), shown(color(theme, ground), ColorSystem.TRUECOLOR)
                )
                >= 3
            )


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_in_256_colours_greys_stay_grey_and_hues_stay_what_they_are(theme: Theme) -> None:
    for name in (*NEUTRAL, "faint", "border", "border-blurred", "model"):
        one = shown(color(theme, name), ColorSystem.EIGHT_BIT)
        assert max(one) - min(one) <= 8, (name, one)  # the light ground once became pink, model text olive
    for name in ("primary", "accent", "error", "person", "success"):
        wanted, got = (
            _hue(shown(color(theme, name), system)) for system in (ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT)
        )
        # an eighth of the circle: nearer than the next of the eight hues people name
        assert min(abs(wanted - got), 1 - abs(wanted - got)) <= 1 / 8, (name, wanted, got)


def _hue(one: tuple[int, int, int]) -> float:
    return colorsys.rgb_to_hsv(*one)[0]
