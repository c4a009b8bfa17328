"""The Library view: texts, runs and models in one list, found by what stands in them."""

from __future__ import annotations

import time
from collections.abc import Iterable

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from sg_core.engine.events import Event, Exported, Saved, TrainingEnded
from sg_tui.keys import Scope, bindings
from sg_tui.library.store import Store
from sg_tui.screens.library_actions import LibraryActions
from sg_tui.state.shelf import Item
from sg_tui.terminal.textsafe import safe, safe_line
from sg_tui.widgets.line_input import LineInput
from sg_tui.widgets.search_line import SearchLine
from sg_tui.widgets.section_row import SectionRow

PREVIEWED = 4000  # characters of a text that are shown beside the list


class LibraryScreen(LibraryActions):
    """Typing searches; the list has the keys after Tab or an arrow."""

    MODE = "library"
    CSS_PATH = "../styles/library.tcss"
    BINDINGS = bindings("library")  # type: ignore[assignment]  # a list of Binding is what Textual wants
    AUTO_FOCUS = "#search"

    def body(self) -> Iterable[Widget]:
        with Vertical(id="library"):
            yield SearchLine(placeholder="words in a text, a name of a run or a model", id="search")
            yield SectionRow(self.shelf, id="sections")
            with Horizontal(id="shelf"):
                yield OptionList(id="items", markup=False)
                with VerticalScroll(id="preview"):
                    yield Static(id="previewed", markup=False)
            yield Static(id="nothing", markup=False)

    def scopes(self) -> tuple[Scope, ...]:
        return ("search", "app") if isinstance(self.focused, SearchLine) else ("library", "app")

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.desk.keep_text()
        self.shelf.section = self.desk.library_section
        self.look()
        self.look_for_folders()

    def handle(self, event: Event) -> None:
        if isinstance(event, Saved | Exported | TrainingEnded) and self.is_current:
            self.look_for_folders()

    # ------------------------------------------------------------ the list

    @on(LineInput.Changed, "#search")
    def _narrow(self, event: LineInput.Changed) -> None:
        self.shelf.words = event.value
        self.look()

    def shelved(self) -> None:
        """Show what the shelf lists now; what was highlighted stays so, but for the first line."""
        items = self.query_one("#items", OptionList)
        before, place = self.chosen, items.highlighted or 0
        listed = self.shelf.listed
        items.clear_options()
        items.add_options([Option(self._line(item)) for item in listed])
        self.on_show = [(item.kind, item.id) for item in listed]
        if listed:
            key = None if before is None or not place else (before.kind, before.id)
            items.highlighted = self.on_show.index(key) if key in self.on_show else min(place, len(listed) - 1)
        self.query_one("#shelf").display = bool(listed)
        self.query_one("#nothing", Static).update(self.shelf.nothing)
        self.query_one("#sections").refresh()
        self._preview()

    def _line(self, item: Item) -> Content:
        when = time.strftime("%d %b %H:%M", time.localtime(item.when)) if item.when else ""
        around = self.shelf.found.get(item.id, "") if item.kind == "text" else ""
        kind = f"{item.kind:<5} " if self.shelf.section in ("all", "deleted") else ""
        line = f" {when:<12} {kind} {safe_line(item.title, 100) or '(blank)'}"
        return Content(f"{line}\n {'':<12} {' ' * len(kind)} {around}" if around else line)

    @property
    def chosen(self) -> Item | None:
        """What is highlighted."""
        at = self.query_one("#items", OptionList).highlighted
        listed = {(item.kind, item.id): item for item in self.shelf.listed}
        return listed.get(self.on_show[at]) if at is not None and at < len(self.on_show) else None

    @on(SearchLine.Moved)
    def _move(self, event: SearchLine.Moved) -> None:
        items = self.query_one("#items", OptionList)
        if not event.by:
            items.focus()
        elif event.by > 0:
            items.action_cursor_down()
        else:
            items.action_cursor_up()

    @on(SectionRow.Chosen)
    def _choose_section(self, event: SectionRow.Chosen) -> None:
        self.shelf.section = event.section
        self.action_section(0)

    # ------------------------------------------------------------ beside the list

    @on(OptionList.OptionHighlighted)
    def _preview(self) -> None:
        """The facts of what is highlighted, and the beginning of a text as soon as it is read."""
        item = self.chosen
        view = self.query_one("#previewed", Static)
        self.query_one("#preview", VerticalScroll).scroll_home(animate=False)
        if item is None:
            view.update("")
            return
        facts = Content.assemble(
            (safe_line(item.title, 200), "bold $foreground"),
            (f"\n{safe_line(item.note, 200)}", "$faint"),
            (f"\n{safe_line(item.folder)}" if item.folder else "", "$faint"),
        )
        view.update(facts)
        if item.kind == "text":
            app = self.app

            def read(store: Store) -> None:  # on the librarian's thread
                manuscript = store.load_text(item.id)
                app.call_later(show, "" if manuscript is None else manuscript.text[:PREVIEWED])

            def show(text: str) -> None:
                if self.is_mounted and self.chosen == item:
                    view.update(Content.assemble(facts, "\n\n", (safe(text), "$model")))

            self.desk.librarian.ask(read)
