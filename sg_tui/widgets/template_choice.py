"""The form of a chat, one of several: the arrows or a click take the next one."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events
from textual.content import Content

from sg_core.text.templates import PLAY, Template
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.choice import Choice

NAME_LENGTH = 20


class TemplateChoice(Choice):
    """One line that shows the form taken; `template` is it."""

    DEFAULT_CSS = "TemplateChoice { height: 1; width: auto; }"

    def __init__(self, template: Template = PLAY, id: str | None = None) -> None:
        super().__init__({template.name: template.name}, template.name, id)
        self.templates: tuple[Template, ...] = (template,)

    @property
    def template(self) -> Template:
        """The form taken."""
        return next(template for template in self.templates if template.name == self.value)

    def offer(self, templates: Iterable[Template], keep: bool) -> None:
        """Other forms to choose from. keep: the one taken stays where it is among them; else the first is taken."""
        self.templates = tuple(templates)
        self._options = {template.name: template.name for template in self.templates}
        if not keep or self.value not in self._options:
            self.value = next(iter(self._options))
        self.refresh(layout=True)

    def take(self, key: str) -> None:
        super().take(key)
        self.refresh(layout=True)  # names have different lengths

    def on_click(self, event: events.Click) -> None:
        event.prevent_default()  # a Choice's own, for options beneath each other
        self.action_move(1)

    def render(self) -> Content:
        style = "bold $primary" if self.has_focus else "$foreground"
        return Content.assemble(("‹ ", "$faint"), (safe_line(self.value, NAME_LENGTH), style), (" ›", "$faint"))
