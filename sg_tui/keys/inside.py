"""Inside: the map of heads, and what is shown of the chosen one."""

from __future__ import annotations

from sg_tui.keys.action import Action, inner

INSIDE = (
    Action(
        "inside",
        ("alt+i", "f11"),
        "inside",
        "Look inside the model: where it looks, what each layer would say, what each head does",
        "write",
        footer=3,
        priority=True,
    ),
    Action("inside", ("i",), "inside", "Look inside the model at the chosen token", "document", 2, palette=False),
    Action("inside", ("i",), "close", "Back to the figures of speed", "inside", 2, palette=False),
    Action("mute", ("m",), "mute", "Mute the chosen head or MLP, or no longer", "inside", 1, palette=False),
    Action(
        "scale(1)",
        ("plus", "equals_sign"),
        "scale",
        "What it adds counts more, by a quarter",
        "inside",
        4,
        palette=False,
    ),
    Action("scale(-1)", ("minus",), "", "What it adds counts less, by a quarter", "inside", palette=False),
    Action("back", ("0",), "", "The chosen one counts as in the model", "inside", palette=False),
    Action("restore", ("r",), "all back", "Every head and MLP as it is in the model", "inside", 5, palette=False),
    Action("why", ("w",), "why", "Why this token and not another; or the lens again", "inside", 1, palette=False),
    Action("rival", ("b",), "other", "Compare it with the next alternative", "inside", 4, palette=False),
    Action("token(-1)", ("comma",), "token", "The token before", "inside", 2, palette=False, shown=", ."),
    Action("token(1)", ("full_stop",), "", "The token after", "inside", palette=False),
    Action("figures", ("e",), "export", "Save the figures shown, as JSON", "inside", 5, palette=False),
    Action(
        "select(-1, 0)",
        ("up",),
        "head",
        "Another head, or right of the last one the MLP",
        "inside",
        1,
        palette=False,
        shown="← → ↑ ↓",
    ),
    *inner(
        "inside",
        ("select(1, 0)", ("down",), "The layer below"),
        ("select(0, -1)", ("left",), "The head before"),
        ("select(0, 1)", ("right",), "The head after"),
    ),
)
