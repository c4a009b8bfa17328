"""Alt with a digit, as most terminals send it.

xterm, tmux, GNOME's and Windows' terminals send ESC and the digit. Textual 8 takes these two bytes for the characters
that a Mac's Option key types ("¡" for 1), so Alt+1 would write into the prompt instead of switching.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from textual import _ansi_sequences

_DIGITS = "01234567"


@dataclass(frozen=True, slots=True)
class _Key:
    """What Textual's parser wants of a key: a name in `value`."""

    value: str


def restore_alt_digits() -> None:
    """Make ESC and a digit arrive as alt+0 to alt+7; to be called before the app reads its first key."""
    sequences = cast(dict[str, Any], _ansi_sequences.ANSI_SEQUENCES_KEYS)
    for digit in _DIGITS:
        sequences["\x1b" + digit] = (_Key(f"alt+{digit}"),)
