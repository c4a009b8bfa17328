"""Write: the prompt, the text, the switches and the sampling settings."""

from __future__ import annotations

from sg_core.network.optimizations import TABLE, USUAL
from sg_tui.keys.action import Action, inner

LAST = len(TABLE)
_ALL = f"Switch 1 to {len(USUAL)} off, or all of them on again"

WRITING = (
    Action("send", ("enter",), "go on", "Send the prompt; empty: go on writing", "prompt", footer=1, palette=False),
    Action("newline", ("ctrl+j", "shift+enter"), "new line", "A new line in the prompt", "prompt", palette=False),
    Action("older", ("up",), "", "An earlier prompt (in the first line)", "prompt", palette=False),
    Action("newer", ("down",), "", "A later prompt (in the last line)", "prompt", palette=False),
    Action("stop", ("escape",), "stop", "Stop writing at once; else go to the text and back", "write", footer=1),
    Action("retry", ("ctrl+r",), "retry", "Write the last part again with another seed", "write", footer=4),
    Action("undo", ("ctrl+z",), "undo", "Take back the last part", "write", footer=5),
    Action("redo", ("ctrl+y",), "redo", "Put the part taken back in place again", "write"),
    Action("chat_or_complete", ("alt+c",), "chat", "Chat as in a play, or complete one text", "write", footer=3),
    Action(
        "panel",
        ("ctrl+t", "f6"),
        "panel",
        "Open or close the panel with speed, switches and settings",
        "small",
        footer=3,
        priority=True,
    ),
    Action(
        "heat",
        ("f7",),
        "surprise",
        "Tint every token by how much it surprised the model",
        "write",
        footer=7,
        priority=True,
    ),
    Action(
        "slow_motion",
        ("f8",),
        "slow",
        "Slow motion: 12 tokens a second, to flip switches while they come; or full speed",
        "write",
        footer=6,
        priority=True,
    ),
    Action("new_text", ("ctrl+n",), "new", "Begin a new text; the old one is kept", "write", footer=7),
    Action("open_text", ("ctrl+o",), "open", "Open an earlier text", "write", footer=7),
    Action("save_text", ("ctrl+s",), "save", "Save the text to a file", "write", footer=7),
    *(
        Action(
            f"flip('{one.name}')",
            (f"alt+{one.number}",),
            one.label,
            f"Switch {one.label} on or off",
            "write",
            priority=True,
        )
        for one in TABLE
    ),
    *(
        Action(
            f"flip('{one.name}')",
            (str(one.number),),
            "switches" if one.number == 1 else "",
            f"Switch {one.label} on or off",
            "document",
            footer=1 if one.number == 1 else 0,
            palette=False,
            shown=f"1-{LAST}" if one.number == 1 else "",
        )
        for one in TABLE
    ),
    Action("flip('all')", ("alt+0",), "all", _ALL, "write", priority=True),
    Action("flip('all')", ("0",), "all", _ALL, "document", footer=3, palette=False),
    Action("cursor_left", ("left",), "token", "The token before", "document", palette=False),
    Action("cursor_right", ("right",), "token", "The token after", "document", palette=False),
    Action("to_prompt", ("enter",), "prompt", "Back to the prompt", "document", footer=2, palette=False),
    Action("type", (), "", "Write it in the prompt", "document", palette=False, shown="a letter"),
)

BESIDE = (
    *inner(
        "switches",
        ("move(-1)", ("up",), "The switch above"),
        ("move(1)", ("down",), "The switch below"),
        ("press", ("enter", "space"), "Flip the switch; in the last line, the next precision"),
        ("precision(-1)", ("left",), "The precision before (in the last line)"),
        ("precision(1)", ("right",), "The next precision (in the last line)"),
        *((f"flip('{one.name}')", (str(one.number),), "") for one in TABLE),
    ),
    *inner(
        "sampling",
        ("move(-2)", ("up",), "The setting above"),
        ("move(2)", ("down",), "The setting below"),
        ("move(1)", ("space",), "The next setting"),
        ("change(-1)", ("left", "minus"), "Less"),
        ("change(1)", ("right", "plus"), "More"),
        ("take", ("enter",), "Take the typed value"),
        ("rub", ("backspace",), "Rub out a digit"),
    ),
    Action("type", (), "", "Type a value", "sampling", palette=False, shown="0 … 9 ."),
)
