"""The first line: the model, its precision and threads, the three views, and what the engine does now."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.widget import Widget

from sg_core.engine.events import Phase
from sg_tui.desk import Desk
from sg_tui.figures import duration
from sg_tui.keys import MODES, Mode, first_key, key_text
from sg_tui.terminal.textsafe import safe_line

KEYED = 72  # columns from which the keys of the views are shown
ROOMY = 100  # and the name of the program
SHORTEST = 8  # characters of a model's name that tell something
QUIET = ("idle", "paused")


class Header(Widget):
    """One line; the views, the model's name and its precision can be clicked."""

    DEFAULT_CSS = "Header { height: 1; dock: top; background: $panel; }"
    can_focus = False
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._facts: tuple[str, str, str, str, str] = ("", "", "", "", "")
        self._targets: list[tuple[int, int, str]] = []  # first cell, past the last, action

    def show(self, desk: Desk, mode: str) -> None:
        """Take the desk's facts, and the view that is seen; draws only when a word has changed."""
        state = desk.generation
        loaded = state.loaded
        model = safe_line(loaded.model if loaded else desk.model, 40)
        size, how = "", ""
        if loaded:
            millions = loaded.config.parameter_count / 1e6
            size = f"{millions:,.0f}M" if millions >= 100 else f"{millions:.1f}M"
            threads = state.threads or loaded.threads
            if state.adapters:  # in place of the size: it is to be seen on small screens too
                size = f"+ LoRA {state.adapter_amount}%"
            how = f"{loaded.precision} · {threads} thread{'s' if threads != 1 else ''}"
        facts = (
            mode,
            model,
            size,
            how,
            phase_text(state.phase, state.phase_seconds),
        )
        if facts != self._facts:
            self._facts = facts
            self.refresh()

    def render(self) -> Content:
        mode, model, model_size, how, phase = self._facts
        width = self.size.width
        phase_style = "$accent" if phase else ""
        tabs = [part for tab in MODES for part in _tab(tab, tab.name == mode, width)]
        roomy = width >= ROOMY
        right = Content.assemble(
            *tabs, (f"{phase:>{22 if roomy else 12 if width >= KEYED else 0}}  "[: width // 2], phase_style)
        )
        space = width - right.cell_length
        size = f" {model_size}" if model_size else ""
        name = Content.assemble((" sg-tui   " if roomy else " ", "bold $primary"), (model, "$foreground"))
        if name.cell_length + len(size) >= space > len(size) + SHORTEST:  # the name gives way, not what it is
            name = name.truncate(space - 1 - len(size), ellipsis=True)
        left = Content.assemble(name, (size, "$foreground"))
        named = left.cell_length
        if how and named + len(how) + 5 < space:
            left = Content.assemble(left, ("  ·  ", "$faint"), (how, "$faint"))
        left = left.truncate(max(0, space - 1), ellipsis=True)
        self._targets = [
            (9 if roomy else 0, min(named, left.cell_length), "choose_model"),
            (named, left.cell_length, "next_precision"),
        ]
        at = space
        for tab in MODES:
            cells = sum(len(text) for text, _ in _tab(tab, tab.name == mode, width))
            self._targets.append((at, at + cells, _action(tab)))
            at += cells
        return Content.assemble(left, " " * (space - left.cell_length), right)

    async def on_click(self, event: events.Click) -> None:
        for first, end, action in self._targets:
            if first <= event.x < end:
                await self.run_action(f"app.{action}")


def _tab(tab: Mode, seen: bool, width: int) -> list[tuple[str, str]]:
    """A view's name, with its key where there is room."""
    style = "bold underline $primary" if seen else "$foreground"
    key = f" {key_text(first_key(_action(tab)))} " if width >= KEYED else " "
    return [(key, "$faint"), (tab.label, style), (" " if width >= ROOMY else "", "")]


def _action(tab: Mode) -> str:
    return f"mode('{tab.name}')"


def phase_text(phase: Phase, seconds: float) -> str:
    """What the engine does, how far it is, for how long: "compiling 3/11 0:04"; empty when it rests."""
    if phase.name in QUIET:
        return "" if phase.name == "idle" else phase.name
    progress = f" {phase.done:,}/{phase.total:,}" if phase.total else ""
    return f"{safe_line(phase.name, 14)}{progress} {duration(int(seconds))}"
