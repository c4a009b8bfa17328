"""What opens over a view."""

from __future__ import annotations

from sg_tui.keys.action import inner

DIALOGS = (
    *inner("dialog", ("close", ("escape",), "Close it; nothing changes")),
    *inner(
        "settings",
        ("move(-1)", ("up",), "The setting above"),
        ("move(1)", ("down",), "The setting below"),
        ("change", ("enter",), "Change it: the next choice, or a line to type in"),
        ("usual", ("ctrl+r",), "Its usual value, or the usual keys, again"),
    ),
    *inner("help", ("close", ("q", "enter"), "Close the help, as Esc and F1 do")),
)
