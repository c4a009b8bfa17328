"""The tree of a text."""

from __future__ import annotations

from sg_tui.keys.action import inner

BRANCHES = (
    *inner(
        "tree",
        ("move(-1)", ("up",), "The row above"),
        ("move(1)", ("down",), "The row below"),
        ("move_page(-1)", ("pageup",), "A page up"),
        ("move_page(1)", ("pagedown",), "A page down"),
        ("move_end(-1)", ("home",), "The first row"),
        ("move_end(1)", ("end",), "The last row"),
        ("to_parent", ("left",), "What it stands on"),
        ("to_child", ("right",), "What stands on it; unfolds it"),
        ("go", ("enter",), "Go on with the text that goes through it"),
        ("fold", ("x", "space"), "Fold what stands on it, or unfold it"),
        ("mark", ("b",), "Set a bookmark, or take it away"),
        ("next", ("n",), "The next place that was found, else the next bookmark"),
        ("remove", ("delete",), "Put it out of sight, with what stands on it; not what is on the screen"),
        ("undo", ("u", "ctrl+z"), "Undo the last fold, bookmark or removal"),
    ),
    *inner(
        "branches",
        ("search", ("slash", "ctrl+f"), "Search in all branches"),
        ("save_tree", ("s", "ctrl+s"), "Save all branches as JSON"),
        ("load_tree", ("o", "ctrl+o"), "Open branches that were saved as JSON, as a new text"),
        ("close", ("escape",), "Close the tree; while searching, the search"),
    ),
)
