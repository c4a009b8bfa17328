"""The form of the Train view: the plan while it is filled, and what becomes of the run that it asks for."""

from __future__ import annotations

from textual import on
from textual.timer import Timer

from sg_core.engine.commands import Train
from sg_tui.desk import Desk
from sg_tui.desk.planner import Planner
from sg_tui.screens.mode import ModeScreen
from sg_tui.state.training_run import Run
from sg_tui.state.training_state import TrainingState
from sg_tui.widgets.run_form import RunForm
from sg_tui.widgets.run_panel import steps_words

STILL_SECONDS = 0.6  # without a change, after which steps are measured


class FormActions(ModeScreen):
    """Memory and sizes are planned with every change, on a thread; steps are measured once the form stays still."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.forming = True  # the form is shown, not a run
        self._planner = Planner(self._planned)
        self._still: Timer | None = None  # runs while the form has just been changed
        self._told = ""  # the failure the form shows
        self._starting = False  # a run was asked for and is not there yet
        self._start_failed = False
        self._run_before: Run | None = None

    @property
    def state(self) -> TrainingState:
        """What is known of the training."""
        return self.desk.training

    def show_part(self) -> None:
        """Show the form, or the run."""

    def action_show_run(self) -> None:
        """Leave the form for the run."""

    # ------------------------------------------------------------ the plan

    @on(RunForm.Altered)
    def _replan(self, event: RunForm.Altered) -> None:
        question = self.query_one(RunForm).question
        if self.desk.plan.ask(question) and question is not None:
            self._planner.ask(question)
        if self._still is not None:
            self._still.stop()
        self._still = self.set_timer(STILL_SECONDS, self._measure)
        self.draw_form()

    def _planned(self) -> None:
        """On the planner's thread."""
        if self.is_attached:
            self.app.call_later(self._take_plan)

    def _take_plan(self) -> None:
        while self._planner.found:
            self.desk.plan.answered(*self._planner.found.popleft())
        if self._still is None:
            self._measure()
        if self.forming and self.is_current:
            self.draw_form()

    def _measure(self) -> None:
        """Have the steps measured, unless that is known or a run is there, which would be disturbed."""
        self._still = None
        if self.forming and not self.state.live:
            command = self.desk.plan.to_measure(self.desk.next_request())
            if command is not None:
                self.desk.submit(command)

    # ------------------------------------------------------------ the form

    def draw_form(self) -> None:
        """Show what is known of the run that stands in the form."""
        form, state = self.query_one(RunForm), self.state
        if not form.is_mounted:
            return
        form.show(self.desk.generation.loaded, self._go_on_words(), self.desk.plan)
        if self._start_failed and state.failure != self._told:
            self._told = state.failure
            command = state.command
            form.tell(state.failure, command is not None and command.data == "tinyshakespeare")

    def _go_on_words(self) -> str:
        run = self.state.resumable
        return f"Go on with {run.name}, step {steps_words(run)}" if run is not None else ""

    def open_form(self) -> None:
        """Leave the run for the form."""
        if not self.forming:
            self.forming = True
            self.show_part()
            self.query_one("#source").focus()

    def action_start(self) -> None:
        self.query_one(RunForm).start()

    @on(RunForm.Start)
    def _start(self, event: RunForm.Start) -> None:
        self._submit(event.command)

    @on(RunForm.GoOn)
    def _go_on(self) -> None:
        if (run := self.state.resumable) is not None:
            self.resume(run)

    def resume(self, run: Run) -> None:
        """Go on with an earlier run."""
        self._submit(Train(resume=run.resumable, sample_every=run.facts.training.evaluate_every))

    def _submit(self, command: Train) -> None:
        self._starting, self._start_failed = True, False
        self._run_before, self._told = self.state.run, ""
        self.state.asked(command)
        self.desk.submit(command)
        self.action_show_run()

    def see_start(self) -> None:
        """Whether the run that was asked for came to be; the form comes back where it did not."""
        state = self.state
        if self._starting and (state.run is not self._run_before or not state.live):
            self._starting = False
            if state.run is self._run_before:  # nothing came of it
                self._start_failed = True
                self.open_form()
