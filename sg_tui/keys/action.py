"""What a row of the table of keys is, the places it can stand for, and how keys are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal[
    "app", "write", "small", "prompt", "editor", "document", "inside", "several", "tree", "branches", "switches",
    "sampling", "form", "choice", "train", "chart", "samples", "bench", "dialog", "help", "library", "search",
    "settings",
]  # fmt: skip

SCOPES: dict[Scope, str] = {
    "app": "Everywhere",
    "write": "Write",
    "small": "On a small screen",
    "prompt": "In the prompt",
    "editor": "Changing the text",
    "document": "Walking through the text (Esc from the prompt, or a click)",
    "several": "Where four continuations are shown",
    "tree": "In the tree of a text",
    "branches": "Beside the tree",
    "inside": "Inside: in the map of heads (i on a token, or Alt+I)",
    "switches": "In the optimizations (Tab goes there)",
    "sampling": "In the sampling settings",
    "form": "Before a training",
    "choice": "In a choice of the form",
    "train": "Train",
    "chart": "In a chart",
    "samples": "In the samples, and where runs are compared (Tab goes there)",
    "bench": "Bench",
    "dialog": "In a dialog",
    "help": "In the help",
    "library": "In the library",
    "search": "In the line to search with",
    "settings": "In the settings",
}
# Where the widget takes keys in `on_key`: characters that are typed, or keys that must keep their place among them.
TYPED: tuple[Scope, ...] = ("prompt", "document", "several", "sampling")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done.

    id: the action's name in its scope; keys: Textual's key names, none for characters that are typed; label: a word
    or two for the footer; description: a line for help and palette; footer: its rank there (1 stays longest on narrow
    screens, 0 is not shown); priority: also when a focused widget knows the key; palette: listed there; shown: the
    keys as people read them, where their names don't say it.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    description: str
    scope: Scope
    footer: int = 0
    priority: bool = False
    palette: bool = True
    shown: str = ""

    @property
    def key_text(self) -> str:
        """The keys as people read them: "Ctrl+R", "Alt+1"."""
        return self.shown or " ".join(key_text(key) for key in self.keys)


def inner(scope: Scope, *rows: tuple[str, tuple[str, ...], str]) -> tuple[Action, ...]:
    """Rows (id, keys, description) of a part of a screen, told in the help alone."""
    return tuple(Action(id, keys, "", description, scope, palette=False) for id, keys, description in rows)


_NAMES = {
    "ctrl": "Ctrl", "alt": "Alt", "shift": "Shift", "escape": "Esc", "enter": "Enter", "space": "Space",
    "up": "↑", "down": "↓", "left": "←", "right": "→", "pageup": "PgUp", "pagedown": "PgDn",
    "home": "Home", "end": "End", "delete": "Del", "tab": "Tab", "backspace": "Backspace", "plus": "+", "minus": "-",
    "question_mark": "?", "slash": "/", "left_square_bracket": "[", "right_square_bracket": "]",
    "comma": ",", "full_stop": ".", "equals_sign": "=",
}  # fmt: skip


def key_text(key: str) -> str:
    """Textual's name of a key as people read it: "ctrl+r" -> "Ctrl+R", "f1" -> "F1"; a letter stays."""
    *modifiers, last = key.split("+")
    named = _NAMES.get(last, last.upper() if modifiers or len(last) > 1 else last)
    return "+".join([*(_NAMES[modifier] for modifier in modifiers), named])


def named_key(word: str) -> str:
    """Textual's name of one key without modifiers, written as people read it or as Textual does; "" for none."""
    spelled = {shown.lower(): name for name, shown in _NAMES.items()}
    lower = word.lower()
    if lower in _NAMES:
        return lower
    if lower in spelled:
        return spelled[lower]
    if len(word) == 1 and word.isprintable():
        return lower
    return lower if lower[:1] == "f" and lower[1:] in {str(number) for number in range(1, 25)} else ""
