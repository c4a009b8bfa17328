"""The first minute, in a frame of its own between the text and the prompt: it covers nothing."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from sg_tui.state.first_minute import STEPS, FirstMinute
from sg_tui.state.generation_state import GenerationState


class Tour(Static):
    """Seen while a step is to be done."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.display = False
        self._words = ""

    def show(self, minute: FirstMinute, state: GenerationState, chart: str) -> None:
        """Say what the step wants."""
        self.display = minute.step is not None
        words = minute.words(state, chart)
        if minute.step is not None and words != self._words:
            self.border_title = f"the first minute · {minute.step + 1} of {STEPS}"
            self.border_subtitle = "typing skips it"
            self.update(Content(words))
        self._words = words
