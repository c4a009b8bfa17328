"""The colours: calm, dark or light. Nothing is told by a colour alone.

Text keeps 4.5:1 on each of the three grounds, and the colours are chosen so that a terminal of 256 or of 16 colours,
which takes the nearest it has, keeps the contrast, the greys grey and the hues apart.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="sg-dark",
    dark=True,
    primary="#7fb8ad",
    secondary="#8fa9d6",
    accent="#d9a866",
    foreground="#d7dae0",
    background="#15171b",
    surface="#1a1d22",
    panel="#22262d",
    success="#8fbf7f",
    warning="#d9a866",
    error="#e07f73",
    variables={
        "border": "#727986",
        "border-blurred": "#444a55",
        "faint": "#959ca7",
        "person": "#9ec4f0",
        "model": "#e8e5e0",
        "cue": "#d9a866",
        "block-cursor-background": "#7fb8ad",
        "block-cursor-foreground": "#15171b",
        "block-cursor-text-style": "none",
        "input-selection-background": "#8fa9d6 35%",
        "scrollbar": "#727986",
        "scrollbar-background": "#15171b",
        "scrollbar-background-hover": "#15171b",
        "scrollbar-background-active": "#15171b",
        "scrollbar-corner-color": "#15171b",
    },
)
LIGHT = Theme(
    name="sg-light",
    dark=False,
    primary="#17695d",
    secondary="#2f5597",
    accent="#8a5200",
    foreground="#1f2226",
    background="#f6f5f3",
    surface="#fcfcfb",
    panel="#ebeae8",
    success="#2c6e22",
    warning="#8a5200",
    error="#b02323",
    variables={
        "border": "#7a7770",
        "border-blurred": "#b3b0a9",
        "faint": "#66635d",
        "person": "#2456a6",
        "model": "#292722",
        "cue": "#8a5200",
        "block-cursor-background": "#17695d",
        "block-cursor-foreground": "#fcfcfb",
        "block-cursor-text-style": "none",
        "input-selection-background": "#2f5597 25%",
        "scrollbar": "#7a7770",
        "scrollbar-background": "#f6f5f3",
        "scrollbar-background-hover": "#f6f5f3",
        "scrollbar-background-active": "#f6f5f3",
        "scrollbar-corner-color": "#f6f5f3",
    },
)
