"""What is known of the training, fed by the engine's events: curves, best figures, samples, time left.

Plain Python, no widgets: the app holds one `TrainingState`, so nothing is lost while its screen is hidden.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sg_core.messages import (
    Evaluated,
    Event,
    Failed,
    Phase,
    Sample,
    Saved,
    Train,
    TrainingEnded,
    TrainingStarted,
    TrainStep,
)

SMOOTHING = 0.95  # weight of the past in the moving average of the loss: about the last 20 steps
ETA_STEPS = 400  # the time left is told from at most so many of the latest steps
SAMPLES_KEPT = 500
COMMANDS = ("", "Train", "PauseTraining", "ResumeTraining", "StopTraining", "SaveTraining")  # whose failures are ours
Status = Literal["none", "starting", "running", "paused", "stopping", "ended"]


class Smoothed:
    """Causal exponential moving average, corrected for its start at zero (Kingma & Ba 2015, section 3).

    Values that are not finite are left out. `value` is NaN before the first one.
    """

    def __init__(self, decay: float = SMOOTHING) -> None:
        self.decay = decay
        self._sum = 0.0
        self._weight = 0.0

    def add(self, value: float) -> float:
        if math.isfinite(value):
            self._sum = self.decay * self._sum + (1 - self.decay) * value
            self._weight = self.decay * self._weight + (1 - self.decay)
        return self.value

    @property
    def value(self) -> float:
        return self._sum / self._weight if self._weight else math.nan


class Curve:
    """The training loss of one run: parallel arrays, an entry a step. A skipped step is NaN twice."""

    def __init__(self) -> None:
        self.steps = array("d")
        self.losses = array("d")  # nats per token
        self.smoothed = array("d")
        self.seconds = array("d")  # of training, pauses left out
        self.skipped = 0
        self._average = Smoothed()

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, step: int, loss: float, seconds: float) -> None:
        finite = math.isfinite(loss)
        self.skipped += not finite
        self.steps.append(step)
        self.losses.append(loss if finite else math.nan)
        average = self._average.add(loss)
        self.smoothed.append(average if finite else math.nan)
        self.seconds.append(seconds)

    @property
    def average(self) -> float:
        """The moving average after the last step, NaN before the first."""
        return self._average.value


@dataclass
class Run:
    """One training run, as far as its events have come. `number` fixes its colour among a session's runs."""

    facts: TrainingStarted
    number: int
    model: str  # what the person calls it
    curve: Curve = field(default_factory=Curve)
    evaluations: list[Evaluated] = field(default_factory=list)
    evaluation_seconds: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    last: TrainStep | None = None
    saved: Saved | None = None
    seconds: float = 0.0  # of training until the last event, pauses left out

    @property
    def step(self) -> int:
        return self.last.step if self.last else self.facts.first_step

    @property
    def name(self) -> str:
        return f"{self.model} on {self.facts.data}"

    @property
    def tokens_per_step(self) -> int:
        training = self.facts.training
        return training.batch_size * training.context * training.accumulation

    @property
    def best(self) -> Evaluated | None:
        """The evaluation with the lowest loss; one that is not finite is never the best."""
        finite = [one for one in self.evaluations if math.isfinite(one.val_loss)]
        return min(finite, key=lambda one: one.val_loss) if finite else None

    @property
    def characters_per_token(self) -> float:
        """Of the validation text, NaN until an evaluation tells it."""
        for one in reversed(self.evaluations):
            if math.isfinite(one.val_loss) and one.val_loss_per_char > 0:
                return one.val_loss / one.val_loss_per_char
        return math.nan

    @property
    def seconds_left(self) -> float:
        """At the pace of the latest steps; NaN before two steps."""
        return seconds_left(self.curve.steps, self.curve.seconds, self.facts.training.steps)


def seconds_left(steps: Sequence[float], seconds: Sequence[float], last_step: int) -> float:
    """Time to `last_step` at the pace of the last ETA_STEPS steps; NaN when no pace is known.

    steps, seconds: ascending, the number of each step and when it ended.
    """
    if len(steps) < 2:
        return math.nan
    first = max(0, len(steps) - 1 - ETA_STEPS)
    done = steps[-1] - steps[first]
    if done <= 0:
        return math.nan
    return max(0.0, last_step - steps[-1]) * (seconds[-1] - seconds[first]) / done


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
            case TrainStep() | Evaluated() | Sample() | Saved():
                if self.run is None:
                    return False
                self._record(self.run, event)
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
        if self.run is not None and self._goes_on(self.run, facts):
            self.run.facts = facts
        else:
            if self.run is not None and len(self.run.curve):
                self.earlier.append(self.run)
            self.run = Run(facts, self._runs, self._called(facts))
            self._runs += 1
        self.status, self.ended, self.failure = "running", None, ""
        self._preparing = False
        self._running_since = self._clock()

    def _record(self, run: Run, event: TrainStep | Evaluated | Sample | Saved) -> None:
        match event:
            case TrainStep():
                if self.status in ("paused", "starting"):
                    self._go_on()
                run.last = event
                run.curve.add(event.step, event.loss, self.seconds)
            case Evaluated():
                run.evaluations.append(event)
                run.evaluation_seconds.append(self.seconds)
            case Sample():
                run.samples.append(event)
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

    def _goes_on(self, run: Run, facts: TrainingStarted) -> bool:
        """Whether the run goes on exactly where this one ended, so that its curve can be drawn on."""
        resumed = self.command is not None and self.command.resume is not None
        return resumed and facts.out is not None and facts.out == run.facts.out and facts.first_step == run.step

    def _called(self, facts: TrainingStarted) -> str:
        """A new model is called by its preset, any other by its name."""
        command = self.command
        if command is None or command.resume is not None or command.model is not None:
            return facts.model
        return command.config
