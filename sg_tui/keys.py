"""One table of everything a person can do; bindings, footer, help, palette and README are made from it.

A row's `id` names the method `action_<id>` of the place its scope means; "flip('gelu')" has an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding

from sg_core.network.optimizations import TABLE, USUAL
from sg_core.network.precisions import PRECISIONS

Scope = Literal[
    "app", "write", "small", "prompt", "document", "switches", "sampling",
    "form", "choice", "train", "chart", "bench", "dialog", "help", "texts",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mode:
    """A main view: its name, key, label and description, and the class of its screen as "module:Class"."""

    name: str
    key: str
    label: str
    description: str
    screen: str


# The first one is seen first; a screen's module is imported when it is first opened.
MODES = (
    Mode("write", "f2", "Write", "Complete text and chat", "sg_tui.screens.write:WriteScreen"),
    Mode("train", "f3", "Train", "Train a model and watch it learn", "sg_tui.screens.train:TrainScreen"),
    Mode("bench", "f4", "Bench", "Measure every optimization", "sg_tui.screens.bench:BenchScreen"),
)

SCOPES: dict[Scope, str] = {
    "app": "Everywhere",
    "write": "Write",
    "small": "On a small screen",
    "prompt": "In the prompt",
    "document": "In the text (click it, or Esc from the prompt)",
    "switches": "In the optimizations (Tab goes there)",
    "sampling": "In the sampling settings",
    "form": "Before a training",
    "choice": "In a choice of the form",
    "train": "Train",
    "chart": "In a chart",
    "bench": "Bench",
    "dialog": "In a dialog",
    "help": "In the help",
    "texts": "In the list of texts",
}
# Where the widget takes keys in `on_key`: characters that are typed, or keys that must keep their place among them.
TYPED: tuple[Scope, ...] = ("prompt", "document", "sampling")


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


def _inner(scope: Scope, *rows: tuple[str, tuple[str, ...], str]) -> tuple[Action, ...]:
    """Rows (id, keys, description) of a part of a screen, told in the help alone."""
    return tuple(Action(id, keys, "", description, scope, palette=False) for id, keys, description in rows)


_LAST = len(TABLE)
_ALL = f"Switch 1 to {len(USUAL)} off, or all of them on again"

_APP = (
    Action("help", ("f1",), "help", "What every key does", "app", footer=2, priority=True),
    *(
        Action(f"mode('{mode.name}')", (mode.key,), mode.label, mode.description, "app", priority=True)
        for mode in MODES
    ),
    Action("command_palette", ("ctrl+p",), "palette", "Find any action by name", "app", footer=5, palette=False),
    Action("choose_model", ("ctrl+l",), "model", "Choose another model", "app", priority=True),
    Action(
        "next_precision",
        ("alt+p",),
        "precision",
        f"The weights in the next precision: {', '.join(PRECISIONS)}",
        "app",
        footer=6,
        priority=True,
    ),
    Action(
        "copy_or_stop", ("ctrl+c",), "copy", "Copy the selection, or else stop", "app", priority=True, palette=False
    ),
    Action("toggle_theme", ("f9",), "theme", "Dark or light colours", "app"),
    Action("quit", ("ctrl+q",), "quit", "Leave; the text is kept", "app", footer=2, priority=True),
)

_WRITE = (
    Action("send", ("enter",), "go on", "Send the prompt; empty: go on writing", "prompt", footer=1, palette=False),
    Action("newline", ("ctrl+j", "shift+enter"), "new line", "A new line in the prompt", "prompt", palette=False),
    Action("older", ("up",), "", "An earlier prompt (in the first line)", "prompt", palette=False),
    Action("newer", ("down",), "", "A later prompt (in the last line)", "prompt", palette=False),
    Action("stop", ("escape",), "stop", "Stop writing at once; else go to the text and back", "write", footer=1),
    Action("retry", ("ctrl+r",), "retry", "Write the last part again with another seed", "write", footer=4),
    Action("undo", ("ctrl+z",), "undo", "Take back the last part", "write", footer=5),
    Action("redo", ("ctrl+y",), "redo", "Put the part taken back in place again", "write"),
    Action("chat_or_complete", ("f5",), "chat", "Chat as in a play, or complete one text", "write", footer=3),
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
            shown=f"1-{_LAST}" if one.number == 1 else "",
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
_SIDE = (
    *_inner(
        "switches",
        ("move(-1)", ("up",), "The switch above"),
        ("move(1)", ("down",), "The switch below"),
        ("press", ("enter", "space"), "Flip the switch; in the last line, the next precision"),
        ("precision(-1)", ("left",), "The precision before (in the last line)"),
        ("precision(1)", ("right",), "The next precision (in the last line)"),
        *((f"flip('{one.name}')", (str(one.number),), "") for one in TABLE),
    ),
    *_inner(
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

_TRAIN = (
    Action("start", ("enter",), "start", "Start the run as the form has it", "form", footer=1, palette=False),
    Action("show_run", ("escape",), "the run", "Back to the last run", "form", footer=2, palette=False),
    *_inner(
        "choice",
        ("move(-1)", ("up", "left"), "The choice before"),
        ("move(1)", ("down", "right", "space"), "The next choice"),
    ),
    Action("pause", ("p",), "pause", "Pause the training, or go on with it", "train", footer=1),
    Action("stop_training", ("s",), "stop", "Stop the training; its last state is saved", "train", footer=1),
    Action("talk", ("t",), "talk", "Ask the model as it is now", "train", footer=1),
    Action("sample_now", ("g",), "sample", "Let the model write a sample now", "train", footer=3),
    Action("new_run", ("n",), "new run", "Start another run (when none is under way)", "train", footer=2),
    Action("toggle_log", ("l",), "log", "Loss on a logarithmic or a linear axis", "train", footer=4),
    Action("next_x_axis", ("x",), "x axis", "Loss by step, by tokens or by time", "train", footer=4),
    Action("compare", ("o",), "compare", "Draw earlier runs beside this one", "train", footer=7),
    Action("older_sample", ("comma",), "older", "The sample before", "train", footer=7),
    Action("newer_sample", ("full_stop",), "newer", "The next sample", "train", footer=7),
    Action("save_elsewhere", ("f",), "save to", "Save this run into another folder", "train"),
    Action("leave", ("escape",), "", "Stop the answer; leave the line", "train", palette=False),
    Action("zoom_in", ("plus", "equals_sign"), "zoom", "Zoom in", "chart", footer=6, palette=False),
    Action("zoom_out", ("minus",), "out", "Zoom out", "chart", palette=False),
    Action("zoom_x_in", ("right_square_bracket",), "", "Zoom in along x", "chart", palette=False),
    Action("zoom_x_out", ("left_square_bracket",), "", "Zoom out along x", "chart", palette=False),
    Action("pan_left", ("left",), "", "Move to what is left", "chart", palette=False),
    Action("pan_right", ("right",), "", "Move to what is right", "chart", palette=False),
    Action("pan_up", ("up",), "", "Move up", "chart", palette=False),
    Action("pan_down", ("down",), "", "Move down", "chart", palette=False),
    Action("reset_scales", ("0", "home"), "all", "See the whole chart again", "chart", footer=6, palette=False),
)
_BENCH = (
    Action("ladder", ("enter",), "measure", "Measure the switches, one after another", "bench", footer=1),
    Action("all", ("a",), "all 128", "Measure all 128 combinations of switches", "bench", footer=2),
    Action("stop_bench", ("escape",), "stop", "Stop measuring", "bench", footer=1),
    Action("sort", ("o",), "sort", "Sort as measured, by time, or by switches", "bench", footer=3),
    Action("tokens(2)", ("plus", "equals_sign"), "tokens", "Twice as many tokens a row", "bench", footer=4),
    Action("tokens(0.5)", ("minus",), "", "Half as many tokens a row", "bench"),
)

_DIALOGS = (
    *_inner("dialog", ("close", ("escape",), "Close it; nothing changes")),
    *_inner("help", ("close", ("q", "enter"), "Close the help, as Esc and F1 do")),
    *_inner("texts", ("to_list", ("down",), "From the words of a title to the list")),
)

ACTIONS: tuple[Action, ...] = (*_APP, *_WRITE, *_SIDE, *_TRAIN, *_BENCH, *_DIALOGS)

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


def actions(*scopes: Scope) -> list[Action]:
    """The rows of these scopes, in the order of the table."""
    return [action for action in ACTIONS if action.scope in scopes]


def bindings(*scopes: Scope) -> list[Binding]:
    """Textual bindings of these scopes, for a class's BINDINGS."""
    return [
        Binding(
            ",".join(action.keys),
            action.id,
            action.description,
            show=False,
            priority=action.priority,
            key_display=action.key_text,
        )
        for action in actions(*scopes)
        if action.keys
    ]


def first_key(id: str) -> str:
    """Textual's name of the first key of an action."""
    return next(action.keys[0] for action in ACTIONS if action.id == id)


def alt_keys() -> frozenset[str]:
    """The characters that the table binds together with Alt."""
    return frozenset(key[-1] for action in ACTIONS for key in action.keys if key.startswith("alt+"))


def footer(scopes: Iterable[Scope]) -> list[Action]:
    """The rows a footer shows for these scopes, most wanted first."""
    shown = [action for action in actions(*scopes) if action.footer]
    return sorted(shown, key=lambda action: action.footer)


def help_sections() -> list[tuple[str, list[tuple[str, str]]]]:
    """(title, [(keys, description)]) for the help screen and the README; the switches take one line."""
    sections = []
    for scope, title in SCOPES.items():
        rows: dict[str, str] = {}
        for action in actions(scope):
            if action.id.startswith("flip(") and "all" not in action.id:
                alt = "Alt+" if scope == "write" else ""
                rows[f"{alt}1 … {alt}{_LAST}"] = "Switch an optimization on or off"
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
