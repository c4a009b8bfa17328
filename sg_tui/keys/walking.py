"""Write, while the text is walked through: a token is chosen, and keys act."""

from __future__ import annotations

from sg_core.network.optimizations import TABLE, USUAL
from sg_tui.keys.action import Action, inner

LAST = len(TABLE)
ALL = f"Switch 1 to {len(USUAL)} off, or all of them on again"


def _walk(id: str, keys: tuple[str, ...], label: str, description: str, footer: int = 0, shown: str = "") -> Action:
    return Action(id, keys, label, description, "document", footer, palette=False, shown=shown)


def _several(id: str, keys: tuple[str, ...], label: str, description: str, shown: str = "") -> Action:
    return Action(id, keys, label, description, "several", 1 if label else 0, palette=False, shown=shown)


SEVERAL = (
    *(
        _several(f"pick({n})", (str(n),), "take" if n == 1 else "", "Take this one; the others stay", "1-4" * (n == 1))
        for n in range(1, 5)
    ),
    _several("others", ("space",), "others", "Four others"),
    _several("keep_old", ("escape",), "keep the old", "The text stays as it was; these stay branches of it"),
    *inner(
        "several",
        ("scroll_all(-1)", ("up",), "Scroll them up"),
        ("scroll_all(1)", ("down",), "Scroll them down"),
    ),
)

WALKING = (
    _walk("cursor_left", ("left",), "token", "The token before", 1, "← →"),
    _walk("cursor_right", ("right",), "", "The token after"),
    _walk("cursor_row(-1)", ("ctrl+up",), "", "A token of the line above"),
    _walk("cursor_row(1)", ("ctrl+down",), "", "A token of the line below"),
    _walk("choose(-1)", ("up",), "others", "Another token the model thought of, likelier", 1, "↑ ↓"),
    _walk("choose(1)", ("down",), "", "Another token the model thought of, less likely"),
    _walk("take", ("enter",), "take", "Take it: the text forks there. With the token itself: back to the prompt", 1),
    _walk("several", ("space",), "4 ways", "Four continuations at once in its place", 2),
    _walk("edit_text", ("e",), "change", "Change the text from here on", 2),
    _walk("tree", ("t",), "tree", "All branches of the text", 2),
    _walk("mark", ("b",), "", "A bookmark on what was written here, or no longer"),
    _walk("branch(-1)", ("left_square_bracket",), "", "What else was written at this place: the branch before"),
    _walk("branch(1)", ("right_square_bracket",), "", "What else was written at this place: the next branch"),
    _walk("to_prompt", ("escape",), "edit", "Stop writing; else back to the prompt", 1),
    *inner(
        "document",
        ("page_up", ("pageup",), "Scroll up, also while it writes"),
        ("page_down", ("pagedown",), "Scroll down"),
        ("scroll_home", ("home", "ctrl+home"), "To the beginning"),
        ("scroll_end", ("end", "ctrl+end"), "To the end, and along with it"),
    ),
    *(
        _walk(
            f"flip('{one.name}')",
            (str(one.number),),
            "flip" if one.number == 1 else "",
            f"Switch {one.label} on or off",
            3 if one.number == 1 else 0,
            f"1-{LAST}" if one.number == 1 else "",
        )
        for one in TABLE
    ),
    _walk("flip('all')", ("0",), "all", ALL, 5),
    _walk("type", (), "", "Back to the prompt, with it", shown="any other"),
)
