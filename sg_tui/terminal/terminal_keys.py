"""Alt with a digit or a letter, as most terminals send it.

xterm, tmux, GNOME's and Windows' terminals send ESC and the character. Textual 8 takes ESC and a digit for what a Mac's
Option key types ("¡" for 1), and ESC and a letter for two keys: Alt+1 and Alt+P would write into the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from textual import _ansi_sequences

from sg_tui.keys import alt_keys


@dataclass(frozen=True, slots=True)
class _Key:
    """What Textual's parser wants of a key: a name in `value`."""

    value: str


def restore_alt_keys() -> None:
    """Make ESC and a character that is bound with Alt one key; to be called before the app reads its first key."""
    sequences = cast(dict[str, Any], _ansi_sequences.ANSI_SEQUENCES_KEYS)
    for key in alt_keys():
        sequences["\x1b" + key] = (_Key(f"alt+{key}"),)
