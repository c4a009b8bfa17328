"""The seven switches, each with what it is worth as measured."""

from __future__ import annotations

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.message import Message

from sg_core.optimizations import Optimizations
from sg_tui.effects import Effects
from sg_tui.keys import SWITCH_LABELS
from sg_tui.state import GenerationState
from sg_tui.widgets.panel import Panel, lines

NAMES = Optimizations.names()
CLEAR_RATIO = 1.25  # from here on a ratio says more than a difference
ALIKE = 0.02  # relative difference below which two times are called alike


class OptimizationsPanel(Panel, can_focus=True):
    """A switch a line: its number flips it, or a click, or Enter on it."""

    TITLE = "optimizations"
    BINDINGS = [  # noqa: RUF012 (declared so by Textual)
        Binding("up", "move(-1)", "The switch above", show=False),
        Binding("down", "move(1)", "The switch below", show=False),
        Binding("enter,space", "flip", "Flip the switch", show=False),
    ]

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
        self._state = state
        optimizations, effects = state.optimizations, state.effects
        rows = [self._line(number, name, optimizations, effects) for number, name in enumerate(NAMES)]
        self.set_content(lines(rows))
        both = effects.between(Optimizations(), Optimizations.none())
        self.border_subtitle = f"all off {effect_text(*both)}" if both else ""

    def _line(self, number: int, name: str, optimizations: Optimizations, effects: Effects) -> Content:
        on = getattr(optimizations, name)
        chosen = self.has_focus and number == self._row
        measured = effects.of(optimizations, name)
        return Content.assemble(
            ("▸" if chosen else " ", "$accent"),
            (f"{number + 1} ", "bold $foreground" if on else "$faint"),
            (f"{SWITCH_LABELS[name]:<13}", "$foreground"),
            ("● on   " if on else "○ off  ", "bold $success" if on else "bold $warning"),
            (f"off: {effect_text(*measured)}" if measured else "", "$foreground" if not on else "$faint"),
        )

    def action_move(self, by: int) -> None:
        self._row = (self._row + by) % len(NAMES)
        self._again()

    def action_flip(self) -> None:
        self.post_message(self.Flipped(NAMES[self._row]))

    def on_key(self, event: events.Key) -> None:
        if event.key.isdigit() and 1 <= int(event.key) <= len(NAMES):
            event.stop()
            self.post_message(self.Flipped(NAMES[int(event.key) - 1]))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.y < len(NAMES):
            self._row = offset.y
            self.post_message(self.Flipped(NAMES[offset.y]))

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


def switches_text(optimizations: Optimizations) -> str:
    """The switches in one line: 1+2+3-4+..."""
    return "".join(f"{number}{'+' if getattr(optimizations, name) else '-'}" for number, name in enumerate(NAMES, 1))
