"""The switches, each with what it is worth as measured, and the precision of the weights."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message

from sg_core.engine.events import Metrics
from sg_core.network.optimizations import TABLE, Optimization, Optimizations
from sg_core.network.precisions import PRECISIONS
from sg_tui.keys import bindings
from sg_tui.state.effects import Effect
from sg_tui.state.generation_state import GenerationState
from sg_tui.widgets import precision_row
from sg_tui.widgets.panel import Panel, lines

NAMES = Optimizations.names()
ROWS = len(NAMES) + 1  # the last one chooses the precision
PRECISION_LABEL = "stored "  # with all precisions beside it, it just fits 80 columns
GAP = " "
BESIDE = 21  # columns of number, label and mark
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
        self.border_subtitle = f"all off {effect_text(both, 30)}" if both else ""

    def _line(self, one: Optimization, state: GenerationState) -> Content:
        measured = state.effects.of(state.optimizations, one.name)
        on = getattr(state.optimizations, one.name)
        words = effect_text(measured, self.content_size.width - BESIDE) if measured else ""
        return self._switch(one, on, (words, "$faint" if on else "$foreground"))

    def _drafts_line(self, one: Optimization, state: GenerationState) -> Content:
        on, room = getattr(state.optimizations, one.name), self.content_size.width - BESIDE
        words = drafts_text(state.metrics, room) if on else ""
        return self._switch(one, on, (words, "$foreground"))

    def _switch(self, one: Optimization, on: bool, words: tuple[str, str]) -> Content:
        return Content.assemble(
            self._pointer(one.number - 1),
            (f"{one.number} ", "bold $foreground" if on else "$faint"),
            (f"{one.label:<12}", "$foreground"),
            ("● on  " if on else "○ off ", "bold $success" if on else "bold $warning"),
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

    def action_page(self, by: int) -> None:
        side = self.screen.query_one("#side")
        side.scroll_relative(y=by * max(1, side.size.height - 1), animate=False)

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


def effect_text(effect: Effect, room: int) -> str:
    """What switching off does to the time of a token, where, of how many pairs of tokens, and half of them lie within.

    "× 6.1 at 212 (n 40, 5.8–6.4)", "+0.30 ms at 96 (n 12)", "no change", in fewer words where there is no room.
    """
    if effect.unsure:
        return "busy: can't tell" if room >= 16 else "busy"
    figure, low, high = _figures(effect)
    place, spread = f"{figure} at {effect.position}", f"{low}–{high}"
    words = (f"{place} (n {effect.n}, {spread})", f"{place} (n {effect.n})", place)
    return next((one for one in words if len(one) <= room), figure)


def _figures(effect: Effect) -> tuple[str, str, str]:
    """The effect and the two ends of its spread: a ratio where that is clear, else a difference."""
    ms, difference = effect.one, (effect.times - 1) * effect.one
    if effect.times >= CLEAR_RATIO:
        return f"× {_ratio(effect.times)}", _ratio(effect.low), _ratio(effect.high)
    digits = 3 if abs(difference) < 0.1 else 2
    low, high = (f"{(one - 1) * ms:.{digits}f}".replace("-", "−") for one in (effect.low, effect.high))
    if abs(difference) < ALIKE * ms:
        return "no change", low, high
    return f"{difference:+.{digits}f} ms".replace("-", "−"), low, high


def _ratio(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


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
