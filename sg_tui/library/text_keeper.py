"""Hands the text on the screen to the librarian as it grows, in pieces as large as what is new."""

from __future__ import annotations

from sg_tui.library.librarian import Librarian
from sg_tui.library.store import Place
from sg_tui.library.unkept import MoreText, WholeText
from sg_tui.state.writing import Writing


class TextKeeper:
    """`keep` costs what has changed since it was called last, however long the text is."""

    def __init__(self, librarian: Librarian) -> None:
        self._librarian = librarian
        self._before: tuple[object, ...] = ()  # what the last turn stood on
        self._written = 0  # pieces of the last turn that were handed on
        self._place = Place()

    def keep(self, writing: Writing, model: str, prompt: str) -> None:
        """Hand on what the person and the model have written since, and what stands in the prompt."""
        manuscript = writing.manuscript
        if not manuscript.empty:
            written = manuscript.turns[-1].written if manuscript.turns else []
            before = (writing.id, writing.mode, model, manuscript.version, len(manuscript.turns))
            if before != self._before:
                self._librarian.keep(WholeText(writing.id, manuscript.copy(), model, writing.mode))
            elif len(written) > self._written:
                self._librarian.keep(MoreText(writing.id, written[self._written :]))
            self._before, self._written = before, len(written)
        self._keep_place(Place("" if manuscript.empty else writing.id, prompt))

    def _keep_place(self, place: Place) -> None:
        if place != self._place:
            self._place = place
            self._librarian.keep(place)
