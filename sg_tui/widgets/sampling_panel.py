"""How the next token is chosen, and how long and with how many threads: adjusted by key, wheel and mouse."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message

from sg_core.checks import MOST_THREADS
from sg_core.inference.sampling import Sampling
from sg_core.setting import Setting, setting, settings_of
from sg_tui.keys import bindings
from sg_tui.state.generation_state import GenerationState
from sg_tui.widgets.panel import Panel, lines

CELL = 21  # columns of one setting: label, arrow, value, arrow
LABEL = 12


@dataclass(frozen=True)
class _Generation:
    """What the panel sets besides Sampling."""

    max_tokens: int = setting(400, 1, 1_000_000, "at most", step=50)
    threads: int = setting(0, 0, MOST_THREADS, "to compute with; 0: as many as the engine thinks best", step=1)


SETTINGS = (*settings_of(Sampling), *settings_of(_Generation))


def text(one: Setting, value: float) -> str:
    """A value as the panel shows it."""
    if one.name == "threads" and value == 0:
        return "auto"
    return f"{int(value)}" if one.whole else f"{value:.2f}"


def moved(one: Setting, value: float, by: int) -> float:
    """The value one step on, on the grid of steps, within its range."""
    grid = (round(value / one.step) + by) * one.step
    within = max(one.low, min(one.high, grid))
    return int(within) if one.whole else round(within, 6)


class SamplingPanel(Panel, can_focus=True):
    """Two columns of settings. Arrows choose and change, digits type a value, Enter takes it."""

    TITLE = "sampling"
    BINDINGS = bindings("sampling")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    class Changed(Message):
        """The person wants another value."""

        def __init__(self, name: str, value: float) -> None:
            self.name, self.value = name, value
            super().__init__()

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._chosen = 0
        self._typed = ""
        self._state: GenerationState | None = None

    def show(self, state: GenerationState) -> None:
        """Draw the settings."""
        self._state = state
        cells = [self._cell(number, one) for number, one in enumerate(SETTINGS)]
        self.set_content(lines([cells[at] + cells[at + 1] for at in range(0, len(cells), 2)]))

    def value(self, one: Setting) -> float:
        """The present value; 0 threads means as many as the engine thinks best."""
        state = self._state
        if state is None:
            return one.low
        if one.name == "max_tokens":
            return state.max_tokens
        if one.name == "threads":
            return state.threads or 0
        return float(getattr(state.sampling, one.name))

    def _cell(self, number: int, one: Setting) -> Content:
        chosen = self.has_focus and number == self._chosen
        typing = chosen and self._typed
        value = f"{self._typed}▏" if typing else text(one, self.value(one))
        if len(value) > 6:
            value = "…" + value[-5:]
        arrow = "bold $accent" if chosen else "$border"
        return Content.assemble(
            (f"{one.label:<{LABEL}}", "$foreground" if chosen else "$faint"),
            ("‹", arrow),
            (f"{value:>6}", "bold $accent" if chosen else "$foreground"),
            ("›", arrow),
            " ",
        )

    # ------------------------------------------------------------ keys

    def action_move(self, by: int) -> None:
        self.action_take()
        self._chosen = (self._chosen + by) % len(SETTINGS)
        self._again()

    def action_change(self, by: int) -> None:
        self._typed = ""
        one = SETTINGS[self._chosen]
        value = moved(one, self.value(one), by)
        if value != self.value(one):
            self.post_message(self.Changed(one.name, value))
        self._again()

    def action_take(self) -> None:
        typed, self._typed = self._typed, ""
        if typed.strip("."):
            one = SETTINGS[self._chosen]
            value = int(float(typed)) if one.whole else float(typed)
            self.post_message(self.Changed(one.name, value))
        self._again()

    def action_rub(self) -> None:
        self._typed = self._typed[:-1]
        self._again()

    def on_key(self, event: events.Key) -> None:
        character = event.character or ""
        decimal = not SETTINGS[self._chosen].whole and "." not in self._typed
        allowed = "0123456789." if decimal else "0123456789"
        if len(character) == 1 and character in allowed and "+" not in event.key and len(self._typed) < 18:
            event.stop()
            self._typed += character
            self._again()

    # ------------------------------------------------------------ mouse

    def _at(self, event: events.MouseEvent) -> int | None:
        offset = event.get_content_offset(self)
        if offset is None:
            return None
        number = 2 * offset.y + min(1, offset.x // CELL)
        return number if number < len(SETTINGS) else None

    def on_click(self, event: events.Click) -> None:
        number = self._at(event)
        if number is None:
            return
        self.action_take()
        self._chosen = number
        column = event.x - self.gutter.left - CELL * (number % 2)
        if column in (LABEL - 1, LABEL, LABEL + 1):
            self.action_change(-1)
        elif column >= LABEL + 6:
            self.action_change(1)
        self._again()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, -1)

    def _wheel(self, event: events.MouseEvent, by: int) -> None:
        number = self._at(event)
        if number is not None and self.has_focus:
            event.stop()
            self._chosen = number
            self.action_change(by)

    def on_focus(self) -> None:
        self._again()

    def on_blur(self) -> None:
        self.action_take()

    def _again(self) -> None:
        if self._state is not None:
            self.show(self._state)
