"""What the engine thread needs of the rest of sg_core: imported there, so that importing the engine costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sg_core.engine import measurements
from sg_core.text.templates import PLAY, Template, read_own
from sg_core.types import Cancelled, Progress

if TYPE_CHECKING:
    from sg_core.engine.commands import Bench, MeasureSteps, Race, Score, Train
    from sg_core.engine.events import Measured, Raced, ReadRate, Scored, StepsMeasured
    from sg_core.gpt2 import GPT2
    from sg_core.inference.session import Session
    from sg_core.network.model import Model
    from sg_core.training.trainer import Trainer


class Prepare(Protocol):
    """A trainer for a Train command."""

    def __call__(self, command: Train, progress: Progress, cancelled: Cancelled, threads: int | None) -> Trainer: ...


class Measure(Protocol):
    """The rows of a benchmark of a session's model, as they are measured; fewer once cancelled."""

    def __call__(
        self, command: Bench, session: Session, progress: Progress, cancelled: Cancelled
    ) -> Iterator[Measured]: ...


@dataclass(frozen=True)
class Parts:
    """The functions behind the commands."""

    warm_up: Callable[[bool, Progress, str], None]  # (for training too, progress, precision): compiles the kernels
    load: Callable[[str], GPT2]
    prepare: Prepare
    new_run_folder: Callable[[str], Path]
    default_threads: Callable[[Model], int]
    measure: Measure
    base_of: Callable[[str], str | None] = lambda name: None  # the model of an adapter; None for anything else
    load_adapters: Callable[[GPT2, Sequence[str]], None] = lambda model, given: None  # FOLDER[:SCALE] each
    warm_up_adapters: Callable[[bool, Progress, str], None] = lambda training, progress, precision: None
    read_rate: Callable[[Session, Cancelled], ReadRate | None] = measurements.read_rate
    score: Callable[[Score, Session, Progress, Cancelled], Scored | None] = measurements.scores
    measure_steps: Callable[[MeasureSteps, int | None, Cancelled], StepsMeasured | None] = measurements.steps
    race: Callable[[Race, Session, Cancelled], Iterator[Raced]] = measurements.laps
    templates: Callable[[GPT2], tuple[list[Template], str]] = lambda model: (
        [PLAY],
        "",
    )  # and what is wrong with one's own
    warm_inside: Callable[[Progress, str, bool], None] | None = None  # (progress, precision, with adapters too)


def real_parts() -> Parts:
    """The parts that compute; imports NumPy and Numba."""
    from sg_core.inference.threads import default_threads
    from sg_core.measure.compilation import warm_up, warm_up_adapters, warm_up_inside
    from sg_core.storage.peft_file import base_of
    from sg_core.storage.runs import new_run_folder

    return Parts(
        warm_up=warm_up,
        load=_load,
        prepare=_prepare,
        new_run_folder=new_run_folder,
        default_threads=lambda model: default_threads(4 * model.config.parameter_count),
        measure=measurements.rows,
        base_of=base_of,
        load_adapters=lambda model, references: model.load_adapters(references),
        warm_up_adapters=warm_up_adapters,
        templates=_templates,
        warm_inside=lambda progress, precision, adapters: warm_up_inside(progress, precision, adapters=adapters),
    )


def _load(name: str) -> GPT2:
    """A model that can write a text. Raises ModelFileError for one without a tokenizer."""
    from sg_core.gpt2 import GPT2

    model = GPT2.from_pretrained(name)
    model.require_tokenizer()
    return model


def _templates(model: GPT2) -> tuple[list[Template], str]:
    """The chat templates of a model, and why its own or a person's can't be used ("" if they can)."""
    from sg_core import paths
    from sg_core.errors import SettingError
    from sg_core.text.recognition import misread, templates_for

    try:
        return templates_for(model.tokenizer, read_own(paths.config_dir())), misread(model.tokenizer)
    except SettingError as problem:
        return templates_for(model.tokenizer), str(problem)


def _prepare(command: Train, progress: Progress, cancelled: Cancelled, threads: int | None) -> Trainer:
    from sg_core.errors import SettingError
    from sg_core.training.preparation import prepare_training
    from sg_core.training.settings import PRESETS

    preset = PRESETS.get(command.config)
    if preset is None:
        raise SettingError(f"config {command.config!r} is unknown; choose from {', '.join(PRESETS)}")
    training = command.training or preset.training
    trainer = prepare_training(
        data=command.data,
        model=command.model,
        config=replace(preset.config, n_ctx=training.context),
        training=training,
        resume=command.resume,
        progress=progress,
        cancelled=cancelled,
        threads=threads,
    )
    if command.model is None and command.resume is None:
        trainer.model.name = command.config
    return trainer
