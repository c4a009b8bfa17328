"""Four continuations at once: asked for, looked at, one of them taken or none."""

from __future__ import annotations

from textual import events, on

from sg_tui.desk import Desk
from sg_tui.screens.write_walk import WalkActions
from sg_tui.state.continuations import Continuations
from sg_tui.widgets.continuations_view import COUNT, ContinuationsView
from sg_tui.widgets.text_view import TextView


class SeveralActions(WalkActions):
    """Space while walking writes them in the place of the chosen token, Ctrl+G at the end of the text."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._ways: Continuations | None = None
        self._round = 0  # so many times four were asked for at this place
        self._from_walk = False

    def on_mount(self) -> None:
        self.query_one(ContinuationsView).elsewhere = self._leave_typing

    @property
    def choosing(self) -> bool:
        """Whether continuations are shown."""
        return self._ways is not None

    def action_several(self) -> None:
        view, manuscript = self.query_one(TextView), self.desk.writing.manuscript
        index = view.cursor if self.walking and view.cursor is not None else len(manuscript.pieces)
        self._from_walk, self._round = self.walking, 0
        self.when_stopped(lambda: self._write_several(index))

    def _write_several(self, index: int) -> None:
        manuscript = self.desk.writing.manuscript
        if self.desk.generation.sampling.temperature == 0:
            self.desk.say("At temperature 0 all four are the same: the likeliest.")
        tokens = ContinuationsView.tokens(self.size.width, self.size.height)
        self._ways = self.desk.generate_several(min(index, len(manuscript.pieces)), COUNT, tokens, self._round * COUNT)
        view = self.query_one(ContinuationsView)
        view.reset()
        view.display = True
        view.styles.height = view.rows(self.size.height)
        self.add_class("-several")
        self.set_focus(view)
        self.call_after_refresh(self._bring_into_view, index)
        self.draw_all()

    def _bring_into_view(self, index: int) -> None:
        view = self.query_one(TextView)
        if index < len(self.desk.writing.manuscript.pieces):
            view.move_cursor(index)
            view.show_cursor()
        else:
            view.follow()

    def show_several(self) -> None:
        """Draw them, if they are shown."""
        if self._ways is not None:
            self.query_one(ContinuationsView).show(self._ways)

    @on(ContinuationsView.Asked)
    def _several_asked(self, event: ContinuationsView.Asked) -> None:
        ways = self._ways
        if ways is None:
            return
        if event.others:
            self._round += 1
            self.when_stopped(lambda: self._write_several(ways.index))
        elif event.take is None:
            self.when_stopped(self._leave)
        else:
            number = event.take
            self.when_stopped(lambda: self._take_way(ways, number))

    def _take_way(self, ways: Continuations, number: int) -> None:
        if not ways.take(number):
            self.desk.say("Nothing came of that one.")
            return
        self._leave()
        self.show_text()
        if self._from_walk:
            self.query_one(TextView).move_cursor(ways.index)

    def close_several(self) -> None:
        """The text is another one now, or is gone on with: what was to be chosen from is a branch of it."""
        if self._ways is not None:
            self._from_walk = False
            self._leave()

    def _leave(self) -> None:
        """The text has the whole view again."""
        self._ways = None
        self.query_one(ContinuationsView).display = False
        self.remove_class("-several")
        if self._from_walk:
            self.set_focus(self.query_one(TextView))
        else:
            self.edit()
        self.draw_all()

    def _leave_typing(self, event: events.Key | events.Paste) -> None:
        """What is typed is text here too."""
        self._from_walk = False
        if self.desk.generation.running:
            self.desk.stop()
        self._leave()
        self._typed(event)

    def on_resize(self, event: events.Resize) -> None:
        self.query_one(ContinuationsView).styles.height = ContinuationsView.rows(event.size.height)
