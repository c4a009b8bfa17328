"""Write: the prompt, the text, the switches and the sampling settings."""

from __future__ import annotations

from sg_core.network.optimizations import TABLE
from sg_tui.keys.action import Action, inner
from sg_tui.keys.walking import ALL

WRITING = (
    Action("send", ("enter",), "go on", "The model goes on from the cursor", "editor", footer=1, palette=False),
    Action("newline", ("ctrl+j", "shift+enter"), "new line", "A new line", "editor", footer=1, palette=False),
    Action("done", ("escape",), "done", "Done: the changed text is a branch", "editor", footer=1, palette=False),
    Action("send", ("enter",), "go on", "Send the prompt; empty: go on writing", "prompt", footer=1, palette=False),
    Action("newline", ("ctrl+j", "shift+enter"), "new line", "A new line in the prompt", "prompt", palette=False),
    Action("older", ("up",), "", "An earlier prompt (in the first line)", "prompt", palette=False),
    Action("newer", ("down",), "", "A later prompt (in the last line)", "prompt", palette=False),
    Action(
        "stop", ("escape",), "stop", "Stop writing at once; when it rests, walk through the text", "write", footer=1
    ),
    Action("retry", ("ctrl+r",), "retry", "Write the last part again with another seed", "write", footer=4),
    Action("undo", ("ctrl+z",), "undo", "Take back the last part", "write", footer=5),
    Action("redo", ("ctrl+y",), "redo", "Put the part taken back in place again", "write"),
    Action("several", ("ctrl+g",), "4 ways", "Four continuations of the text at once", "write", footer=6),
    Action(
        "edit_text", ("alt+e",), "change", "Change the text anywhere; the old one stays a branch", "write", footer=6
    ),
    Action(
        "tree",
        ("alt+t",),
        "tree",
        "All branches of the text: what was written again, taken or edited",
        "write",
        footer=6,
    ),
    Action("chat_or_complete", ("alt+c",), "chat", "Chat as in a play, or complete one text", "write", footer=4),
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
        "tint",
        ("f7",),
        "tint",
        "Tint every token by surprise, rank, entropy or who wrote it; or not",
        "write",
        footer=4,
        priority=True,
    ),
    Action(
        "pace",
        ("f8",),
        "pace",
        "Text at a reading pace, 12 tokens a second, or at full speed; the figures stay the engine's",
        "write",
        footer=6,
        priority=True,
    ),
    Action(
        "first_minute",
        ("alt+m",),
        "first minute",
        "The first minute again: write, flip a switch, take another word, mute a head",
        "write",
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
    Action("flip('all')", ("alt+0",), "all", ALL, "write", priority=True),
    Action("scroll(-1)", ("pageup",), "", "Scroll the text up, also while it is written", "prompt", palette=False),
    Action("scroll(1)", ("pagedown",), "", "Scroll the text down", "prompt", palette=False),
    Action("scroll(-9)", ("ctrl+home",), "", "To the beginning of the text", "prompt", palette=False),
    Action("scroll(9)", ("ctrl+end",), "", "To the end of the text, and along with it", "prompt", palette=False),
    Action("edge(-9)", ("home",), "", "With an empty prompt: to the beginning of the text", "prompt", palette=False),
    Action("edge(9)", ("end",), "", "With an empty prompt: to the end of the text", "prompt", palette=False),
)

BESIDE = (
    *inner(
        "switches",
        ("move(-1)", ("up",), "The switch above"),
        ("move(1)", ("down",), "The switch below"),
        ("press", ("enter", "space"), "Flip the switch; in the last line, the next precision"),
        ("page(-1)", ("pageup",), "Up in the panel, to the speed and its chart"),
        ("page(1)", ("pagedown",), "Down in the panel"),
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
