"""What is known of a training before it begins: what is asked, what is planned, what was measured. Plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sg_core.config import GPT2Config
from sg_core.engine.commands import MeasureSteps
from sg_core.engine.events import Event, Failed, Phase, StepsMeasured
from sg_core.training.settings import TrainingConfig


@dataclass(frozen=True, slots=True)
class Question:
    """A training as the form has it. config: of the model, None where none is loaded yet; sources: names of texts."""

    sources: tuple[str, ...]
    config: GPT2Config
    training: TrainingConfig


@dataclass(frozen=True, slots=True)
class Answer:
    """memory: what for -> bytes; free: None where no one tells; advice: what would fit, "" where it fits.

    result: bytes of the model or adapter that is made; checkpoint: of one. files, size, tokens: of the text, about.
    trouble: box -> why nothing more is known.
    """

    memory: Mapping[str, int]
    free: int | None = None
    advice: str = ""
    result: int = 0
    checkpoint: int = 0
    files: int = 0
    size: int = 0
    tokens: int = 0
    trouble: Mapping[str, str] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether the training can begin, as far as memory goes."""
        return not self.advice and not self.trouble


@dataclass(frozen=True, slots=True)
class TimeTold:
    """Seconds of a step, its median of `measured`; of all validations and steps."""

    step: float
    measured: int
    validation: float
    validations: int
    seconds: float


class PlanState:
    """The newest question and its answer; what was measured for any question is kept for those with equal steps."""

    def __init__(self) -> None:
        self.question: Question | None = None
        self.answer: Answer | None = None
        self.trouble = ""  # why the last measurement gave nothing
        self.version = 0
        self._measured: dict[MeasureSteps, StepsMeasured] = {}  # by what decides the time, with no request's number
        self._asked: MeasureSteps | None = None
        self._phase = Phase("idle")

    def ask(self, question: Question | None) -> bool:
        """Another training stands in the form, None for one that is not whole; False if it is the same."""
        if question == self.question:
            return False
        self.question, self.answer, self.trouble = question, None, ""
        self.version += 1
        return True

    def answered(self, question: Question, answer: Answer) -> None:
        """The planner has an answer, which may come too late."""
        if question == self.question:
            self.answer = answer
            self.version += 1

    @property
    def waits_for(self) -> str:
        """What the engine does before it can measure, "" while it measures."""
        return "" if self._phase.name == "measuring" else self._phase.name

    def to_measure(self, request: int) -> MeasureSteps | None:
        """The command that measures the steps of this training, if they are not known and it would fit."""
        wanted = self._wanted
        if wanted is None or wanted == self._asked or wanted in self._measured or self.trouble:
            return None
        assert self.answer is not None
        if not self.answer.fits:
            return None
        self._asked = wanted
        self.version += 1
        return replace(wanted, request=request)

    @property
    def time(self) -> TimeTold | None:
        """How long it will take, once its steps are measured."""
        wanted, question = self._wanted, self.question
        found = self._measured.get(wanted) if wanted is not None else None
        if found is None or question is None:
            return None
        training = question.training
        validations = math.ceil(training.steps / training.evaluate_every) if training.evaluate_every else 0
        seconds = training.steps * found.step_seconds + validations * found.validation_seconds
        return TimeTold(found.step_seconds, found.measured, found.validation_seconds, validations, seconds)

    def take(self, event: Event) -> bool:
        """Take what was measured; False when nothing changed."""
        match event:
            case StepsMeasured() if self._asked is not None:
                self._measured[self._asked] = event
            case Failed(command="MeasureSteps", message=message):
                self.trouble = message
            case Phase():
                self._phase = event
                self.version += 1
                return True
            case _:
                return False
        self._asked = None
        self.version += 1
        return True

    @property
    def _wanted(self) -> MeasureSteps | None:
        """What decides how long a step takes; the rest as it usually is."""
        if self.question is None or self.answer is None:
            return None
        given = self.question.training
        training = replace(given, steps=1, learning_rate=1e-4, seed=0, warmup_steps=0, evaluate_every=1, save_every=0)
        return MeasureSteps(0, self.question.config, training, self.answer.tokens)
