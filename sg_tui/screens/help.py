"""What every key does, made from the table of actions."""

from __future__ import annotations

from collections.abc import Iterable

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from sg_tui.keys import Scope, bindings, help_sections
from sg_tui.screens.dialog import Dialog

ABOUT = (
    "The model writes in this very process. Each optimization is a switch: off, the engine works as a program "
    "without it would; the text stays the same, only the time of a token changes. What a switch is worth is "
    "told as soon as tokens were timed with it on and off, at about the same place of a text."
)


class HelpScreen(Dialog[None]):
    """Keys by place, the place one is in first."""

    BINDINGS = bindings("help")
    TITLE_TEXT = "help"
    HINT = "↑ ↓ scroll   Esc close"

    def __init__(self, nearest: tuple[Scope, ...] = ()) -> None:
        super().__init__()
        self._nearest = nearest

    def body(self) -> Iterable[Widget]:
        yield VerticalScroll(Static(help_content(self._nearest), markup=False), id="help")

    def on_mount(self) -> None:
        self.query_one("#help").focus()


def help_content(nearest: tuple[Scope, ...] = ()) -> Content:
    """Every section, those of the nearest places first: its title, then keys and what they do, aligned."""
    sections = help_sections(nearest)
    width = max(len(keys) for _, rows in sections for keys, _ in rows) + 3
    parts: list[Content] = []
    for title, rows in sections:
        parts.append(Content.styled(title, "bold $primary"))
        parts += [
            Content.assemble((f"  {keys:<{width}}", "bold $foreground"), (text, "$foreground")) for keys, text in rows
        ]
        parts.append(Content(""))
    parts += [Content.styled(ABOUT, "$faint"), Content("")]
    parts.append(
        Content.styled("The mouse works everywhere: switches, settings, views, keys in the last line.", "$faint")
    )
    return Content("\n").join(parts)
