"""Plans a training while the form is filled: memory, sizes and texts, on a thread, because the disk may be slow."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable

from sg_core.errors import DataError, SgError
from sg_tui.state.training_choice import BOXES, PATH
from sg_tui.state.training_plan import Answer, Question


class Planner:
    """`ask` gives the newest question, which takes the place of one that waits; `found` holds the answers.

    wake: called, from the thread, when there is an answer.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.found: deque[tuple[Question, Answer]] = deque()
        self._wake = wake
        self._question: Question | None = None
        self._lock = threading.Lock()
        self._working = False

    def ask(self, question: Question) -> None:
        """Answer this one next."""
        with self._lock:
            self._question = question
            if not self._working:
                self._working = True
                threading.Thread(target=self._work, name="sg-plan", daemon=True).start()

    def _work(self) -> None:
        while (question := self._next()) is not None:
            answer = plan(question, lambda: self._question is not None)
            if answer is not None:
                self.found.append((question, answer))
                self._wake()

    def _next(self) -> Question | None:
        with self._lock:
            question, self._question = self._question, None
            self._working = question is not None
            return question


def plan(question: Question, cancelled: Callable[[], bool] = lambda: False) -> Answer | None:
    """What a training will take; None once another question waits."""
    from sg_core.memory import available_memory
    from sg_core.training.memory_plan import advice, plan_memory
    from sg_core.training.plan import checkpoint_size, result_size
    from sg_core.training.sources import survey

    config, training = question.config, question.training
    try:
        text = survey(question.sources, cancelled)
        memory, free = plan_memory(config, training), available_memory()
    except SgError as problem:
        return None if cancelled() else Answer({}, trouble={_box_of(problem): str(problem)})
    tokens = round(text.size / _characters_a_token(config.vocab_size))
    return Answer(
        memory=memory.parts,
        free=free,
        advice=advice(config, training, free) if free is not None and memory.total > free else "",
        result=result_size(memory.learned),
        checkpoint=checkpoint_size(config, training, memory.learned, tokens),
        files=text.files,
        size=text.size,
        tokens=tokens,
    )


def _box_of(problem: SgError) -> str:
    """Where in the form it is to be told."""
    if isinstance(problem, DataError):
        return PATH
    return next((box.name for box in BOXES if str(problem).startswith(box.name)), "lora_targets")


def _characters_a_token(vocabulary: int) -> float:
    """About, of English, by a vocabulary that was learned: 1.9 for 512 entries, 2.3 for 1,024, 4.1 for 50,257."""
    return max(1.0, 0.47 * math.log(vocabulary) - 1.0)
