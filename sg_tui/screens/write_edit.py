"""Editing anywhere in the text: the editor takes its place, and what comes of it is a branch that is kept at once."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.timer import Timer

from sg_tui.desk import Desk
from sg_tui.screens.write_tree import TreeActions
from sg_tui.state.editing import Editing
from sg_tui.widgets.text_editor import TextEditor
from sg_tui.widgets.text_view import TextView

KEPT_SECONDS = 0.3  # between two looks at what was typed


class EditActions(TreeActions):
    """`e` while walking edits at the chosen token, Alt+E at the end."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._editing: Editing | None = None
        self._looks: Timer | None = None

    def when_stopped(self, then: Callable[[], None]) -> None:
        self.leave_editor()  # whatever is done with the text, what was typed into it belongs to it
        super().when_stopped(then)

    def action_edit_text(self) -> None:
        if self._editing is None:
            cursor = self.query_one(TextView).cursor if self.walking else None
            self.when_stopped(lambda: self._edit_at(cursor))

    def _edit_at(self, cursor: int | None) -> None:
        manuscript, editor = self.desk.writing.manuscript, self.query_one(TextEditor)
        if manuscript.empty:
            self.desk.say("There is no text yet: type its beginning below.")
            return
        self._editing = Editing(manuscript)
        self.query_one(TextView).move_cursor(None)
        self.add_class("-editing")
        editor.border_title = "edit · in the text"
        editor.border_subtitle = "Enter: the model goes on from here · Esc: done"
        editor.open(self._editing.text, self._editing.start(len(manuscript.pieces) if cursor is None else cursor))
        self.set_focus(editor)
        self._looks = self.set_interval(KEPT_SECONDS, self._look)
        self.draw_all()

    def _look(self) -> None:
        """What was typed is in the tree, and so in the library, while it is typed."""
        if self._editing is not None:
            self._editing.update(self.query_one(TextEditor).text)

    @on(TextEditor.Finished)
    def _finished(self, event: TextEditor.Finished) -> None:
        self.leave_editor()
        if event.at is not None:
            manuscript = self.desk.writing.manuscript
            cut = Editing(manuscript)
            cut.update(cut.text[: event.at])
            manuscript.begin([], seed=self.desk.generation.sampling.seed)
            self.show_text()
            self.go_on()

    def leave_editor(self) -> None:
        """Take what was typed, and show the text again."""
        if self._editing is None:
            return
        self._look()
        self._editing = None
        if self._looks is not None:
            self._looks.stop()
        self.remove_class("-editing")
        self.edit()
        self.show_text()
        self.query_one(TextView).follow()
