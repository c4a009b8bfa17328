"""What is known of the training, fed by the engine's events: the present run, earlier ones, what goes on.

Plain Python, no widgets: the app holds one `TrainingState`, so nothing is lost while its screen is hidden.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from sg_core.engine.commands import Train
from sg_core.engine.events import (
    Event,
    Failed,
    Phase,
    RateFound,
    Sample,
    Saved,
    TrainingEnded,
    TrainingStarted,
)
from sg_core.storage.run_log import RunEvent
from sg_core.training.results import Evaluation, LayerFigures, StepResult, Trial
from sg_tui.state.rate_search import RateSearch
from sg_tui.state.training_run import Run

SAMPLES_KEPT = 500
COMMANDS = ("", "Train", "PauseTraining", "ResumeTraining", "StopTraining", "SaveTraining")  # whose failures are ours
Status = Literal["none", "starting", "running", "paused", "stopping", "ended"]


class TrainingState:
    """The present run, the earlier ones of this session, and what the engine is doing about them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.status: Status = "none"
        self.run: Run | None = None
        self.earlier: list[Run] = []
        self.command: Train | None = None  # what was asked for last
        self.phase = Phase("idle")
        self.failure = ""  # one line, as it came: raw
        self.ended: TrainingEnded | None = None
        self.search = RateSearch()
        self.version = 0  # grows with every change: what was drawn at the same version is still right
        self._clock = clock
        self._running_since: float | None = None
        self._runs = 0
        self._preparing = False  # a run was asked for and has not started yet
        self._reason_owed = False  # a run ended in failure, and the line that says why is still to come

    @property
    def live(self) -> bool:
        """A run exists in the engine: it starts, runs, waits or is about to stop."""
        return self.status in ("starting", "running", "paused", "stopping")

    @property
    def seconds(self) -> float:
        """Time trained so far, pauses left out."""
        run = self.run
        if run is None:
            return 0.0
        return run.seconds + (0.0 if self._running_since is None else self._clock() - self._running_since)

    @property
    def unsaved_steps(self) -> int:
        """Steps that only memory holds."""
        if self.run is None:
            return 0
        return self.run.step - (self.run.saved.step if self.run.saved else self.run.facts.first_step)

    # ------------------------------------------------------------ what the person asks for

    def asked(self, command: Train) -> None:
        """`command` is about to be submitted."""
        self.command = command
        self.status, self.failure = "starting", ""
        self._preparing, self._reason_owed = True, False
        self.phase = Phase("starting")
        self.version += 1

    def remember(self, runs: list[Run]) -> None:
        """Runs of earlier sessions, oldest first: to compare with, and to go on with."""
        here = {run.facts.out for run in (*self.earlier, *([self.run] if self.run else []))}
        new = [run for run in runs if run.facts.out not in here]
        for run in new:
            run.number, run.remembered, self._runs = self._runs, True, self._runs + 1
        self.earlier[:0] = new
        self.version += bool(new)

    @property
    def resumable(self) -> Run | None:
        """The newest run that can go on, unless one is under way."""
        if self.live:
            return None
        known = [*self.earlier, *([self.run] if self.run else [])]
        return next((run for run in reversed(known) if run.resumable), None)

    def look_back(self) -> None:
        """Where no run of this session is there, the newest of earlier ones is looked at."""
        if self.run is None and self.earlier and not self.live:
            self.run, self.status = self.earlier.pop(), "ended"
            self.version += 1

    def stopping(self) -> None:
        """A stop was asked for; its end comes as an event."""
        if self.live:
            self.status = "stopping"
            self.version += 1

    # ------------------------------------------------------------ what the engine tells

    def take(self, event: Event) -> bool:
        """Take what belongs to the training; False when nothing changed."""
        match event:
            case TrainingStarted():
                self._start(event)
            case StepResult() | Evaluation() | Sample() | Saved():
                if self.run is None:
                    return False
                self._record(self.run, event)
            case RunEvent():
                if self.run is None:
                    return False
                self.run.acted(event)
            case LayerFigures():
                if self.run is None:
                    return False
                self.run.looked_at(event)
            case Trial() | RateFound():
                self.search.take(event)
            case TrainingEnded():
                self._end(event)
            case Phase():
                if not self.live:
                    return False
                self._enter(event)
            case Failed(request=None, command=command) if command in COMMANDS:
                if not self.live and not self._reason_owed:
                    return False
                self._fail(event.message)
            case _:
                return False
        self.version += 1
        return True

    def _start(self, facts: TrainingStarted) -> None:
        known = self._known(facts)
        if self.run is not None and self.run is not known and len(self.run.curve):
            self.earlier.append(self.run)
        if known is None:
            known = Run(facts, self._runs, self._called(facts))
            self._runs += 1
        else:
            known.go_on(facts)
            known.remembered = False
            self.earlier = [run for run in self.earlier if run is not known]
        self.run = known
        self.status, self.ended, self.failure = "running", None, ""
        self._preparing = False
        self._running_since = self._clock()

    def _record(self, run: Run, event: StepResult | Evaluation | Sample | Saved) -> None:
        match event:
            case StepResult():
                if self.status in ("paused", "starting"):
                    self._go_on()
                run.last = event
                run.curve.add(event.step, event.counted_loss, self.seconds)
            case Evaluation():
                if event.step not in [one.step for one in run.evaluations[-1:]]:  # a resume evaluates once more
                    run.evaluations.append(event)
                    run.evaluation_seconds.append(self.seconds)
            case Sample():
                run.samples += [event] if event not in run.samples[-1:] else []
                del run.samples[:-SAMPLES_KEPT]
            case Saved():
                run.saved, self.failure = event, ""

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        if phase.name == "paused" and self.status in ("running", "stopping"):
            self._hold()
            self.status = "paused"
        elif phase.name == "training" and self.status == "paused":
            self._go_on()

    def _go_on(self) -> None:
        self.status = "running"
        if self._running_since is None:
            self._running_since = self._clock()

    def _hold(self) -> None:
        if self.run is not None:
            self.run.seconds = self.seconds
        self._running_since = None

    def _fail(self, message: str) -> None:
        self.failure, self._reason_owed = message, False
        if self._preparing:
            self._back_to_what_was()

    def _end(self, event: TrainingEnded) -> None:
        if not self.live:
            return
        self._reason_owed = event.reason == "failed" and not self.failure
        self.phase = Phase("idle")
        if self._preparing:
            self._back_to_what_was()
            return
        self._hold()
        self.ended, self.status = event, "ended"

    def _back_to_what_was(self) -> None:
        """The run that was asked for did not come to be."""
        self._preparing = False
        self.status = "none" if self.run is None else "ended"

    def _known(self, facts: TrainingStarted) -> Run | None:
        """The run that goes on, if it is one of those known."""
        if self.command is None or self.command.resume is None:
            return None
        known = [*self.earlier, *([self.run] if self.run else [])]
        return next((run for run in known if facts.out is not None and run.facts.out == facts.out), None)

    def _called(self, facts: TrainingStarted) -> str:
        """A new model is called by its preset, any other by its name."""
        command = self.command
        if command is None or command.resume is not None or command.model is not None:
            return facts.model
        return command.config
