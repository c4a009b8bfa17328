"""How fast the engine writes: ms per token and against position, what it reads; in the frame, pace and context."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from textual.content import Content

from sg_tui.figures import duration, milliseconds
from sg_tui.state.generation_state import GenerationState
from sg_tui.state.speed_state import Figure
from sg_tui.widgets.panel import Panel, lines
from sg_tui.widgets.position_chart import chart

LEVELS = "▁▂▃▄▅▆▇█"
WIDE = 44  # columns from which the frame has room for more than the context
LONG_WAIT = 1000.0  # ms from which it is told that the first token waited for kernels or weights


class SpeedPanel(Panel):
    """Live figures of the newest tokens. They are those of the engine, whatever pace the text is shown at."""

    TITLE = "speed"

    def show(self, state: GenerationState) -> None:
        """Draw the figures."""
        width, height = self.content_size
        if width <= 0:
            return
        rows = [headline(state, width), _in_all(state, width), _reads(state, width)]
        if width < WIDE:  # else it stands in the frame
            rows.append(_beginning(state, width))
        context = state.loaded.config.n_ctx if state.loaded else 0
        drawn = chart(
            state.lines, state.flips, state.speed.setting or state.setting, width, height - len(rows), context
        )
        self.set_content(lines([*(row.truncate(width) for row in rows), *drawn]))
        self.border_title = Content.assemble(self.TITLE, (f" · {condition(state)}", "$warning"))
        self.border_subtitle = _foot(state, width)


def _foot(state: GenerationState, width: int) -> Content:
    """The context, and where there is room what came before the second token."""
    context, metrics = context_text(state), state.metrics
    if metrics is None or width < WIDE:
        return context
    first, prefill = milliseconds(metrics.first_token_ms), milliseconds(metrics.prefill_ms)
    waited = f", waited {duration(metrics.waited_ms / 1e3)}" if metrics.waited_ms >= LONG_WAIT else ""
    words = (f"first token {first} ms{waited}, prefill {prefill} ms", f"first token {first}, prefill {prefill} ms",
             f"first token {first} ms{waited}", f"first token {first} ms")  # fmt: skip
    room = width - context.cell_length - 5
    chosen = next((one for one in words if len(one) <= room), "")
    return Content.assemble((f"{chosen} · ", "$faint"), context) if chosen else context


def condition(state: GenerationState) -> str:
    """What is to be known beside the figures: whose they are, or how the text is shown."""
    if state.old:
        return "before the change"
    if state.speed.busy:
        return "kernels are compiled meanwhile" if state.speed.compiling else "the machine is busy"
    return pace_text(state.pace)


def pace_text(pace: float) -> str:
    """How fast the text is shown: "shown at 12 a second"."""
    return f"text at {pace:g} a second" if pace else "full speed"


def headline(state: GenerationState, width: int) -> Content:
    """ms a token, and of what it is the statistic."""
    figure, cold = state.speed.figure, state.speed.cold_ms
    if figure is None:
        told = ((milliseconds(cold), "bold $foreground"), (" ms, the first token", "$faint")) if cold else ("–",)
        return Content.assemble(*told, ("" if cold else " ms/token", "$faint"))
    value = Content.assemble((milliseconds(figure.ms), "$faint" if state.old else "bold $foreground"))
    words = (f"{figure.name}, {spread(figure)}", figure.name, "")
    room = width - value.cell_length - 12
    return Content.assemble(value, (" ms/token  ", "$faint"), (next(w for w in words if len(w) <= room), "$faint"))


def spread(figure: Figure) -> str:
    """What half of the tokens lie within."""
    return f"{milliseconds(figure.low)}–{milliseconds(figure.high)}"


def _in_all(state: GenerationState, width: int) -> Content:
    """Tokens a second of the engine, and what the app adds."""
    speed, figure = state.speed, state.speed.figure
    if figure is None or figure.ms <= 0:
        return Content.styled("the first tokens tell", "$faint")
    parts = [
        Content.assemble((f"{1000 / figure.ms:,.0f}", "$foreground"), (" tokens/s", "$faint")),
        Content.assemble(("wall ", "$faint"), milliseconds(speed.wall_ms), (" ms mean", "$faint")),
        Content.assemble(("app ", "$faint"), f"+{speed.tax:.0%}"),
    ]
    return _within(parts, width)


def _reads(state: GenerationState, width: int) -> Content:
    """Bytes read a token, beside the least time that takes."""
    reads, figure = state.reads, state.speed.figure
    if reads is None or reads.precision != state.precision:
        return Content.styled("the bound is measured after a text", "$faint")
    parts = [Content.assemble(byte_count(reads.bytes_per_token), (" read a token", "$faint"))]
    if figure is not None and not state.old:
        parts.append(Content.assemble(f"{figure.ms / reads.bound_ms:.1f} ×", (" the bound", "$faint")))
    parts.append(Content.assemble(f"{reads.bytes_per_second / 1e9:.0f}", (" GB/s", "$faint")))
    if reads.held:
        parts.append(Content.styled(reads.held, "$faint"))
    return _within(parts, width)


def _beginning(state: GenerationState, width: int) -> Content:
    """What came before the second token; waiting for kernels or weights apart."""
    metrics = state.metrics
    if metrics is None:
        return Content("")
    parts = [
        Content.assemble(("first token ", "$faint"), milliseconds(metrics.first_token_ms), (" ms", "$faint")),
        Content.assemble(("prefill ", "$faint"), milliseconds(metrics.prefill_ms), (" ms", "$faint")),
    ]
    if metrics.waited_ms >= LONG_WAIT:
        parts.insert(1, Content.assemble(("waited ", "$faint"), duration(metrics.waited_ms / 1e3)))
    return _within(parts, width)


def _within(parts: list[Content], width: int, gap: str = "  ") -> Content:
    """As many of them beside each other as there is room for."""
    while len(parts) > 1 and sum(part.cell_length + len(gap) for part in parts) - len(gap) > width:
        parts = parts[:-1]
    return Content(gap).join(parts)


def byte_count(count: float) -> str:
    """Bytes as "14 MB"."""
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


def context_text(state: GenerationState) -> Content:
    """How many of the positions of the context are taken."""
    used = state.position
    size = state.loaded.config.n_ctx if state.loaded else (state.metrics.context_size if state.metrics else 0)
    figures = f"{used:,}/{size:,}" if size else "–"
    if state.moves:
        figures += f" moved {state.moves}×"
    return Content.assemble("context ", (figures, "$warning" if size and used > 0.9 * size else ""))


def strip(values: Sequence[float], width: int) -> str:
    """The newest values as bars of eighths of a line, from zero; full is the greatest, or thrice the median if less."""
    newest = list(values)[-width:] if width > 0 else []
    if not newest:
        return ""
    top = min(max(newest), 3 * median(newest))
    if top <= 0:
        return "▁" * len(newest)
    return "".join(LEVELS[min(7, int(value / top * 7.999))] for value in newest)
