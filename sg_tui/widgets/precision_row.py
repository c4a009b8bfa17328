"""The precisions of the weights beside each other, the present one marked; a click asks for one."""

from __future__ import annotations

from textual.content import Content
from textual.message import Message

from sg_core.network.precisions import PRECISIONS
from sg_tui.state.generation_state import GenerationState


class PrecisionAsked(Message):
    """The person wants the weights in this precision."""

    def __init__(self, precision: str) -> None:
        self.precision = precision
        super().__init__()


def choices(state: GenerationState, gap: str) -> Content:
    """● the present one, ◌ one that was asked for and is not there yet, ○ the others."""
    return Content(gap).join(_choice(name, state) for name in PRECISIONS)


def at(column: int, gap: str) -> str | None:
    """The precision that `choices` has drawn in this column, None between two."""
    start = 0
    for name in PRECISIONS:
        if start <= column < start + len(name) + 2:
            return name
        start += len(name) + 2 + len(gap)
    return None


def _choice(name: str, state: GenerationState) -> Content:
    if name == state.precision:
        return Content.assemble(("● ", "$primary"), (name, "bold $foreground"))
    if name == state.asked_precision:
        return Content.assemble(("◌ ", "$accent"), (name, "$foreground"))
    return Content.assemble(("○ ", "$faint"), (name, "$faint"))
