"""Opening an earlier text from the library."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from textual import on
from textual.app import App
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from sg_tui.keys import bindings
from sg_tui.library.librarian import Librarian
from sg_tui.library.store import SavedText, Store
from sg_tui.screens.dialog import Dialog
from sg_tui.state.manuscript import Manuscript
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.line_input import LineInput


class TextPicker(Dialog[str]):
    """Answers with the id of a text. Typing narrows the list."""

    BINDINGS = bindings("texts")
    TITLE_TEXT = "open a text"
    HINT = "Enter open   Esc close"

    def __init__(self, texts: Sequence[SavedText]) -> None:
        super().__init__()
        self._texts = list(texts)
        self._listed: list[SavedText] = []

    def body(self) -> Iterable[Widget]:
        yield LineInput(placeholder="words of its title", id="filter")
        yield OptionList(id="texts")

    def on_mount(self) -> None:
        self._list("")
        self.query_one("#filter").focus()
        if not self._texts:
            self.problem("no texts yet: what you write is kept here by itself")

    def _list(self, words: str) -> None:
        wanted = words.casefold().split()
        self._listed = [text for text in self._texts if all(word in text.title.casefold() for word in wanted)]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(_line(text)) for text in self._listed])
        options.highlighted = 0 if self._listed else None

    @on(LineInput.Changed)
    def _narrow(self, event: LineInput.Changed) -> None:
        self._list(event.value)

    @on(LineInput.Submitted)
    def _take(self) -> None:
        chosen = self.query_one(OptionList).highlighted
        if chosen is not None:
            self.dismiss(self._listed[chosen].id)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._listed[event.option_index].id)

    def action_to_list(self) -> None:
        self.query_one(OptionList).focus()


def open_text(app: App[object], librarian: Librarian, opened: Callable[[str, Manuscript], None]) -> None:
    """Let the person choose a text, then hand over its id and the text itself, on the app's own thread."""

    def listed(store: Store) -> None:  # on the librarian's thread
        app.call_later(choose, store.texts())

    def choose(texts: list[SavedText]) -> None:
        app.push_screen(TextPicker(texts), chosen)

    def chosen(id: str | None) -> None:
        if id is not None:
            librarian.ask(partial(fetch, id))

    def fetch(id: str, store: Store) -> None:  # on the librarian's thread
        manuscript = store.load_text(id)
        if manuscript is not None:
            app.call_later(opened, id, manuscript)

    librarian.ask(listed)


def _line(text: SavedText) -> Content:
    when = time.strftime("%d %b %H:%M", time.localtime(text.updated))
    title = safe_line(text.title, 48) or "(blank)"
    return Content(f" {when}  {title}   {text.characters:,} characters · {safe_line(text.model, 24)}")
