"""A box of a form: its label, a line to type in, and beneath it what is wrong with what stands there."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Label, Static

from sg_tui.state.training_choice import Box
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.line_input import LineInput


class FormField(Vertical):
    """The line has the box's name as its id."""

    def __init__(self, box: Box, placeholder: str = "") -> None:
        super().__init__(id=f"{box.name}-field", classes="form-field")
        self.box = box
        self._placeholder = placeholder
        self._wrong = ""

    def compose(self) -> ComposeResult:
        with Horizontal(classes="form-line"):
            yield Label(self.box.label, classes="form-label", markup=False)
            yield LineInput(placeholder=self._placeholder, compact=True, id=self.box.name, classes="form-box")
        wrong = Static(classes="form-wrong", markup=False)
        wrong.display = False
        yield wrong

    @property
    def line(self) -> LineInput:
        """Where it is typed."""
        return self.query_one(LineInput)

    def tell(self, wrong: str) -> None:
        """Show what is wrong, or nothing."""
        if wrong != self._wrong:
            self._wrong = wrong
            self.set_class(bool(wrong), "-wrong")
            words = self.query_one(".form-wrong", Static)
            words.display = bool(wrong)
            words.update(f"! {safe_line(wrong)}")
