"""The switches, each with what it is worth as measured, and the precision of the weights."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message

from sg_core.engine.events import Metrics
from sg_core.network.optimizations import TABLE, Optimization, Optimizations
from sg_core.network.precisions import PRECISIONS
from sg_tui.keys import bindings
from sg_tui.state.generation_state import GenerationState
from sg_tui.widgets import precision_row
from sg_tui.widgets.panel import Panel, lines

NAMES = Optimizations.names()
ROWS = len(NAMES) + 1  # the last one chooses the precision
PRECISION_LABEL = "precision  "
GAP = "  "
CLEAR_RATIO = 1.25  # from here on a ratio says more than a difference
ALIKE = 0.02  # relative difference below which two times are called alike


class OptimizationsPanel(Panel, can_focus=True):
    """A switch a line: its number flips it, or a click, or Enter on it. Below them the precision, chosen likewise."""

    TITLE = "optimizations"
    BINDINGS = bindings("switches")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    class Flipped(Message):
        """The person flips a switch."""

        def __init__(self, name: str) -> None:
            self.name = name
            super().__init__()

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._row = 0
        self._state: GenerationState | None = None

    def show(self, state: GenerationState) -> None:
        """Draw the switches, their effects and the precision."""
        self._state = state
        rows = [self._line(one, state) if one.default else self._drafts_line(one, state) for one in TABLE]
        self.set_content(lines([*rows, self._precision_line(state)]))
        both = state.effects.between(Optimizations(), Optimizations.none())
        self.border_subtitle = f"all off {effect_text(*both)}" if both else ""

    def _line(self, one: Optimization, state: GenerationState) -> Content:
        measured = state.effects.of(state.optimizations, one.name)
        on = getattr(state.optimizations, one.name)
        words = f"off: {effect_text(*measured)}" if measured else ""
        return self._switch(one, on, (words, "$faint" if on else "$foreground"))

    def _drafts_line(self, one: Optimization, state: GenerationState) -> Content:
        on, room = getattr(state.optimizations, one.name), self.content_size.width - 23
        words = drafts_text(state.metrics, room) if on else ""
        return self._switch(one, on, (words, "$foreground"))

    def _switch(self, one: Optimization, on: bool, words: tuple[str, str]) -> Content:
        return Content.assemble(
            self._pointer(one.number - 1),
            (f"{one.number} ", "bold $foreground" if on else "$faint"),
            (f"{one.label:<13}", "$foreground"),
            ("● on   " if on else "○ off  ", "bold $success" if on else "bold $warning"),
            words,
        )

    def _precision_line(self, state: GenerationState) -> Content:
        return Content.assemble(
            self._pointer(len(NAMES)), (PRECISION_LABEL, "$foreground"), precision_row.choices(state, GAP)
        )

    def _pointer(self, row: int) -> tuple[str, str]:
        return ("▸" if self.has_focus and row == self._row else " ", "$accent")

    def action_move(self, by: int) -> None:
        self._row = (self._row + by) % ROWS
        self._again()

    def action_flip(self, name: str) -> None:
        self.post_message(self.Flipped(name))

    def action_press(self) -> None:
        if self._row < len(NAMES):
            self.action_flip(NAMES[self._row])
        else:
            self.action_precision(1)

    def action_precision(self, by: int) -> None:
        if self._state is not None and self._row == len(NAMES):
            before = PRECISIONS.index(self._state.next_precision) - 1
            self.post_message(precision_row.PrecisionAsked(PRECISIONS[(before + by) % len(PRECISIONS)]))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or offset.y >= ROWS:
            return
        self._row = offset.y
        if offset.y < len(NAMES):
            self.action_flip(NAMES[offset.y])
        elif precision := precision_row.at(offset.x - 1 - len(PRECISION_LABEL), GAP):
            self.post_message(precision_row.PrecisionAsked(precision))

    def on_focus(self) -> None:
        self._again()

    def on_blur(self) -> None:
        self._again()

    def _again(self) -> None:
        if self._state is not None:
            self.show(self._state)


def effect_text(on_ms: float, off_ms: float) -> str:
    """What switching off does to the time of a token: "× 6.1", "+0.30 ms", "no change"."""
    if on_ms <= 0 or off_ms <= 0:
        return ""
    ratio, difference = off_ms / on_ms, off_ms - on_ms
    if ratio >= CLEAR_RATIO:
        return f"× {ratio:.0f}" if ratio >= 9.95 else f"× {ratio:.1f}"
    if abs(difference) < ALIKE * on_ms:
        return "no change"
    digits = 3 if abs(difference) < 0.1 else 2
    return f"{difference:+.{digits}f} ms".replace("-", "−")


def drafts_text(metrics: Metrics | None, room: int) -> str:
    """How many drafted tokens the text has kept, and tokens a round: "43 of 75 kept, 3.9 a round", as there is room."""
    if metrics is None or not metrics.drafted:
        return "no draft yet"
    figures = f"{metrics.accepted:,} of {metrics.drafted:,}"
    longer = [f"{figures} drafts kept", f"{figures} kept"]
    if metrics.rounds:
        longer.insert(0, f"{figures} kept, {1 + metrics.accepted / metrics.rounds:.1f} a round")
    return next((words for words in longer if len(words) <= room), figures)


def switches_text(optimizations: Optimizations) -> str:
    """The switches in one line: 1+2+3-4+..."""
    return "".join(f"{one.number}{'+' if getattr(optimizations, one.name) else '-'}" for one in TABLE)
