"""The map of a model's heads and MLPs: arrows choose one, keys mute and scale it."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message

from sg_tui.keys import bindings
from sg_tui.state.inside_state import InsideState, changes_text, part_name, shade_level
from sg_tui.widgets.panel import Panel, lines

SIGNS = {"previous": "p", "first": "f", "itself": "s", "repeats": "r", "": "·"}
LEGEND = "p previous f first s itself r repeats"
BLOCKS = " ░▒▓█"  # how much of a head's attention is on the one token that it looks at most
SHADES = ("$faint", "$foreground", "$primary", "bold $secondary", "bold $accent")  # by the share that is largest
LABEL = 3  # columns of a layer's number


class HeadMap(Panel, can_focus=True):
    """A row a layer, a column a head, and right of them the MLPs. What does not fit scrolls with the choice."""

    TITLE = "heads"
    BINDINGS = bindings("inside")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    class Acted(Message):
        """The person does something with the chosen part, or with what is shown of it. name: of an action."""

        def __init__(self, name: str, value: float = 0.0) -> None:
            self.name, self.value = name, value
            super().__init__()

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state: InsideState | None = None
        self._first = (0, 0)  # row and column that are shown first
        self._layers = 0

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._layers + 1

    def show(self, state: InsideState) -> None:
        self._state = state
        layers, heads = state.shape
        width, height = self.content_size.width, self.content_size.height
        if not layers or width <= LABEL or height <= 1:
            self.set_content(Content.styled("no model is loaded yet", "$faint"))
            return
        if layers != self._layers:
            self._layers = layers
            self.refresh(layout=True)
        cell = 2 if LABEL + 2 * heads + 2 <= width else 1
        rows, columns = height - 1, min(heads, (width - LABEL - 2) // cell)
        chosen = heads - 1 if state.head is None else state.head
        top = _shifted(self._first[0], state.layer, rows, layers)
        left = _shifted(self._first[1], chosen, columns, heads)
        self._first = (top, left)
        shown = range(left, left + columns)
        numbers = "".join(f"{head % 100 if cell == 2 else head % 10:<{cell}}" for head in shown)
        drawn = [Content.styled(f"{'':{LABEL}}{numbers} M", "$faint")]
        for layer in range(top, min(layers, top + rows)):
            drawn.append(self._row(state, layer, shown, cell))
        self.set_content(lines(drawn))
        changes, place = changes_text(state.scales), f"{part_name(state.layer, state.head)} of {layers} × {heads}"
        words = (
            Content.styled(f"{changes}: not the model's own text", "bold $error")
            if changes
            else Content(f"heads · {place}")
        )
        self.border_title = words.truncate(width, ellipsis=True)
        self.border_subtitle = LEGEND

    def _row(self, state: InsideState, layer: int, heads: range, cell: int) -> Content:
        parts: list[tuple[str, str]] = [(f"{layer:<{LABEL}}", "$foreground" if layer == state.layer else "$faint")]
        for head in heads:
            sign, style = _sign(state, layer, head)
            block = BLOCKS[shade_level(state.highest(layer, head))] if cell == 2 else ""
            parts += [(sign, self._chosen(style, state, layer, head)), (block, "$secondary")]
        factor = state.factor(layer, None)
        sign, style = ("▪", "$faint") if factor == 1.0 else (_changed(factor), "bold $error")
        return Content.assemble(*parts, " ", (sign, self._chosen(style, state, layer, None)))

    def _chosen(self, style: str, state: InsideState, layer: int, head: int | None) -> str:
        here = (layer, head) == (state.layer, state.head)
        return f"{style} {'reverse' if self.has_focus else 'underline'}" if here else style

    def on_click(self, event: events.Click) -> None:
        offset, state = event.get_content_offset(self), self._state
        if offset is None or state is None or offset.y < 1:
            return
        layers, heads = state.shape
        cell = 2 if LABEL + 2 * heads + 2 <= self.content_size.width else 1
        column = min(heads, self._first[1] + max(0, offset.x - LABEL) // cell)
        at = heads if state.head is None else state.head
        state.move(min(layers - 1, self._first[0] + offset.y - 1) - state.layer, column - at)
        self._say("moved")

    def on_focus(self) -> None:
        self._again()

    def on_blur(self) -> None:
        self._again()

    def _again(self) -> None:
        if self._state is not None:
            self.show(self._state)

    def _say(self, name: str, value: float = 0.0) -> None:
        self.post_message(self.Acted(name, value))

    def action_select(self, layers: int, heads: int) -> None:
        if self._state is not None:
            self._state.move(layers, heads)
            self._say("moved")

    async def action_inside(self) -> None:
        await self.screen.run_action("inside")

    def action_mute(self) -> None:
        self._say("mute")

    def action_scale(self, by: int) -> None:
        self._say("scale", by)

    def action_back(self) -> None:
        self._say("back")

    def action_restore(self) -> None:
        self._say("restore")

    def action_why(self) -> None:
        self._say("why")

    def action_rival(self) -> None:
        self._say("rival")

    def action_token(self, by: int) -> None:
        self._say("token", by)

    def action_figures(self) -> None:
        self._say("figures")


def _sign(state: InsideState, layer: int, head: int) -> tuple[str, str]:
    """The sign of a head, and its style."""
    factor = state.factor(layer, head)
    if factor != 1.0:
        return _changed(factor), "bold $error"
    if state.measured is None:
        return "·", "$faint"
    shares: list[float] = state.measured.heads.shares[layer, head].tolist()
    return SIGNS[state.measured.heads.kind(layer, head)], SHADES[shade_level(max(shares))]


def _changed(factor: float) -> str:
    return "×" if factor == 0.0 else "−" if factor < 1.0 else "+"


def _shifted(first: int, chosen: int, shown: int, count: int) -> int:
    """The first of `shown` of `count` rows, moved no further than the chosen one wants."""
    first = min(max(first, chosen - shown + 1), chosen)
    return max(0, min(first, count - shown))
