"""Runs beside each other in the Train view, walking through their samples, and writing with what one has learned."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sg_core import paths
from sg_core.engine.commands import SaveTraining
from sg_core.engine.events import Event, Saved
from sg_tui.desk import Desk
from sg_tui.screens.train_talk import TalkActions
from sg_tui.state.training_run import Run
from sg_tui.widgets.comparison_view import ComparisonView
from sg_tui.widgets.loss_chart import LossChart, Plot
from sg_tui.widgets.run_panel import EARLIER
from sg_tui.widgets.sample_view import SampleView

Compared = Literal["session", "all", "none"]
COMPARED: tuple[Compared, ...] = ("session", "all", "none")
COMPARED_WORDS: dict[Compared, str] = {
    "session": "Beside it: earlier runs of this session on the same text.",
    "all": "Beside it: all earlier runs on the same text.",
    "none": "Beside it: no other run.",
}


class RunsActions(TalkActions):
    """`redraw_chart` is asked for when other runs are to be drawn."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.compared: Compared = "session"
        self.comparing = False  # the comparison is seen in the place of the figures and the samples
        self._opening = False  # a save was asked for, whose weights are to be written with

    def redraw_chart(self) -> None:
        """Draw it anew at the next occasion."""

    def handle(self, event: Event) -> None:
        super().handle(event)
        if self._opening and isinstance(event, Saved):
            self._opening = False
            self._load()

    # ------------------------------------------------------------ runs compared

    def beside(self) -> list[Run]:
        """The earlier runs that are drawn beside the present one, the newest few: on the same text, or, while runs are
        compared, on any."""
        state = self.desk.training
        if state.run is None or (self.compared == "none" and not self.comparing):
            return []
        if self.comparing:
            return state.earlier[-EARLIER:]
        same = [run for run in state.earlier if run.facts.data == state.run.facts.data]
        return [run for run in same if self.compared == "all" or not run.remembered][-EARLIER:]

    def action_compare(self) -> None:
        self.compared = COMPARED[(COMPARED.index(self.compared) + 1) % len(COMPARED)]
        self.redraw_chart()
        self.desk.say(COMPARED_WORDS[self.compared])

    def action_compare_runs(self) -> None:
        self.comparing = not self.comparing
        self.set_class(self.comparing, "-comparing")
        if self.comparing:
            self.query_one(ComparisonView).focus()
        else:
            self.query_one(Plot).focus()
        self.redraw_chart()
        self.call_after_refresh(self.draw_all)

    def show_samples(self) -> None:
        super().show_samples()
        self.comparing = False
        self.set_class(False, "-comparing")

    def show_comparison(self) -> None:
        """Draw the comparison, if it is seen; the newest of the earlier runs stands next to the present one."""
        run = self.desk.training.run
        if self.comparing and run is not None:
            self.query_one(ComparisonView).show([run, *reversed(self.beside())])

    # ------------------------------------------------------------ samples

    def action_older_sample(self) -> None:
        self._look(-1)

    def action_newer_sample(self) -> None:
        self._look(1)

    def _look(self, by: int) -> None:
        if self.comparing:
            self.query_one(ComparisonView).look(by)
        else:
            self.query_one(SampleView).look(by)

    def action_next_x_axis(self) -> None:
        self.query_one(LossChart).next_x_axis()

    # ------------------------------------------------------------ writing with it

    async def action_open_in_write(self) -> None:
        """What a running one has learned is saved first."""
        state = self.desk.training
        run = state.run
        if run is None or run.facts.out is None:
            self.desk.say("This run is kept nowhere: F saves it, then W writes with it.", "warning")
            return
        if state.live and run.facts.training.lora:
            self.desk.say("An adapter is opened when its run is through; T writes with it as it is now.")
            return
        if state.live and state.unsaved_steps:
            self._opening = True
            self.desk.submit(SaveTraining(run.facts.out))
        else:
            self._load()
        await self.run_action("app.mode('write')")

    def _load(self) -> None:
        """By the run's name, where it is among the runs: the model of a run is its best one."""
        run = self.desk.training.run
        if run is not None and run.facts.out is not None:
            folder = Path(run.facts.out)
            self.desk.load(folder.name if folder.parent == paths.runs_dir() else str(folder))
