"""One table of everything a person can do; bindings, footer, help, palette and README are made from it.

A row's `id` names the method `action_<id>` of the place its scope means; "flip('gelu')" has an argument. Each part of
the program has its rows in a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import Binding

from sg_core.network.optimizations import TABLE
from sg_tui.keys.action import SCOPES, TYPED, Action, Scope, key_text
from sg_tui.keys.branches import BRANCHES
from sg_tui.keys.chosen import choose, chosen, name_of, present
from sg_tui.keys.dialogs import DIALOGS
from sg_tui.keys.everywhere import EVERYWHERE, MODES, Mode
from sg_tui.keys.inside import INSIDE
from sg_tui.keys.library import LIBRARY
from sg_tui.keys.measuring import MEASURING
from sg_tui.keys.training import TRAINING
from sg_tui.keys.walking import SEVERAL, WALKING
from sg_tui.keys.writing import BESIDE, WRITING

__all__ = [
    "ACTIONS", "MODES", "SCOPES", "TYPED", "Action", "Mode", "Scope", "actions", "alt_keys", "bindings",
    "choose", "chosen", "first_key", "footer", "help_sections", "key_text", "markdown", "name_of",
]  # fmt: skip

ACTIONS: tuple[Action, ...] = (
    *EVERYWHERE,
    *WALKING,
    *SEVERAL,
    *WRITING,
    *INSIDE,
    *BESIDE,
    *BRANCHES,
    *TRAINING,
    *MEASURING,
    *LIBRARY,
    *DIALOGS,
)


def actions(*scopes: Scope) -> list[Action]:
    """The rows of these scopes, in the order of the table, with the keys a person chose."""
    return [present(action) for action in ACTIONS if action.scope in scopes]


def bindings(*scopes: Scope) -> list[Binding]:
    """Textual bindings of these scopes, for a class's BINDINGS; their ids are those of a keymap."""
    return [
        Binding(
            ",".join(action.keys),
            action.id,
            action.description,
            show=False,
            priority=action.priority,
            key_display=action.key_text,
            id=name_of(action),
        )
        for action in ACTIONS
        if action.keys and action.scope in scopes
    ]


def first_key(id: str) -> str:
    """Textual's name of the first key of an action."""
    return next(present(action).keys[0] for action in ACTIONS if action.id == id)


def alt_keys() -> frozenset[str]:
    """The characters that are bound together with Alt."""
    return frozenset(key[-1] for action in ACTIONS for key in present(action).keys if key.startswith("alt+"))


def footer(scopes: Iterable[Scope]) -> list[Action]:
    """The rows a footer shows for these scopes, most wanted first."""
    shown = [action for action in actions(*scopes) if action.footer]
    return sorted(shown, key=lambda action: action.footer)


def help_sections(nearest: Iterable[Scope] = ()) -> list[tuple[str, list[tuple[str, str]]]]:
    """(title, [(keys, description)]) for the help screen and the README; the switches take one line.

    nearest: places that come first, in this order.
    """
    sections = []
    first = [scope for scope in nearest if scope != "app"]
    for scope in [*first, *(scope for scope in SCOPES if scope not in first)]:
        title = SCOPES[scope]
        rows: dict[str, str] = {}
        for action in actions(scope):
            if action.id.startswith("flip(") and "all" not in action.id:
                alt = "Alt+" if scope == "write" else ""
                rows[f"{alt}1 … {alt}{len(TABLE)}"] = "Switch an optimization on or off"
            else:
                rows[action.key_text] = action.description
        if rows:
            sections.append((title, list(rows.items())))
    return sections


def markdown() -> str:
    """The table of keys as the README shows it."""
    lines = []
    for title, rows in help_sections():
        lines += [f"**{title}**", "", "| key | what it does |", "|---|---|"]
        lines += [f"| `{keys}` | {description} |" for keys, description in rows]
        lines.append("")
    return "\n".join(lines)
