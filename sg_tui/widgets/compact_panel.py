"""The panel of a small screen: two lines with speed, context, switches, precision and settings."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message

from sg_core.network.optimizations import TABLE
from sg_tui.state.generation_state import GenerationState
from sg_tui.widgets import precision_row
from sg_tui.widgets.optimizations_panel import NAMES, OptimizationsPanel, effect_text, switches_text
from sg_tui.widgets.panel import Panel, lines
from sg_tui.widgets.speed_panel import condition, headline, strip

PRECISIONS_AT = 2 * len(NAMES) + 2  # the column
ROOMY = 70  # columns from which all precisions are shown


class CompactPanel(Panel):
    """Two lines; switches and precisions can be clicked, and the rest of it opens the whole panel."""

    class Opened(Message):
        """The person wants to see the whole panel."""

    def show(self, state: GenerationState) -> None:
        width = self.content_size.width
        if width <= 0:
            return
        self.set_content(lines([speed_line(state, width), _settings_line(state, width)]))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        number = offset.x // 2
        precision = precision_row.at(offset.x - PRECISIONS_AT, " ")
        if offset.y == 1 and number < len(NAMES):
            self.post_message(OptimizationsPanel.Flipped(NAMES[number]))
        elif offset.y == 1 and precision and self.content_size.width >= ROOMY:
            self.post_message(precision_row.PrecisionAsked(precision))
        else:
            self.post_message(self.Opened())


def speed_line(state: GenerationState, width: int) -> Content:
    """ms a token, what is to be known beside it, its course, and the context: what there is room for, whole."""
    size, used = state.loaded.config.n_ctx if state.loaded else 0, state.position
    said = Content.assemble(headline(state, 30 if width < ROOMY else 50), (f"  {condition(state)}", "$warning"))
    context = Content.styled(f"  context {used:,}/{size:,}" if size else "", "$faint")
    if said.cell_length + context.cell_length + 2 > width:  # the whole number, or none
        context = Content("")
    room = max(0, width - said.cell_length - context.cell_length - 2)
    drawn = strip(state.ms, room)
    return Content.assemble(said, ("  " + drawn + " " * (room - len(drawn)), "$primary"), context).truncate(width)


def _settings_line(state: GenerationState, width: int) -> Content:
    sampling, parts = state.sampling, []
    text = switches_text(state.optimizations)
    for number in range(len(NAMES)):
        pair = text[2 * number : 2 * number + 2]
        parts.append((pair, "$success" if pair[1] == "+" else "bold $warning"))
    precisions = precision_row.choices(state, " ") if width >= ROOMY else Content(state.precision)
    left = width - PRECISIONS_AT - precisions.cell_length - 2
    settings = f"temp {sampling.temperature:g}  top-p {sampling.top_p:g}  seed {sampling.seed}"
    shown = Content.styled(settings, "$faint") if (off := _first_off(state, left)) is None else off
    gap = " " * (2 + max(0, left - shown.cell_length))
    return Content.assemble(*parts, "  ", precisions, gap, shown).truncate(width)


def _first_off(state: GenerationState, room: int) -> Content | None:
    """The first switch that is off and its worth, which stand there instead of the settings; None: all are on."""
    off = next((one for one in TABLE if one.default and not getattr(state.optimizations, one.name)), None)
    if off is None:
        return None
    effect, name = state.effects.of(state.optimizations, off.name), f"{off.label} off"
    told = effect_text(effect, room - len(name) - 1) if effect else ""
    return Content.assemble((name, "bold $warning"), (f" {told}" if told else "", "$foreground"))
