"""The Write view: complete text and chat, and see what every token costs."""

from __future__ import annotations

from sg_tui.screens.mode import ModeScreen


class WriteScreen(ModeScreen):
    """Complete and chat."""

    MODE = "write"
