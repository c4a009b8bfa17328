"""One training run as far as its events have come: its curve, its average, its best figures, its pace. Plain data."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sg_core.engine.events import Sample, Saved, TrainingStarted
from sg_core.storage.run_log import BACK, CHANGE, RunEvent
from sg_core.training.results import Evaluation, LayerFigures, StepResult

SMOOTHING = 0.95  # weight of the past in the moving average of the loss: about the last 20 steps
LOOKS_KEPT = 400  # of each block
ETA_STEPS = 400  # the time left is told from at most so many of the latest steps


class Smoothed:
    """Causal exponential moving average, corrected for its start at zero (Kingma & Ba 2015, section 3).

    Values that are not finite are left out. `value` is NaN before the first one.
    """

    def __init__(self, decay: float = SMOOTHING) -> None:
        self.decay = decay
        self._sum = 0.0
        self._weight = 0.0

    def add(self, value: float) -> float:
        """Take a value; returns the average after it."""
        if math.isfinite(value):
            self._sum = self.decay * self._sum + (1 - self.decay) * value
            self._weight = self.decay * self._weight + (1 - self.decay)
        return self.value

    @property
    def value(self) -> float:
        """The average so far."""
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
        """Take a step; a loss that is not finite is a skipped one."""
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
    evaluations: list[Evaluation] = field(default_factory=list)
    evaluation_seconds: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    events: list[RunEvent] = field(default_factory=list)  # what was done to it while it trained
    layers: dict[int, list[LayerFigures]] = field(default_factory=dict)  # the latest looks at each block
    last: StepResult | None = None
    saved: Saved | None = None
    seconds: float = 0.0  # of training until the last event, pauses left out
    remembered: bool = False  # from an earlier session

    @property
    def step(self) -> int:
        """The last one done."""
        if self.last is not None:
            return self.last.step
        return int(self.curve.steps[-1]) if len(self.curve) else self.facts.first_step

    @property
    def resumable(self) -> str:
        """The folder it can go on from, if it has a checkpoint and steps left; else nothing."""
        if self.saved is None or self.saved.step >= self.facts.training.steps:
            return ""
        return self.facts.out or self.saved.folder

    def go_on(self, facts: TrainingStarted) -> None:
        """It runs again from a checkpoint: what came after that is forgotten, what was before stays."""
        if self.step > facts.first_step:
            self._cut(facts.first_step)
        self.facts, self.last, self.events = facts, None, list(facts.events)

    def looked_at(self, figures: LayerFigures) -> None:
        """A block was looked at."""
        seen = self.layers.setdefault(figures.layer, [])
        seen.append(figures)
        del seen[:-LOOKS_KEPT]

    def acted(self, event: RunEvent) -> None:
        """Something was done to it: its settings change, or it is again where it was."""
        self.events.append(event)
        if event.kind == CHANGE:
            training = replace(self.facts.training, **dict(event.values))
            self.facts = replace(self.facts, training=training)
        elif event.kind == BACK:
            self._cut(event.values["to"])
            self.last = None

    def _cut(self, step: int) -> None:
        curve, self.curve = self.curve, Curve()
        for number, loss, seconds in zip(curve.steps, curve.losses, curve.seconds, strict=True):
            if number <= step:
                self.curve.add(int(number), loss, seconds)
        self.seconds = self.curve.seconds[-1] if len(self.curve) else 0.0
        kept = sum(one.step <= step for one in self.evaluations)
        del self.evaluations[kept:], self.evaluation_seconds[kept:]
        self.samples = [sample for sample in self.samples if sample.step <= step]
        self.layers = {layer: [one for one in seen if one.step <= step] for layer, seen in self.layers.items()}

    @property
    def name(self) -> str:
        """The model and its text, for a list."""
        return f"{self.model} on {self.facts.data}"

    @property
    def tokens_per_step(self) -> int:
        """Over all its batches."""
        training = self.facts.training
        return training.batch_size * training.context * training.accumulation

    @property
    def best(self) -> Evaluation | None:
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
