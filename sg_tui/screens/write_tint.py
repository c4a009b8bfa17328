"""The tint of the Write view's text: one key cycles it, the model is asked when it rests."""

from __future__ import annotations

from textual.content import Content

from sg_tui.screens.mode import ModeScreen
from sg_tui.terminal.textsafe import safe
from sg_tui.widgets.text_view import TextView
from sg_tui.widgets.tint_words import legend, shown_runs


class TintActions(ModeScreen):
    """A view whose text can be tinted; a subclass calls `show_tint` at every drawing."""

    _tinted: tuple[object, ...] = ()  # what the runs were made of
    _pieces = _shown = 0  # as far as they reach: pieces, and characters as they are shown

    def action_tint(self) -> None:
        self.desk.tint.next()
        self.draw_all()

    def show_tint(self) -> None:
        """Tint what is new, and ask for what is not known."""
        tint, manuscript, view = self.desk.tint, self.desk.writing.manuscript, self.query_one(TextView)
        self.desk.ask_for_scores()
        if tint.kind == "none" and view.tint is None:
            return
        now = (tint.version, id(manuscript), manuscript.version)
        if now != self._tinted:
            self._tinted, self._pieces = now, len(manuscript.pieces)
            self._shown = sum(len(safe(piece.text)) for piece in manuscript.pieces)
            view.set_tint(shown_runs(tint, manuscript))
        elif view.tint is not None:  # a growing text is not looked through again
            for piece in manuscript.pieces[self._pieces :]:
                if piece.text:
                    view.tint.add(self._shown, tint.level_of(piece))
                self._shown += len(safe(piece.text))
            self._pieces = len(manuscript.pieces)

    def tint_legend(self, view: TextView) -> Content:
        """For the frame of the text."""
        manuscript, character = self.desk.writing.manuscript, None
        if view.cursor is not None:
            character = sum(len(piece.text) for piece in manuscript.pieces[: view.cursor])
        return legend(self.desk.tint, manuscript, character, max(0, view.size.width - 4))
