"""The desk's part in seeing: the pace of the text, and what the engine measures and scores while it rests."""

from __future__ import annotations

from sg_core.engine.commands import MeasureReads, Score, SetPace
from sg_core.engine.events import Done, Event, Loaded, PrecisionSet, TokenEvent
from sg_tui.desk.engine_link import EngineLink
from sg_tui.library.preferences import READING_PACE
from sg_tui.state.generation_state import GenerationState
from sg_tui.state.tint import Tint
from sg_tui.state.writing import Writing

RESTS = ("idle", "paused")  # phases in which the model can be asked
SETTLED = 8  # tokens of a generation after which the machine's read rate may be measured


class Glass(EngineLink):
    """A subclass holds the state; `look_closer` gets every event after the states have taken it."""

    generation: GenerationState
    writing: Writing
    tint: Tint

    def next_request(self) -> int:
        """A number for a generation or a benchmark, never used before."""
        self._requests += 1
        return self._requests

    def ask_for_scores(self) -> None:
        """Of the text as it stands, if the tint needs them and nothing is written."""
        state, tint = self.generation, self.tint
        if not tint.needs_scores or state.running or state.loaded is None or state.phase.name not in RESTS:
            return
        manuscript = self.writing.manuscript
        looked_at = (id(manuscript), manuscript.version, len(manuscript.pieces), tint.request, state.loaded)
        if looked_at == self._looked_at:
            return
        self._looked_at = looked_at
        prompt = self.writing.command(0, 0, state.sampling).prompt
        if isinstance(prompt, str) and tint.wants(prompt):
            request = self.next_request()
            tint.asked(request, str(prompt))
            self.submit(Score(request, prompt))

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
                self.tint.forget()
            case TokenEvent() if self.tint.request:
                self.tint.given_up()  # what was written came before it
            case Done(tokens=tokens) if tokens >= SETTLED and not self._bound_asked:
                self._bound_asked = True
                self.submit(MeasureReads())

    _bound_asked = False
    _looked_at: tuple[object, ...] = ()
    _requests = 0
