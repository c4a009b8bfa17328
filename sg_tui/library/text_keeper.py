"""Hands the text on the screen to the librarian as it grows, in pieces as large as what is new."""

from __future__ import annotations

from sg_tui.library.librarian import Librarian
from sg_tui.library.store import Place
from sg_tui.library.tree_table import growths
from sg_tui.library.unkept import TextNews
from sg_tui.state.writing import Writing


class TextKeeper:
    """`keep` costs what has changed since it was called last, however long the text is, however many its branches."""

    def __init__(self, librarian: Librarian) -> None:
        self._librarian = librarian
        self._before: tuple[object, ...] = ()  # what is told of a text beside its tree
        self._known = ""  # id of the text whose tree the librarian has
        self._place = Place()

    def keep(self, writing: Writing, model: str, prompt: str) -> None:
        """Hand on what the person and the model have written since, and what stands in the prompt."""
        manuscript = writing.manuscript
        if not manuscript.blank:
            before = (writing.id, writing.mode, model, manuscript.head)
            if before != self._before or manuscript.tree.changed:
                tree = None if writing.id == self._known else manuscript.tree.copy()
                news = growths(manuscript.tree)
                self._librarian.keep(TextNews(writing.id, news, manuscript.head, model, writing.mode, tree))
                self._before, self._known = before, writing.id
        self._keep_place(Place("" if manuscript.blank else writing.id, prompt))

    def _keep_place(self, place: Place) -> None:
        if place != self._place:
            self._place = place
            self._librarian.keep(place)
