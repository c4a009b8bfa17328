"""Alt with a digit or a letter reaches the app as terminals send it."""

from __future__ import annotations

import pytest
from textual import events
from textual._xterm_parser import XTermParser

from sg_tui.terminal.terminal_keys import restore_alt_keys


@pytest.mark.parametrize("character", "012345678p")
def test_escape_and_a_character_is_alt_and_the_character(character: str) -> None:
    restore_alt_keys()
    keys = [event.key for event in XTermParser().feed(f"\x1b{character}x") if isinstance(event, events.Key)]
    assert keys == [f"alt+{character}", "x"]
