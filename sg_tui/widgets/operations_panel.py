"""Where the time of a token goes: a bar an operation."""

from __future__ import annotations

from textual.content import Content

from sg_tui.figures import bar, milliseconds
from sg_tui.state.generation_state import GenerationState
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.panel import Panel, lines

OPERATIONS = (
    "layernorm",
    "qkv",
    "attention",
    "linear",
    "gelu",
    "residual",
    "unembedding",
    "sampling",
    "other",
)
WORDS = {"layernorm": "layer norm", "qkv": "QKV", "gelu": "GELU", "other": "the rest"}


class OperationsPanel(Panel):
    """What the tokens nearest the median took, in the order of the computation: it sums to ms a token."""

    TITLE = "where the time goes"

    def show(self, state: GenerationState) -> None:
        width = self.content_size.width
        if width <= 0:
            return
        times = _gathered(state.speed.operations)
        total = sum(times.values())
        most = max(times.values(), default=0.0)
        self.set_content(lines([_row(name, times.get(name), total, most, width) for name in times or OPERATIONS]))
        figure = state.speed.figure
        self.border_subtitle = f"sum {milliseconds(total)} ms · {figure.name}" if figure and times else ""
        self.border_title = Content.assemble(self.TITLE, (" · before the change" if state.old else "", "$warning"))


def _gathered(times: dict[str, float]) -> dict[str, float]:
    """Looking up two rows of the embeddings takes next to nothing: that goes with the rest."""
    rest = times.get("embedding", 0.0) + times.get("other", 0.0)
    named = {name: ms for name, ms in times.items() if name not in ("embedding", "other")}
    return named | {"other": rest} if times else {}


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
