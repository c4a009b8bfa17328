"""The desk's part in seeing: the pace of the text, and what the engine measures and scores while it rests."""

from __future__ import annotations

from sg_core.engine.commands import MeasureReads, SetPace
from sg_core.engine.events import Done, Event, Loaded, PrecisionSet
from sg_tui.desk.engine_link import EngineLink
from sg_tui.library.preferences import READING_PACE
from sg_tui.state.generation_state import GenerationState

SETTLED = 8  # tokens of a generation after which the machine's read rate may be measured


class Glass(EngineLink):
    """A subclass holds the state; `look_closer` gets every event after the states have taken it."""

    generation: GenerationState

    def set_pace(self, tokens_per_second: float) -> None:
        """Show tokens at this pace, 0: as fast as they come; a running generation follows at its next one."""
        self.generation.set_pace(tokens_per_second)
        self.submit(SetPace(tokens_per_second))

    def toggle_pace(self) -> None:
        """A pace that can be read, or full speed."""
        self.set_pace(0.0 if self.generation.pace else READING_PACE)

    def look_closer(self, event: Event) -> None:
        """Ask for what is worth knowing now that the engine rests."""
        match event:
            case Loaded() | PrecisionSet():
                self._bound_asked = False
            case Done(tokens=tokens) if tokens >= SETTLED and not self._bound_asked:
                self._bound_asked = True
                self.submit(MeasureReads())

    _bound_asked = False
