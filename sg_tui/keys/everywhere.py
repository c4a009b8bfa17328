"""The main views, and what can be done in each of them."""

from __future__ import annotations

from dataclasses import dataclass

from sg_core.network.precisions import PRECISIONS
from sg_tui.keys.action import Action


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
    Mode(
        "library",
        "f5",
        "Library",
        "Texts, runs and models: search, open, export",
        "sg_tui.screens.library:LibraryScreen",
    ),
)

EVERYWHERE = (
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
        "fade_adapters",
        ("alt+a",),
        "adapter",
        "10% less of the LoRA adapters, after none all of them",
        "app",
        priority=True,
    ),
    Action(
        "copy_or_stop", ("ctrl+c",), "copy", "Copy the selection, or else stop", "app", priority=True, palette=False
    ),
    Action("settings", ("f10", "alt+s"), "settings", "All settings, and the keys of every action", "app"),
    Action("export", ("f12",), "export", "The screen as SVG, its numbers as JSON and CSV, into files", "app"),
    Action("toggle_theme", ("f9",), "theme", "Dark or light colours", "app"),
    Action("quit", ("ctrl+q",), "quit", "Leave; the text is kept", "app", footer=2, priority=True),
)
