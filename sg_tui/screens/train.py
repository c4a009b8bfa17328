"""The Train view: a form that starts a run, then its loss, its figures and what the model writes as it learns."""

from __future__ import annotations

import time
from collections.abc import Iterable

from textual import on
from textual.containers import Container, Vertical
from textual.widget import Widget

from sg_core import paths
from sg_core.engine.commands import PauseTraining, ResumeTraining, StopTraining
from sg_core.engine.events import Event, Saved, TrainingEnded
from sg_tui.desk import Desk
from sg_tui.keys import Scope, actions, bindings
from sg_tui.library.run_records import RunKeeper
from sg_tui.screens.train_control import ControlActions
from sg_tui.screens.train_form import FormActions
from sg_tui.screens.train_runs import RunsActions
from sg_tui.widgets.choice import Choice
from sg_tui.widgets.comparison_view import ComparisonView
from sg_tui.widgets.layer_view import LayerView
from sg_tui.widgets.line_input import LineInput
from sg_tui.widgets.loss_chart import LossChart, Plot
from sg_tui.widgets.rate_view import RateView
from sg_tui.widgets.run_form import RunForm
from sg_tui.widgets.run_panel import RunPanel
from sg_tui.widgets.sample_view import SampleView

REDRAW_SECONDS = 0.5  # between two drawings of the chart
FORM_ACTIONS = {action.id for action in actions("form")}
LIVE_ACTIONS = {action.id for action in actions("train")}


class TrainScreen(FormActions, RunsActions, ControlActions):
    """`desk.training` knows the run; here is what the person looks at and asks for."""

    MODE = "train"
    CSS_PATH = "../styles/train.tcss"
    BINDINGS = bindings("form", "train")  # type: ignore[assignment]  # a list of Binding is what Textual wants
    AUTO_FOCUS = "#source"
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-short"), (32, "-tall")]  # noqa: RUF012 (declared so by Textual)

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.keeper = RunKeeper(paths.runs_dir)
        self._drawn: tuple[int, object] = (-1, None)
        self._drawn_at = 0.0
        self._sure_to_stop = False

    def body(self) -> Iterable[Widget]:
        yield RunForm(id="form")
        with Container(id="live"):
            yield RunPanel(id="figures")
            with Vertical(id="main"):
                yield LossChart(id="chart")
                yield SampleView(id="samples")
                yield RateView(id="rates")
                yield LayerView(id="blocks")
                yield ComparisonView(id="comparison")
                yield LineInput(id="line", compact=True)

    def on_mount(self) -> None:
        self.query_one("#line").display = False
        self.show_part()
        self.keeper.look()

    def on_unmount(self) -> None:
        if self.state.live and self.state.run is not None:
            self.keeper.keep(self.state.run, now=True)

    def scopes(self) -> tuple[Scope, ...]:
        if self.forming:
            return ("choice", "form", "app") if isinstance(self.focused, Choice) else ("form", "app")
        part: tuple[Scope, ...] = ("chart",) if isinstance(self.focused, Plot) else ()
        if isinstance(self.focused, SampleView | ComparisonView):
            part = ("samples",)
        return ("train", *part, "app")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The form's keys work in the form, the run's keys beside the run."""
        if action == "show_run":
            return self.forming and (self.state.run is not None or bool(self.state.earlier))
        if action == "stop_training":
            return not self.forming and self.state.live
        if action in FORM_ACTIONS:
            return self.forming
        if action in LIVE_ACTIONS:
            return not self.forming
        return super().check_action(action, parameters)

    # ------------------------------------------------------------ events and drawing

    def handle(self, event: Event) -> None:
        super().handle(event)
        if isinstance(event, Saved | TrainingEnded) and self.state.run is not None:
            self.keeper.keep(self.state.run, now=isinstance(event, TrainingEnded))

    def draw(self) -> None:
        parts = [part for kind in (RunForm, LossChart, SampleView, Plot) for part in self.query(kind)]
        if len(parts) < 4 or not all(part.is_mounted for part in parts):
            return
        state = self.state
        while self.keeper.found:
            state.remember(self.keeper.found.popleft())
        self.see_start()
        if self.forming:
            self.draw_form()
            return
        figures = self.query_one(RunPanel)
        figures.set_class(bool(state.failure), "-failed")
        figures.show(state)
        self.query_one(SampleView).show(state, self.talk)
        self.show_comparison()
        self.show_below()
        chart = self.query_one(LossChart)
        now = time.monotonic()
        if (state.version, chart.size) != self._drawn and now - self._drawn_at >= REDRAW_SECONDS:
            self._drawn, self._drawn_at = (state.version, chart.size), now
            chart.show(state.run, self.beside())
            chart.redraw()

    def show_part(self) -> None:
        self.query_one("#form").display = self.forming
        self.query_one("#live").display = not self.forming
        self._drawn = (-1, None)
        self.refresh_bindings()

    # ------------------------------------------------------------ the run

    def action_show_run(self) -> None:
        self.state.look_back()
        if self.state.live or self.state.run is not None:
            self.forming = False
            self.show_part()
            self.query_one(Plot).focus()
            self.draw_all()

    def action_pause(self) -> None:
        if self.state.status == "running":
            self.desk.submit(PauseTraining())
        elif self.state.status == "paused":
            self.desk.submit(ResumeTraining())
        elif not self.state.live and self.state.run is not None and self.state.run.resumable:
            self.resume(self.state.run)
        elif not self.state.live:
            self.desk.say("This run is at its end. N starts another one.")

    def action_stop_training(self) -> None:
        run = self.state.run
        if self.state.status not in ("running", "paused", "starting"):
            return
        if run is not None and run.facts.out is None and self.state.unsaved_steps and not self._sure_to_stop:
            self._sure_to_stop = True
            self.desk.say(f"{self.state.unsaved_steps:,} steps are saved nowhere. S again stops, F saves.", "warning")
            return
        self._sure_to_stop = False
        self.state.stopping()
        self.desk.submit(StopTraining())

    def action_new_run(self) -> None:
        if self.state.live:
            self.desk.say("A run is under way. S stops it; then N starts another one.")
        else:
            self.open_form()

    def action_toggle_log(self) -> None:
        self.query_one(LossChart).toggle_log()

    @on(LossChart.Zoomed)
    def redraw_chart(self) -> None:
        self._drawn = (-1, None)
