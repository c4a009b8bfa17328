"""What stands on the screens can be read: in both themes, in all colours, in 256 and in 16."""

from __future__ import annotations

import pytest
from colours import LEAST, unreadable
from scripted_engine import ScriptedEngine
from textual.screen import ModalScreen
from write_stories import opened, send

from sg_tui.theme import DARK, LIGHT

PLACES = ("f7", "f3", "f4", "f1", "ctrl+l", "f2", "ctrl+o")


@pytest.mark.parametrize("theme", [DARK.name, LIGHT.name])
async def test_every_word_on_every_screen_has_its_contrast(theme: str) -> None:
    async with opened(ScriptedEngine()) as (pilot, app, _):
        app.theme = theme
        await send(pilot, "ROMEO:")
        for key in ("", *PLACES):
            if isinstance(app.screen, ModalScreen):
                await pilot.press("escape")
            await pilot.press(*filter(None, [key]))
            await pilot.pause(0.1)  # toasts and lists that a thread fills
            for system in LEAST:
                assert not unreadable(app, system), (key, system)
