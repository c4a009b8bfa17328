"""Asking for one line: a name, a path."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual import on
from textual.widget import Widget

from sg_tui.screens.dialog import Dialog
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.line_input import LineInput


class LineDialog(Dialog[str]):
    """Answers with the line. check: returns what is wrong with it, "" if nothing; the line is then asked for again."""

    HINT = "Enter take   Esc close"

    def __init__(self, title: str, hint: str, line: str = "", check: Callable[[str], str] = lambda line: "") -> None:
        super().__init__()
        self.TITLE_TEXT = title
        self._hint, self._line, self._check = hint, line, check

    def body(self) -> Iterable[Widget]:
        yield LineInput(self._line, placeholder=self._hint, id="line")

    @on(LineInput.Submitted)
    def _take(self, event: LineInput.Submitted) -> None:
        wrong = self._check(event.value)
        if wrong:
            self.problem(safe_line(wrong, 200))
        else:
            self.dismiss(event.value)
