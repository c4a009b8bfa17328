"""The last line: what the keys do here and now, made from the table of actions; each can be clicked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from textual import events
from textual.content import Content
from textual.widget import Widget

from sg_tui.keys import Action, Scope, footer, key_text


class ActionFooter(Widget):
    """One line. On a narrow screen the least wanted actions are left out."""

    DEFAULT_CSS = "ActionFooter { height: 1; dock: bottom; background: $panel; }"
    can_focus = False
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[Action] = []
        self._targets: list[tuple[int, int, Action]] = []

    def show(self, scopes: tuple[Scope, ...], labels: Mapping[str, str]) -> None:
        """labels: words for what an action does now, by its id, instead of those of the table; "": nothing."""
        can = [one for one in footer(scopes) if self.screen.check_action(one.id.partition("(")[0], ())]
        shown = [replace(one, label=labels.get(one.id, one.label)) for one in can]
        shown = [one for one in shown if one.label]
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render(self) -> Content:
        chosen: list[Action] = []
        room = self.size.width - 1
        for action in self._shown:
            width = len(_label(action)) + 2
            if width <= room and _first_key(action) not in {_first_key(other) for other in chosen}:
                chosen.append(action)
                room -= width
        parts: list[tuple[str, str]] = [(" ", "")]
        self._targets, at = [], 1
        for action in chosen:
            parts += [(_first_key(action), "bold $foreground"), (f" {action.label}  ", "$faint")]
            self._targets.append((at, at + len(_label(action)), action))
            at += len(_label(action)) + 2
        return Content.assemble(*parts)

    async def on_click(self, event: events.Click) -> None:
        for first, end, action in self._targets:
            if first <= event.x < end:
                self.app.simulate_key(action.keys[0])


def _label(action: Action) -> str:
    return f"{_first_key(action)} {action.label}"


def _first_key(action: Action) -> str:
    return action.shown or key_text(action.keys[0])
