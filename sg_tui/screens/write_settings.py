"""What the Write view sets beside the text: switches, precision, sampling, tint and pace."""

from __future__ import annotations

from textual import on

from sg_core.network.optimizations import USUAL, Optimizations
from sg_tui.screens.mode import ModeScreen
from sg_tui.widgets.optimizations_panel import OptimizationsPanel
from sg_tui.widgets.precision_row import PrecisionAsked
from sg_tui.widgets.sampling_panel import SamplingPanel


class SettingsActions(ModeScreen):
    """A view with a text, switches and settings: each acts on the running generation at its next token."""

    def action_flip(self, name: str) -> None:
        self.desk.flip(*((name,) if name in Optimizations.names() else USUAL))
        self.draw_all()

    @on(OptimizationsPanel.Flipped)
    def _flip(self, event: OptimizationsPanel.Flipped) -> None:
        self.action_flip(event.name)

    @on(PrecisionAsked)
    def _ask_precision(self, event: PrecisionAsked) -> None:
        self.desk.set_precision(event.precision)

    @on(SamplingPanel.Changed)
    def _set(self, event: SamplingPanel.Changed) -> None:
        self.desk.set_sampling(event.name, event.value)
        self.draw_all()

    def action_pace(self) -> None:
        self.desk.toggle_pace()
        self.draw_all()
