"""Where the time of a token goes: a bar an operation."""

from __future__ import annotations

from textual.content import Content

from sg_tui.figures import bar
from sg_tui.state.generation_state import GenerationState
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.panel import Panel, lines
from sg_tui.widgets.speed_panel import milliseconds

OPERATIONS = (
    "embedding",
    "layernorm",
    "qkv",
    "attention",
    "linear",
    "gelu",
    "residual",
    "unembedding",
    "sampling",
)
WORDS = {"layernorm": "layer norm", "qkv": "QKV", "gelu": "GELU"}


class OperationsPanel(Panel):
    """The mean of the newest tokens, in the order of the computation."""

    TITLE = "where the time goes"

    def show(self, state: GenerationState) -> None:
        width = self.content_size.width
        if width <= 0:
            return
        times = state.average_op_ms()
        total = sum(times.values())
        most = max(times.values(), default=0.0)
        self.set_content(lines([_row(name, times.get(name), total, most, width) for name in times or OPERATIONS]))
        self.border_subtitle = f"{milliseconds(total)} ms" if times else ""


def _row(name: str, ms: float | None, total: float, most: float, width: int) -> Content:
    label = f"{WORDS.get(name, safe_line(name, 11)):<12}"
    if ms is None:
        return Content.styled(label, "$faint")
    room = max(0, width - 12 - 15)
    drawn = bar(ms / most if most > 0 else 0.0, room)
    share = ms / total if total > 0 else 0.0
    return Content.assemble(
        (label, "$foreground"),
        (f"{drawn:<{room}}", "$primary"),
        (f"{share:>5.0%}", "$foreground"),
        (f"{milliseconds(ms):>7} ms", "$faint"),
    )
