"""What the Write view does with whole texts: a new one, an earlier one, a file; never while one is being written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sg_core.engine.events import Done, Event, Failed
from sg_tui.desk import Desk
from sg_tui.library.export import Document, export
from sg_tui.screens.mode import ModeScreen
from sg_tui.screens.save_dialog import FORMS, SaveDialog
from sg_tui.state.writing import Writing


class TextActions(ModeScreen):
    """A view that holds a text; a subclass shows it in `take_up`."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._waiting: deque[Callable[[], None]] = deque()  # for the running generation to end

    def handle(self, event: Event) -> None:
        super().handle(event)
        if isinstance(event, Done | Failed) and self._waiting and not self.desk.generation.running:
            self.app.call_later(self._go_on)

    def when_stopped(self, then: Callable[[], None]) -> None:
        """Do this now, or as soon as the running generation has been stopped."""
        self._waiting.append(then)
        self._go_on()

    def _go_on(self) -> None:
        """Do what waits, one after another, each when nothing runs."""
        while self._waiting:
            if self.desk.generation.running:
                self.desk.stop()
            if self.desk.generation.running:
                return
            self._waiting.popleft()()

    def take_up(self, writing: Writing) -> None:
        """Another text is gone on with, and shown."""
        self.desk.take_up(writing)

    def action_new_text(self) -> None:
        self.when_stopped(lambda: self.take_up(Writing(self.desk.writing.chat, self.desk.writing.cast)))

    async def action_open_text(self) -> None:
        self.desk.library_section = "texts"
        await self.run_action("app.mode('library')")

    def take_wanted(self) -> None:
        """Go on with the text that was chosen elsewhere, as soon as the present one rests."""
        writing, self.desk.wanted = self.desk.wanted, None
        if writing is not None:
            self.when_stopped(lambda: self.take_up(writing))

    def action_save_text(self) -> None:
        manuscript, mode = self.desk.writing.manuscript, self.desk.writing.mode
        if manuscript.empty:
            self.desk.say("There is nothing to save yet.")
            return

        def saved(path: Path | None) -> None:
            if path is not None:
                self.desk.say(f"Saved to {path}")

        document = Document(manuscript.title, self.desk.model, mode, manuscript)
        self.app.push_screen(SaveDialog(partial(export, document), document.title, forms=FORMS), saved)
