"""Asking for a file with the branches of a text."""

from __future__ import annotations

from collections.abc import Iterable

from textual import on
from textual.widget import Widget

from sg_core.errors import SettingError
from sg_core.files import expanded, read_bytes
from sg_tui.library.tree_file import load_tree
from sg_tui.screens.dialog import Dialog
from sg_tui.state.manuscript import Manuscript
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.line_input import LineInput

LARGEST = 256 << 20  # bytes


class LoadDialog(Dialog[Manuscript]):
    """Answers with the text, all its branches with it."""

    TITLE_TEXT = "open branches that were saved as JSON"
    HINT = "Enter open   Esc close"

    def body(self) -> Iterable[Widget]:
        yield LineInput(placeholder="path of a file", id="path")

    @on(LineInput.Submitted)
    def _load(self, event: LineInput.Submitted) -> None:
        try:
            manuscript = load_tree(read_bytes(expanded(event.value.strip()), LARGEST, SettingError))
        except ValueError as trouble:
            self.problem(safe_line(str(trouble), 200))
            return
        self.dismiss(manuscript)
