"""What opens over a view."""

from __future__ import annotations

from sg_tui.keys.action import inner

DIALOGS = (
    *inner("dialog", ("close", ("escape",), "Close it; nothing changes")),
    *inner("help", ("close", ("q", "enter"), "Close the help, as Esc and F1 do")),
)
