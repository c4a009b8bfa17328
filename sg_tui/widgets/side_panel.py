"""Everything that can be seen and set beside the text: speed, operations, switches, sampling, alternatives."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll

from sg_tui.state.generation_state import GenerationState
from sg_tui.state.manuscript import Piece
from sg_tui.widgets.candidates_panel import CandidatesPanel
from sg_tui.widgets.operations_panel import OperationsPanel
from sg_tui.widgets.optimizations_panel import OptimizationsPanel
from sg_tui.widgets.sampling_panel import SamplingPanel
from sg_tui.widgets.speed_panel import SpeedPanel


class SidePanel(VerticalScroll, can_focus=False):
    """Two groups, times and settings, which stand beneath each other or, on a small screen, side by side."""

    def compose(self) -> ComposeResult:
        with Vertical(id="times"):
            yield SpeedPanel(id="speed")
            yield OperationsPanel(id="operations")
        with Vertical(id="settings"):
            yield OptimizationsPanel(id="optimizations")
            yield SamplingPanel(id="sampling")
            yield CandidatesPanel(id="candidates")

    def show(self, state: GenerationState, piece: Piece | None) -> None:
        """Show the figures, and what else could have stood in the place of `piece`."""
        self.query_one(SpeedPanel).show(state)
        self.query_one(OperationsPanel).show(state)
        self.query_one(OptimizationsPanel).show(state)
        self.query_one(SamplingPanel).show(state)
        self.query_one(CandidatesPanel).show(piece)
