"""Asking where to save a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from textual import on
from textual.widget import Widget
from textual.widgets import Static

from sg_core.errors import SettingError
from sg_core.files import given_path, replacing
from sg_tui.screens.dialog import Dialog
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.line_input import LineInput

FORMS = "The ending says how: .txt the text as it is, .md, .json to take in again, .html with its tints."


class SaveDialog(Dialog[Path]):
    """Writes what `text` makes for the file's ending, and answers with the path; an existing file is asked about first.

    forms: what the endings mean, told below. what: is saved, as its title says.
    """

    HINT = "Enter save   Esc close"

    def __init__(
        self, text: Callable[[str], str], title: str, suffix: str = ".txt", forms: str = "", what: str = "the text"
    ) -> None:
        super().__init__()
        self.TITLE_TEXT = f"save {what}"
        self._text, self._file, self._forms = text, file_name(title, suffix), forms
        self._warned: Path | None = None

    def body(self) -> Iterable[Widget]:
        yield LineInput(self._file, placeholder="path of a file", id="path")
        yield Static(self._forms, id="forms", markup=False)

    @on(LineInput.Submitted)
    def _save(self, event: LineInput.Submitted) -> None:
        if not event.value.strip():
            self.problem("a file needs a name")
            return
        try:
            path = given_path(event.value.strip(), SettingError)
            if path.is_dir():
                path = path / self._file
            if path.exists() and path != self._warned:
                self._warned = path
                self.problem(f"{safe_line(path.name, 60)} exists: Enter again replaces it")
                return
            if path.exists() and not path.is_file():
                self.problem("can't be saved there: this is no file")
                return
            with replacing(path, SettingError) as file:
                file.write(self._text(path.suffix).encode("utf-8", "replace"))
        except (OSError, SettingError) as trouble:
            self.problem(safe_line(f"can't be saved there: {trouble}", 200))
            return
        self.dismiss(path.absolute())


def file_name(title: str, suffix: str = ".txt") -> str:
    """A file's name from the first words of a text."""
    words = re.findall(r"\w+", title.casefold())[:5]
    return ("-".join(words)[:40] or "text") + suffix
