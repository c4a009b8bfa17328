"""How fast it writes: ms per token, tokens per second, a strip of the newest tokens; in the frame, the context."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from textual.content import Content

from sg_core.engine.events import Metrics
from sg_tui.state.generation_state import GenerationState
from sg_tui.widgets.panel import Panel, lines

LEVELS = "▁▂▃▄▅▆▇█"


class SpeedPanel(Panel):
    """Live figures of the newest generation."""

    TITLE = "speed"

    def show(self, state: GenerationState) -> None:
        """Draw the figures."""
        width = self.content_size.width
        if width <= 0:
            return
        self.set_content(
            lines(
                [
                    headline(state.metrics, width),
                    _details(state.metrics, width),
                    Content.styled(strip(state.ms, width), "$primary"),
                ]
            )
        )
        self.border_title = f"{self.TITLE} · slow motion" if state.slow_motion else self.TITLE
        self.border_subtitle = context_text(state)


def headline(metrics: Metrics | None, width: int) -> Content:
    """The two figures that matter most."""
    if metrics is None:
        return Content.styled("– ms/token", "$faint")
    left = Content.assemble((milliseconds(metrics.ms_per_token), "bold $foreground"), (" ms/token", "$faint"))
    right = Content.assemble((f"{metrics.tokens_per_second:,.0f}", "bold $foreground"), (" tokens/s", "$faint"))
    return Content.assemble(left, " " * max(2, width - left.cell_length - right.cell_length), right)


def _details(metrics: Metrics | None, width: int) -> Content:
    if metrics is None:
        return Content.styled("the first token tells", "$faint")
    figures = [
        ("p95", metrics.p95_ms),
        ("first token", metrics.first_token_ms),
        ("prefill", metrics.prefill_ms),
    ]
    parts = [Content.assemble((f"{word} ", "$faint"), milliseconds(ms)) for word, ms in figures]
    gap = "   "
    while len(parts) > 1 and sum(part.cell_length + len(gap) for part in parts) - len(gap) > width:
        parts.pop()
    return Content(gap).join(parts)


def context_text(state: GenerationState) -> Content:
    """How many of the positions of the context are taken."""
    used = state.metrics.context_used if state.metrics else 0
    size = state.loaded.config.n_ctx if state.loaded else (state.metrics.context_size if state.metrics else 0)
    figures = f"{used:,}/{size:,}" if size else "–"
    if state.moves:
        figures += f" moved {state.moves}×"
    return Content.assemble("context ", (figures, "$warning" if size and used > 0.9 * size else ""))


def milliseconds(value: float) -> str:
    """A time in ms with two or three meaningful figures."""
    if value >= 99.95:
        return f"{value:,.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.3f}"


def strip(values: Sequence[float], width: int) -> str:
    """The newest values as bars of eighths of a line, from zero; full is the greatest, or thrice the median if less."""
    newest = list(values)[-width:] if width > 0 else []
    if not newest:
        return ""
    top = min(max(newest), 3 * median(newest))
    if top <= 0:
        return "▁" * len(newest)
    return "".join(LEVELS[min(7, int(value / top * 7.999))] for value in newest)
