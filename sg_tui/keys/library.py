"""The library: the line to search with, and the list."""

from __future__ import annotations

from sg_tui.keys.action import Action, inner

LIBRARY = (
    *inner(
        "search",
        ("highlight(-1)", ("up",), "The entry above"),
        ("highlight(1)", ("down",), "The entry below"),
        ("highlight(0)", ("tab",), "To the list, where keys act on an entry"),
    ),
    Action("open", ("enter",), "open", "Open the text, or write with the run's or the model's weights", "library", 1),
    Action("rename", ("r",), "rename", "Give a text another name", "library", 2),
    Action("delete", ("delete", "d"), "delete", "Delete a text, a run or a fetched model", "library", 2),
    Action("undo_delete", ("u", "ctrl+z"), "undo", "Bring back what was deleted last", "library", 4),
    Action("export", ("e",), "export", "Save as text, Markdown, JSON or HTML", "library", 3),
    Action("import_text", ("i",), "import", "Take a file in as a text", "library", 4),
    Action("section(1)", ("right",), "section", "The next section: texts, runs, models, deleted", "library", 3),
    Action("section(-1)", ("left",), "", "The section before", "library"),
    Action("forget", ("x",), "", "Remove what was deleted for good", "library"),
    Action("to_search", ("slash", "escape"), "search", "To the line to search with; there: empty it", "library", 2),
)
