"""Who speaks and who answers in a chat, and in which form: two names and a template that can be changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Label

from sg_core.text.templates import Template
from sg_tui.state.play import NAME_LENGTH, Cast, name
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.line_input import LineInput
from sg_tui.widgets.template_choice import TemplateChoice


class CastBar(Horizontal):
    """One line, seen in a chat."""

    class Changed(Message):
        """A name was changed, or the form."""

        def __init__(self, cast: Cast) -> None:
            self.cast = cast
            super().__init__()

    def __init__(self, cast: Cast, id: str | None = None) -> None:
        super().__init__(id=id)
        self._cast = cast
        self._chosen = False  # the form, by the person

    def compose(self) -> ComposeResult:
        yield TemplateChoice(self._cast.template, id="template")
        with Horizontal(id="names"):
            yield Label("you are ", classes="faint")
            yield LineInput(safe_line(self._cast.person), compact=True, max_length=NAME_LENGTH, id="person")
            yield Label("  model is ", classes="faint")
            yield LineInput(safe_line(self._cast.model), compact=True, max_length=NAME_LENGTH, id="other")

    def offer(self, templates: Iterable[Template]) -> None:
        """The forms of another model: the first one is taken, unless the person chose one that is among them."""
        self.query_one(TemplateChoice).offer(templates, keep=self._chosen)
        self._take_form()

    @on(TemplateChoice.Changed)
    def _form_chosen(self) -> None:
        self._chosen = True
        self._take_form()

    def _take_form(self) -> None:
        template = self.query_one(TemplateChoice).template
        self.query_one("#names").display = template.has_names
        self._set(replace(self._cast, template=template))

    @on(LineInput.Changed)
    def _changed(self) -> None:
        person, other = (self.query_one(f"#{id}", LineInput).value for id in ("person", "other"))
        self._set(Cast(name(person, Cast().person), name(other, Cast().model), self._cast.template))

    def _set(self, cast: Cast) -> None:
        if cast != self._cast:
            self._cast = cast
            self.post_message(self.Changed(cast))

    @on(LineInput.Submitted)
    def _leave(self) -> None:
        self.screen.focus_next()
