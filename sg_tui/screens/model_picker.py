"""Choosing a model: the shipped one, those on this machine, a person's runs, or any folder."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from textual import on
from textual.app import App
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from sg_tui.screens.dialog import Dialog
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.line_input import LineInput

SHIPPED = "tinyshakespeare"


class ModelPicker(Dialog[str]):
    """Answers with a model as `Load` takes it: the shipped name, a run's name, a folder, or a Hub id."""

    TITLE_TEXT = "model"
    HINT = "Enter choose   Esc close"

    def __init__(self, trouble: str = "", recent: str = "") -> None:
        super().__init__()
        self._trouble, self._recent = trouble, recent
        self._names: list[str] = []

    def body(self) -> Iterable[Widget]:
        yield LineInput(placeholder="a folder, or a Hub id such as openai-community/gpt2", id="model-name")
        yield OptionList(id="models")

    def on_mount(self) -> None:
        self._add(SHIPPED, "shipped")
        if self._recent and self._recent != SHIPPED:
            self._add(self._recent, "used last")
        self.query_one(OptionList).highlighted = 0
        self.query_one(OptionList).focus()
        self.problem(safe_line(self._trouble, 300))
        threading.Thread(target=self._find_installed, args=(self.app,), name="sg-models", daemon=True).start()

    def _find_installed(self, app: App[object]) -> None:
        """On a thread: the disk may be slow."""
        from sg_core.errors import SgError

        try:
            from sg_core.storage.hub import installed

            found = [(model.name, f"{model.origin}, {model.size / 1e6:,.0f} MB") for model in installed()]
        except (SgError, OSError) as problem:
            app.call_later(self._tell, safe_line(str(problem), 300))
            return
        app.call_later(self._add_all, found)

    def _tell(self, problem: str) -> None:
        if self.is_attached:
            self.problem(problem)

    def _add_all(self, found: list[tuple[str, str]]) -> None:
        if self.is_attached:
            for name, note in found:
                self._add(name, note)

    def _add(self, name: str, note: str) -> None:
        if name not in self._names:
            self._names.append(name)
            line = Content(f" {safe_line(name, 60)}   {note}")
            self.query_one(OptionList).add_option(Option(line))

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._names[event.option_index])

    @on(LineInput.Submitted)
    def _typed(self, event: LineInput.Submitted) -> None:
        if event.value.strip():
            self.dismiss(event.value.strip())
        else:
            self.problem("type the path of a model's folder, or choose one below")
