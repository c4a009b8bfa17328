"""Control of a run while it trains, in the Train view: changes, the way back, forks, and a search for a rate."""

from __future__ import annotations

from typing import Literal

from sg_core.engine.commands import BackToBest, ChangeTraining, FindLearningRate, ForkTraining
from sg_core.engine.events import Event, RateFound
from sg_core.errors import SettingError
from sg_core.storage.run_log import BACK, FORK, RunEvent
from sg_tui.screens.train_talk import TalkActions
from sg_tui.state.training_change import as_line, from_line
from sg_tui.state.training_run import Run
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.layer_view import LayerView
from sg_tui.widgets.rate_view import RateView

Below = Literal["samples", "rates", "blocks"]
CHANGE_LINE = "change"


class ControlActions(TalkActions):
    """What stands below the chart: samples, the rates that are tried, or the blocks."""

    below: Below = "samples"

    def handle(self, event: Event) -> None:
        super().handle(event)
        if isinstance(event, RunEvent):
            self._tell_event(event)
        elif isinstance(event, RateFound):
            self._offer(event)

    def _offer(self, found: RateFound) -> None:
        """Enter takes the rate that was found, unless the person writes something else just now."""
        run = self._live_run
        if run is not None and self.below == "rates" and not self.query_one("#line").display:
            self.ask(CHANGE_LINE, as_line(run.facts.training, learning_rate=float(f"{found.suggested:.2g}")))

    def show_below(self) -> None:
        """Draw what stands below the chart."""
        self.set_class(self.below == "rates", "-rates")
        if self.below == "rates":
            self.query_one(RateView).show(self.desk.training.search)
        self.set_class(self.below == "blocks", "-blocks")
        if self.below == "blocks":
            self.query_one(LayerView).show(self.desk.training.run)

    def take_line(self, what: str, text: str) -> None:
        run = self._live_run
        if what != CHANGE_LINE:
            super().take_line(what, text)
            return
        self.close_line()
        if run is None or not text.strip():
            return
        try:
            values = from_line(text, run.facts.training)
        except SettingError as problem:
            self.desk.say(str(problem), "warning")
            self.ask(CHANGE_LINE, text)
            return
        if values:
            self.desk.submit(ChangeTraining(values))

    def action_change(self) -> None:
        if (run := self._asked_of()) is not None:
            self.ask(CHANGE_LINE, as_line(run.facts.training))

    def action_back_to_best(self) -> None:
        if self._asked_of() is not None:
            self.desk.submit(BackToBest())

    def action_fork(self) -> None:
        if self._asked_of() is not None:
            self.desk.submit(ForkTraining())

    def action_find_rate(self) -> None:
        if self.below == "rates":
            self.below = "samples"
        elif self._asked_of() is not None:
            self.below = "rates"
            self.desk.training.search.begin()
            self.desk.submit(FindLearningRate())
        self.draw_all()

    def action_blocks(self) -> None:
        self.below = "samples" if self.below == "blocks" else "blocks"
        self.show_below()
        self.call_after_refresh(self.draw_all)

    @property
    def _live_run(self) -> Run | None:
        return self.desk.training.run if self.desk.training.live else None

    def _asked_of(self) -> Run | None:
        if self._live_run is None:
            self.desk.say("No run is under way.")
        return self._live_run

    def _tell_event(self, event: RunEvent) -> None:
        words = f"Step {event.step:,}: {safe_line(event.words)}."
        if event.kind == BACK:
            words += " It learns the same again unless something is changed: E."
        elif event.kind == FORK:
            words += " It goes on from there as this run does."
        self.desk.say(words)
