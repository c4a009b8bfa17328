"""What the engine measures and scores of the loaded model: functions that `Parts` names. All imports are late."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sg_core.engine.events import Measured, Raced, ReadRate, Scored, StepsMeasured
from sg_core.types import Cancelled, Progress

if TYPE_CHECKING:
    from sg_core.engine.commands import Bench, MeasureSteps, Race, Score
    from sg_core.inference.session import Session

READ_PASSES = 3  # between two looks at whether something else is wanted
READ_ROUNDS = 4


def rows(command: Bench, session: Session, progress: Progress, cancelled: Cancelled) -> Iterator[Measured]:
    """The rows of a benchmark, as they are measured; fewer once cancelled."""
    from sg_core.measure.benchmark import every_combination, later_ladder, time_tokens

    rungs = every_combination() if command.every_combination else later_ladder()
    tokens = min(command.tokens, session.context_size)
    for done, rung in enumerate(rungs):
        progress(rung.label, done, len(rungs))
        timing = time_tokens(
            session.model,
            rung.optimizations,
            tokens,
            precision=session.precision,
            threads=session.threads,
            cancelled=cancelled,
        )
        if timing is None:
            return
        yield Measured(command.request, rung.label, timing)


def read_rate(session: Session, cancelled: Cancelled) -> ReadRate | None:
    """How fast the session's threads read as many bytes as its weights have; None when cancelled."""
    from sg_core.kernels.bandwidth import LEAST, MOST, ReadBandwidth
    from sg_core.network.weights import bytes_read

    storage = session.model.storage(session.precision)
    count = bytes_read(session.model.config, storage)
    reader = ReadBandwidth(session.threads)
    for _ in range(READ_ROUNDS):
        if cancelled():
            return None
        reader.measure(READ_PASSES, min(max(count, LEAST), MOST))
    held = storage.label if storage.label != session.precision else ""
    return ReadRate(session.precision, session.threads, count, reader.bytes_per_second, held)


def steps(command: MeasureSteps, threads: int | None, cancelled: Cancelled) -> StepsMeasured | None:
    """How long a planned training takes; None when cancelled."""
    from sg_core.training.plan import MEASURED
    from sg_core.training.rehearsal import rehearse

    taken = rehearse(command.config, command.training, command.tokens, threads, cancelled)
    if taken is None:
        return None
    return StepsMeasured(
        command.request, taken.step_seconds, MEASURED, taken.steps, taken.validation_seconds, taken.validations
    )


def scores(command: Score, session: Session, progress: Progress, cancelled: Cancelled) -> Scored | None:
    """What the session's model thinks of every token of a text, in its precision; None when cancelled."""
    from sg_core.gpt2 import GPT2
    from sg_core.measure.compilation import warm_up_scores

    model, tokenizer = session.model, session.tokenizer
    if not isinstance(model, GPT2) or tokenizer is None or not command.text:
        return None
    warm_up_scores(progress, model.storage(session.precision).kernels)
    ids = tokenizer.encode_prompt(command.text)
    if not ids:
        return None
    found = model.score(ids, precision=session.precision, cancelled=cancelled)
    if len(found) < len(ids):
        return None
    outside = found.text.starts[len(tokenizer.before)] if len(ids) > len(tokenizer.before) else 0
    told = found.rows
    return Scored(
        command.request,
        tuple(max(0, start - outside) for start in found.text.starts),
        tuple(told.logprobs.tolist()),
        tuple(told.ranks.tolist()),
        tuple(told.entropies.tolist()),
        math.nan if found.perplexity is None else found.perplexity,
        found.window,
        found.overlap,
    )


def laps(command: Race, session: Session, cancelled: Cancelled) -> Iterator[Raced]:
    """The laps of a race of the session's model."""
    from sg_core.gpt2 import GPT2
    from sg_core.measure.race import race

    model = session.model
    assert isinstance(model, GPT2)  # the engine loads nothing else
    for lap in race(
        model, command.prompt, command.left, command.right, command.tokens, command.sampling, session.threads, cancelled
    ):
        yield Raced(command.request, lap)
