"""The first minute in the Write view: begun once, on the shipped model; whatever it does not name skips it."""

from __future__ import annotations

from textual import on

from sg_tui.library.preferences import READING_PACE
from sg_tui.screens.write_texts import TextActions
from sg_tui.state.first_minute import BEGINNING
from sg_tui.state.writing import Writing
from sg_tui.widgets.prompt import Prompt
from sg_tui.widgets.tour import Tour

SHIPPED = "tinyshakespeare"


class TourActions(TextActions):
    """A view with a prompt, a text and a Tour; a subclass calls `show_tour` at every drawing."""

    def action_first_minute(self) -> None:
        """Again, from its beginning, with a new text."""
        self.when_stopped(self._begin_again)

    def _begin_again(self) -> None:
        self.take_up(Writing())
        self._begin_tour()

    def _begin_tour(self) -> None:
        desk = self.desk
        desk.minute.begin(desk.generation, desk.writing.manuscript.pieces)
        if not desk.generation.pace:
            desk.set_pace(READING_PACE)
        prompt = self.query_one(Prompt)
        prompt.put(BEGINNING)
        prompt.select_all()
        self.draw_all()

    def show_tour(self) -> None:
        """Begin it for someone who was never here; go on when the step is done."""
        desk, minute = self.desk, self.desk.minute
        loaded, manuscript = desk.generation.loaded, desk.writing.manuscript
        if not desk.toured and loaded is not None and loaded.model == SHIPPED:
            desk.toured = True  # it is offered once
            if manuscript.empty and not self.query_one(Prompt).text:
                self._begin_tour()
        minute.look(desk.generation, manuscript.pieces, muted=bool(desk.inspector.state.scales))
        chart = "(Ctrl+T opens it)" if self.has_class("-narrow") else "on the right"
        self.query_one(Tour).show(minute, desk.generation, chart)

    @on(Prompt.Changed)
    def _typed_something(self, event: Prompt.Changed) -> None:
        """What is typed is a person's own: it stays, and the first minute ends."""
        if self.desk.minute.step is not None and event.text_area.text not in ("", BEGINNING):
            self.desk.minute.end()
            self.draw_all()

    def on_screen_suspend(self) -> None:
        """Another view, or a dialog, is looked at: only the first one ends it."""
        if self.app.current_mode != self.MODE:
            self.desk.minute.end()
