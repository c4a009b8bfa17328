"""What can be done with an entry of the library: opened, named, deleted and brought back, exported; files taken in."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path

from textual import on
from textual.widgets import Input, OptionList

from sg_core.files import expanded
from sg_tui.desk import Desk
from sg_tui.library import holdings, marks
from sg_tui.library.export import Document, export, read
from sg_tui.library.store import Store
from sg_tui.screens.line_dialog import LineDialog
from sg_tui.screens.mode import ModeScreen
from sg_tui.screens.save_dialog import FORMS, SaveDialog
from sg_tui.state.manuscript import Manuscript
from sg_tui.state.shelf import Item, Kind, Shelf
from sg_tui.state.writing import Writing
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.line_input import LineInput


class LibraryActions(ModeScreen):
    """A view of `shelf`; a subclass shows it in `shelved`, and says what is `chosen`."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.shelf = Shelf()
        self.on_show: list[tuple[Kind, str]] = []  # what stands in the list, line by line
        self._texts = holdings.Texts()
        self._asked = 0
        self._deleted: list[Item] = []  # in this session, the last one last
        self._sure_of: Item | None = None  # what the same key once more removes for good

    @abstractmethod
    def shelved(self) -> None:
        """Show what the shelf lists now."""

    @property
    @abstractmethod
    def chosen(self) -> Item | None:
        """What is highlighted."""

    # ------------------------------------------------------------ what there is

    def look(self) -> None:
        """Ask the library for its texts, and for those that hold the words."""
        self._asked += 1
        number, words, app = self._asked, self.shelf.words, self.app

        def work(store: Store) -> None:  # on the librarian's thread
            texts, found, whole = self._texts.look(store, words)
            app.call_later(self._texts_found, number, texts, found, whole)

        self.shelf.narrow()  # names at once, texts as soon as they are looked through
        self.desk.librarian.ask(work)

    def _texts_found(self, number: int, texts: list[Item], found: dict[str, str], whole: bool) -> None:
        if not self.is_mounted or number != self._asked:
            return
        self.shelf.found = found
        self.shelf.put(["text"], texts)
        self.shelved()
        if not whole:
            self.look()

    def look_for_folders(self) -> None:
        """Look for runs and models, off this thread."""
        threading.Thread(target=self._find_folders, args=(self.app.call_later,), name="sg-folders", daemon=True).start()

    def _find_folders(self, later: Callable[..., object]) -> None:
        try:
            found = holdings.runs_and_models()
        except Exception as problem:  # of a disk, or of one model: the texts must not suffer
            later(self.desk.say, f"runs and models can't be listed: {problem}", "error")
        else:
            later(self._folders_found, found)

    def _folders_found(self, found: list[Item]) -> None:
        if self.is_mounted:
            self.shelf.put(["run", "model"], found)
            self.shelved()

    def _with_text(self, id: str, then: Callable[[Manuscript], None]) -> None:
        """Read a text on the librarian's thread, then go on with it here."""
        app = self.app

        def work(store: Store) -> None:
            manuscript = store.load_text(id)
            if manuscript is not None:
                app.call_later(then, manuscript)

        self.desk.librarian.ask(work)

    def _change(self, work: Callable[[Store], object]) -> None:
        """Change the library, then list it anew."""
        self.desk.librarian.ask(lambda store: _ignore(work(store)))
        self.look()

    # ------------------------------------------------------------ to search, to sections

    def action_section(self, by: int) -> None:
        self.shelf.turn(by)
        self.desk.library_section = self.shelf.section
        self.shelved()

    def action_to_search(self) -> None:
        line = self.query_one("#search", Input)
        if line.has_focus:
            line.value = ""
        line.focus()

    # ------------------------------------------------------------ opening

    @on(OptionList.OptionSelected)
    @on(LineInput.Submitted, "#search")
    async def action_open(self) -> None:
        item = self.chosen
        if item is None:
            return
        if item.deleted:
            self._bring_back(item)
            return
        if item.kind == "text":
            self.desk.open_text(item.id, item.mode == "chat")
        elif item.kind == "run":
            self.desk.open_run(item.id, item.folder)
        else:
            self.desk.choose_model(item.id)
        await self.run_action("app.mode('write')")

    # ------------------------------------------------------------ names

    def action_rename(self) -> None:
        item = self.chosen
        if item is None or item.kind != "text":
            self.desk.say("A text can be given another name; runs and models are called as their folders.")
            return

        def named(name: str | None) -> None:
            if name is not None:
                self._change(lambda store: marks.rename(store, item.id, safe_line(name.strip(), 200)))

        self.app.push_screen(LineDialog("the name of the text", "empty: its first words", item.title), named)

    # ------------------------------------------------------------ deleting

    def action_delete(self) -> None:
        item = self.chosen
        if item is None or item.deleted:
            self.desk.say("" if item is None else "Enter brings it back, x removes it for good.")
        elif item.fixed:
            self.desk.say("This model is a part of the program.")
        elif item.kind == "model":
            self._remove_model(item)
        elif item.kind == "run" and self.desk.trains_in(item.folder):
            self.desk.say("This run is under way: stop it first.")
        elif self._done(lambda: self._delete(item)):
            self._deleted.append(item)
            self.desk.say(f"Deleted: {safe_line(item.title, 60)}. u brings it back.")

    def _delete(self, item: Item) -> None:
        if item.kind == "run":
            holdings.delete_run(item.id)
            self.look_for_folders()
            return
        if item.id == self.desk.writing.id:
            self.desk.new_text()
        self._change(lambda store: marks.delete(store, item.id))

    def _remove_model(self, item: Item) -> None:
        if not self._sure(item, "This removes its files, which other programs may use; it can be fetched again"):
            return

        def work(later: Callable[..., object]) -> None:
            problem = holdings.remove_model(item.id)
            later(self.desk.say, problem or f"{safe_line(item.id)} is gone.", "error" if problem else "information")
            later(self.look_for_folders)

        threading.Thread(target=work, args=(self.app.call_later,), name="sg-remove", daemon=True).start()

    def action_undo_delete(self) -> None:
        if not self._deleted:
            self.desk.say("Nothing was deleted just now; the section “deleted” has what was deleted before.")
            return
        self.app.clear_notifications()  # that it is deleted
        self._bring_back(self._deleted.pop())

    def _bring_back(self, item: Item) -> None:
        if item.kind == "run":
            if self._done(lambda: holdings.bring_run_back(item.id)):
                self.look_for_folders()
        else:
            self._change(lambda store: marks.bring_back(store, item.id))
        self._deleted = [other for other in self._deleted if (other.kind, other.id) != (item.kind, item.id)]

    def action_forget(self) -> None:
        item = self.chosen
        if item is None or not item.deleted:
            self.desk.say("What was deleted can be removed for good, in the section “deleted”.")
        elif self._sure(item, "This removes it for good"):
            if item.kind == "text":
                self._change(lambda store: store.forget_text(item.id))
            elif self._done(lambda: holdings.forget_run(item.id)):
                self.look_for_folders()

    def _sure(self, item: Item, words: str) -> bool:
        """Whether this is the second wish in a row for the same thing."""
        sure, self._sure_of = self._sure_of == item, item
        if not sure:
            self.desk.say(f"{words}: the same key once more does it.", "warning")
        return sure

    def _done(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except OSError as problem:
            self.desk.say(f"This can't be done: {problem.strerror}", "error")
            return False
        return True

    # ------------------------------------------------------------ files

    def action_export(self) -> None:
        item = self.chosen
        if item is None or item.kind != "text":
            self.desk.say("A text can be exported; a run or a model is the folder that stands beside it.")
            return
        self._with_text(item.id, partial(self._export, item))

    def _export(self, item: Item, manuscript: Manuscript) -> None:
        def saved(path: Path | None) -> None:
            if path is not None:
                self.desk.say(f"Saved to {path}")

        document = Document(item.title, item.model, item.mode, manuscript)
        self.app.push_screen(SaveDialog(partial(export, document), document.title, forms=FORMS), saved)

    def action_import_text(self) -> None:
        found: list[Document] = []

        def check(line: str) -> str:
            try:
                found[:] = [read(expanded(line.strip()))]
            except ValueError as problem:
                return f"can't be taken in: {problem}"
            return ""

        def chosen(line: str | None) -> None:
            if line is not None and found:
                self._take_in(found[0])

        self.app.push_screen(
            LineDialog("take in a text", "path of a file; .json as it was exported", "", check), chosen
        )

    def _take_in(self, document: Document) -> None:
        writing = Writing(document.mode == "chat", manuscript=document.manuscript)

        def work(store: Store) -> None:
            store.save_text(writing.id, document.manuscript, document.model, document.mode)
            marks.rename(store, writing.id, safe_line(document.title, 200))

        self._change(work)
        self.desk.say(f"Taken in: {safe_line(document.title, 60)}")


def _ignore(result: object) -> None:
    """Work returns nothing to the librarian."""
