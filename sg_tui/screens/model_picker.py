"""Choosing a model: the shipped one, those on this machine, a person's runs, any folder, or one of the Hub."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from textual import on
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from sg_tui.library.holdings import runs_and_models
from sg_tui.library.pulling import Pull
from sg_tui.screens.dialog import Dialog
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.line_input import LineInput
from sg_tui.widgets.panel import meter
from sg_tui.widgets.search_line import SearchLine

SHIPPED = "tinyshakespeare"
FAMILY = ("openai-community/gpt2", "distilbert/distilgpt2", "openai-community/gpt2-medium")  # offered to be fetched
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
WATCHED = 0.2  # seconds between two looks at a download


@dataclass(frozen=True, slots=True)
class Choice:
    """A line of the list. here: it can be loaded at once, else it is fetched first."""

    name: str
    note: str
    here: bool = True


class ModelPicker(Dialog[str]):
    """Answers with a model as `Load` takes it: the shipped name, a run's name, a folder, or a Hub id.

    An adapter, a folder or the run that trained it, brings the model that it was made for.
    """

    TITLE_TEXT = "model"
    HINT = "Enter choose   Esc close"

    def __init__(self, trouble: str = "", recent: str = "", loaded: str = "") -> None:
        super().__init__()
        self._trouble, self._loaded = trouble, loaded
        self._here = [Choice(SHIPPED, "shipped")]
        if recent and recent != SHIPPED:
            self._here.append(Choice(recent, "used last"))
        self._listed: list[Choice] = []
        self._pull: Pull | None = None

    def body(self) -> Iterable[Widget]:
        yield SearchLine(placeholder="a name, a folder, or a Hub id such as openai-community/gpt2", id="model-name")
        yield OptionList(id="models", markup=False)
        yield Static(id="pulling", markup=False)

    def on_mount(self) -> None:
        self._list()
        self.query_one("#model-name").focus()
        self.problem(safe_line(self._trouble, 300))
        threading.Thread(target=self._find, args=(self.app.call_later,), name="sg-models", daemon=True).start()
        self.set_interval(WATCHED, self._watch)

    def _find(self, later: object) -> None:
        """On a thread: the disk may be slow."""
        assert callable(later)
        try:
            found = [Choice(one.id, f"{one.kind}, {one.note}") for one in runs_and_models() if not one.deleted]
        except Exception as problem:  # of a disk or of one model: what was typed can still be loaded
            later(self._tell, safe_line(str(problem), 300))
            return
        later(self._found, found)

    def _tell(self, problem: str) -> None:
        if self.is_attached:
            self.problem(problem)

    def _found(self, found: list[Choice]) -> None:
        if self.is_attached:
            known = {choice.name for choice in found}
            self._here = found + [choice for choice in self._here if choice.name not in known]
            self._list()

    # ------------------------------------------------------------ the list

    def _list(self) -> None:
        """What the typed words leave, the loaded one marked; at the end what could be fetched."""
        line = self.query_one("#model-name", LineInput).value.strip()
        words = line.casefold().split()
        listed = [one for one in self._here if all(word in f"{one.name} {one.note}".casefold() for word in words)]
        names = {choice.name for choice in self._here}
        if line and line not in names:
            listed += _named(line)
        fetched = [name for name in FAMILY if name not in names and all(word in name for word in words)]
        listed += [Choice(name, "fetch it from the Hub", here=False) for name in fetched if name != line]
        options = self.query_one("#models", OptionList)
        place = options.highlighted or 0
        self._listed = listed
        options.clear_options()
        options.add_options([Option(self._line(choice)) for choice in listed])
        options.highlighted = min(place, len(listed) - 1) if listed else None
        if not listed:
            self.problem("nothing is called so: a name of the list, a folder, or an id such as openai-community/gpt2")

    def _line(self, choice: Choice) -> Content:
        mark = "●" if choice.name == self._loaded else " "
        return Content(f"{mark} {safe_line(choice.name, 60)}   {safe_line(choice.note, 80)}")

    @on(LineInput.Changed)
    def _narrow(self) -> None:
        self.problem("")
        self.query_one("#models", OptionList).highlighted = None
        self._list()

    @on(SearchLine.Moved)
    def _move(self, event: SearchLine.Moved) -> None:
        options = self.query_one("#models", OptionList)
        if not event.by:
            options.focus()
        elif event.by > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    # ------------------------------------------------------------ choosing

    @on(LineInput.Submitted)
    @on(OptionList.OptionSelected)
    def _choose(self) -> None:
        at = self.query_one("#models", OptionList).highlighted
        if at is None or (self._pull is not None and self._pull.running):
            return
        choice = self._listed[at]
        if choice.here:
            self.dismiss(choice.name)
            return
        self.problem("")
        self._pull = Pull(choice.name)
        self._watch()

    def _watch(self) -> None:
        """Show how far a download is; one that is here is the answer."""
        pull = self._pull
        if pull is None:
            return
        if pull.running:
            full, rest = meter(pull.share, 30)
            head = Content.assemble(
                f"{safe_line(pull.id, 60)}   Esc stops\n", (full, "$primary"), (rest, "$faint"), "\n"
            )
            self.query_one("#pulling", Static).update(Content.assemble(head, safe_line(pull.words)))
            return
        self._pull = None
        self.query_one("#pulling", Static).update("")
        if pull.trouble:
            stopped = "stopped; what has come is kept for the next time"
            self.problem(stopped if pull.stopped else safe_line(pull.trouble, 300))
        else:
            self.dismiss(pull.id)

    def action_close(self) -> None:
        if self._pull is not None and self._pull.running:
            self._pull.stop()
        else:
            self.dismiss(None)


def _named(line: str) -> list[Choice]:
    """What a line stands for that is no name of the list: a folder, or an id of the Hub."""
    if line[:1] in "/~." or "\\" in line or Path(line).is_dir():
        return [Choice(line, "a folder")]
    return [Choice(line, "fetch it from the Hub", here=False)] if HUB_ID.fullmatch(line) else []
