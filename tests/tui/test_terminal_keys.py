"""Alt with a digit reaches the app as terminals send it."""

from __future__ import annotations

import pytest
from textual import events
from textual._xterm_parser import XTermParser

from sg_tui.terminal_keys import restore_alt_digits


@pytest.mark.parametrize("digit", "01234567")
def test_escape_and_a_digit_is_alt_and_the_digit(digit: str) -> None:
    restore_alt_digits()
    keys = [event.key for event in XTermParser().feed(f"\x1b{digit}x") if isinstance(event, events.Key)]
    assert keys == [f"alt+{digit}", "x"]
