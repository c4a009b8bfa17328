"""The tint of the Write view's text: one key cycles it, the model is asked when it rests."""

from __future__ import annotations

from textual.content import Content

from sg_tui.screens.mode import ModeScreen
from sg_tui.widgets.text_view import TextView
from sg_tui.widgets.tint_words import legend, shown_runs


class TintActions(ModeScreen):
    """A view whose text can be tinted; a subclass calls `show_tint` at every drawing."""

    _tinted: tuple[object, ...] = ()

    def action_tint(self) -> None:
        self.desk.tint.next()
        self.draw_all()

    def show_tint(self) -> None:
        """Tint what is new, and ask for what is not known."""
        tint, manuscript, view = self.desk.tint, self.desk.writing.manuscript, self.query_one(TextView)
        self.desk.ask_for_scores()
        now = (tint.version, id(manuscript), manuscript.version, len(manuscript.pieces))
        if now == self._tinted or (tint.kind == "none" and view.tint is None):
            return
        self._tinted = now
        view.set_tint(shown_runs(tint, manuscript))

    def tint_legend(self, view: TextView) -> Content:
        """For the frame of the text."""
        manuscript, character = self.desk.writing.manuscript, None
        if view.cursor is not None:
            character = sum(len(piece.text) for piece in manuscript.pieces[: view.cursor])
        return legend(self.desk.tint, manuscript, character, max(0, view.size.width - 4))
