"""Asking for a file with the branches of a text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from textual import on
from textual.widget import Widget

from sg_core.errors import SettingError
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
            path = Path(event.value.strip()).expanduser()
            if path.is_file() and path.stat().st_size > LARGEST:
                self.problem("this file is larger than any text")
                return
            manuscript = load_tree(path.read_bytes())
        except (OSError, ValueError, RuntimeError, SettingError) as trouble:
            reason = trouble.strerror if isinstance(trouble, OSError) and trouble.strerror else str(trouble)
            self.problem(safe_line(reason, 200))
            return
        self.dismiss(manuscript)
