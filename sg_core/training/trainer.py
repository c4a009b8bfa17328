"""Training: steps, validation, and checkpoints from which a run goes on bit for bit."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sg_core.config import GPT2Config
from sg_core.errors import CheckpointError, DataError, SettingError, TrainingError
from sg_core.files import shown
from sg_core.gpt2 import GPT2
from sg_core.kernels.team import Team, physical_cores
from sg_core.memory import require_memory
from sg_core.network.adapters import Trainable
from sg_core.network.batch_pass import BatchPass
from sg_core.storage.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, sweep
from sg_core.storage.copies import copy_best
from sg_core.storage.lock import run_is_free
from sg_core.storage.run_log import BACK, CHANGE, FORKED, RunEvent, event_from, read_events, write_events
from sg_core.text.tokenizer import Tokenizer
from sg_core.text.tokenizer_files import has_tokenizer
from sg_core.training.averaging import WeightAverage
from sg_core.training.dataset import TextDataset
from sg_core.training.learner import make_learner, require_same_base, saved_model
from sg_core.training.memory_plan import loaded_bytes, require_training_memory
from sg_core.training.muon import make_optimizer
from sg_core.training.optimizer import learning_rate
from sg_core.training.order import batch, dropout_key
from sg_core.training.results import Evaluation, StepResult
from sg_core.training.saved_state import checkpoint_of, require_training, saved_dataset
from sg_core.training.settings import TrainingConfig
from sg_core.training.steering import Steering, changed
from sg_core.training.teachers import load_teachers, teacher_sizes
from sg_core.types import Cancelled

_MOST_SKIPPED = 5  # steps in a row with a loss or gradient that is not finite
_DATA = ("train_ids", "validation_ids")  # what all checkpoints of a run hold alike


class Trainer:
    """Trains `model` on `dataset`. Every number depends on the data, the settings and the step alone."""

    def __init__(self, model: GPT2, dataset: TextDataset, config: TrainingConfig, threads: int | None = None) -> None:
        if config.context > model.config.n_ctx:
            raise SettingError(
                f"context is {config.context}; the model's own context, {model.config.n_ctx}, is the most"
            )
        dataset.require(config.context)
        if dataset.highest_id >= model.config.vocab_size:
            raise DataError(
                f"the text has token {dataset.highest_id}; the model's vocabulary ends at {model.config.vocab_size - 1}"
            )
        model.require_finite()
        sizes = teacher_sizes(config)
        self.memory_plan = require_training_memory(model.config, config, loaded_bytes(model.config, config), sizes)
        self.model = model
        self.dataset = dataset
        self.config = config
        self.step_count = 0
        self.best_val_loss = math.inf
        self.skipped = 0
        self.passed_over: tuple[str, ...] = ()  # why newer checkpoints of the resumed run were not taken
        self.best_step = -1  # of the lowest validation loss; -1: none yet
        self._evaluated_step = -1
        self._saved: Path | None = None  # the newest checkpoint of this run
        self._evaluations_in_vain = 0  # since the best one
        self._skipped_in_a_row = 0
        self.steering = Steering()
        self._team = Team(threads or physical_cores())
        self._learner = make_learner(model, config)
        trained = self._learner.trained
        self._gradients = trained.like()
        self._optimizer = make_optimizer(trained, config, self._team)
        self._average = WeightAverage(trained, config) if config.average != "none" else None
        self._teachers = load_teachers(model, config, self._team)
        self._batch_pass = self._learner.batch_pass(self._team)
        self._validation_passes: dict[tuple[int, int, int], BatchPass] = {}

    @property
    def finished(self) -> bool:
        """Whether all steps of the run are done, or its patience is."""
        return self.step_count >= self.config.steps or self.out_of_patience

    @property
    def out_of_patience(self) -> bool:
        """Whether the validation loss has not fallen for as many evaluations as the settings allow."""
        return 0 < self.config.patience <= self._evaluations_in_vain

    @property
    def validated_parameters(self) -> Trainable:
        """What is validated and exported: the average of what learns (all weights or an adapter), or that itself."""
        return self._learner.trained if self._average is None else self._average.parameters

    def use_threads(self, threads: int | None) -> None:
        """Compute with so many from the next batch on, None: physical cores. No bit of the training depends on it."""
        self._team = self._optimizer.team = Team(threads or physical_cores())
        for batch_pass in (self._batch_pass, *self._validation_passes.values()):
            batch_pass.use_team(self._team)
        if self._teachers is not None:
            self._teachers.use_team(self._team)

    def end_at(self, steps: int) -> None:
        """Let the run end at another step. What was scheduled stays; later steps keep the rate it ended with.

        Raises SettingError for a step that is not ahead, and where that rate is 0.
        """
        if steps <= self.step_count:
            raise SettingError(f"steps is {steps:,}; the run is at step {self.step_count:,} already: give more")
        planned = self.config.schedule_steps or self.config.steps
        if steps > planned and self.config.final_lr_fraction == 0.0:
            raise SettingError(
                f"steps is {steps:,}; the run's learning rate ends at 0 with step {planned:,}, so that more steps "
                "would change nothing: fine-tune its model instead"
            )
        self.config = dataclasses.replace(self.config, steps=steps, schedule_steps=planned)

    def step(self, rate: float | None = None) -> StepResult:
        """One optimizer step. rate: of learning, for a trial; None for what the schedule says, as it is done in a run.

        Raises TrainingError after several steps in a row without a finite gradient.
        """
        if rate is None:
            self.replay()
        began = time.perf_counter()
        config = self.config
        loss = 0.0
        for part in range(config.accumulation):
            index = self.step_count * config.accumulation + part
            inputs, targets = batch(self.dataset, index, config)
            key = dropout_key(config.seed, index)
            share = 1.0 / config.accumulation
            lesson = None if self._teachers is None else self._teachers.lesson(inputs)
            loss += share * self._learner.gradients(
                self._batch_pass, inputs, targets, self._gradients, key, share, lesson
            )
        norm = self._optimizer.norm(self._gradients)
        rate = learning_rate(self.step_count, config) if rate is None else rate
        usable = math.isfinite(loss) and math.isfinite(norm)
        if usable:
            self._optimizer.update(self._gradients, rate, norm)
            self._learner.changed()
            self._skipped_in_a_row = 0
            if self._average is not None:
                self._average.add(self.step_count + 1)
        else:
            self._gradients.arena.fill(0.0)
            self.skipped += 1
            self._skipped_in_a_row += 1
        self.step_count += 1
        if self._skipped_in_a_row >= _MOST_SKIPPED:
            raise TrainingError(
                f"the loss was not finite in {_MOST_SKIPPED} steps in a row, up to step {self.step_count}; "
                "the weights are those of the last good step: try a lower learning rate"
            )
        tokens = config.accumulation * config.batch_size * config.context
        return StepResult(self.step_count, loss, rate, norm, tokens / (time.perf_counter() - began), not usable)

    # ------------------------------------------------------------ what is done to the run while it trains

    def prepared(self, event: RunEvent) -> Callable[[], None]:
        """What does as an event says, once called; all that could fail has been done before.

        Raises SettingError for settings that can't be, CheckpointError where the step to go back to can't be had.
        """
        if event.kind == CHANGE:
            take = partial(self._use, changed(self.config, event.values))
        elif event.kind == BACK:
            take = partial(self._take_state, checkpoint_of(self._saved, event.values["to"], _DATA))
        else:
            take = partial(self._use, self.config)

        def act() -> None:
            take()
            self.steering.add(event)

        return act

    def replay(self) -> list[RunEvent]:
        """Do again what was done to the run at this step, when it is a resumed one; returns what was.

        Raises CheckpointError where that can't be done.
        """
        again = []
        while (event := self.steering.due(self.step_count)) is not None:
            self.prepared(event)()
            again.append(event)
        return again

    def _use(self, config: TrainingConfig) -> None:
        self.config = config
        self._learner.use(config)

    def _take_state(self, checkpoint: Checkpoint) -> None:
        """All of it but the settings, which stay."""
        self._restore(checkpoint.step, checkpoint.info, checkpoint.arrays)
        self._learner.changed()
        self._saved = checkpoint.folder

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Within, steps change nothing for good: afterwards every number has the bits that it had before.

        Raises TrainingError where there is no memory for a copy of weights and moments.
        """
        arrays, info = self._state()
        kept = {name: array for name, array in arrays.items() if name not in _DATA}
        size = sum(array.nbytes for array in kept.values())
        require_memory(size, "a copy of weights and moments", TrainingError, "try rates before the run: --find-lr")
        kept, step = {name: array.copy() for name, array in kept.items()}, self.step_count
        try:
            yield
        finally:
            self._gradients.arena.fill(0.0)
            self._restore(step, info, kept)
            self._learner.changed()

    # ------------------------------------------------------------ validation

    def evaluate(self, cancelled: Cancelled | None = None) -> Evaluation:
        """Loss on the validation tokens, in windows of the context without overlap. nan when cancelled.

        Of a long text it is that of `evaluate_tokens` of them, where the settings name a number.
        """
        total = self.validation_nats(cancelled)
        count = len(self.dataset.validation_ids) - 1
        result = Evaluation(self.step_count, total / count, total / self.dataset.validation_chars)
        if result.val_loss < self.best_val_loss:
            self.best_val_loss = result.val_loss
            self.best_step = self.step_count
            self._evaluations_in_vain = 0
        elif self._evaluated_step != self.step_count and not math.isnan(result.val_loss):
            self._evaluations_in_vain += 1
        if not math.isnan(result.val_loss):
            self._evaluated_step = self.step_count
        return result

    def validation_nats(self, cancelled: Cancelled | None = None, parameters: Trainable | None = None) -> float:
        """Total nats of the validation tokens, in windows of the context without overlap. nan when cancelled.

        Where only some of them are read, the others are taken to be like these. parameters: by default the
        `validated_parameters`.
        """
        if parameters is None:
            parameters = self.validated_parameters
        windows = self.dataset.validation_windows(self.config.context, self.config.evaluate_tokens)
        total, read = 0.0, 0
        while group := list(itertools.islice(windows, self.config.validation_batch)):
            if cancelled is not None and cancelled():
                return math.nan
            for length in sorted({len(inputs) for inputs, _ in group}, reverse=True):
                same = [window for window in group if len(window[0]) == length]
                inputs = np.ascontiguousarray([window[0] for window in same], np.int32)
                targets = np.ascontiguousarray([window[1] for window in same], np.int32)
                total += float(self._validation_pass(parameters, inputs.shape).losses(inputs, targets).sum())
                read += targets.size
        wanted = len(self.dataset.validation_ids) - 1
        return total if read == wanted else total / read * wanted

    def _validation_pass(self, parameters: Trainable, shape: tuple[int, ...]) -> BatchPass:
        B, T = shape
        key = (id(parameters), B, T)  # the pass keeps the parameters, so that no others get their id
        if key not in self._validation_passes:
            self._validation_passes[key] = self._learner.validation_pass(parameters, B, T, self._team)
        return self._validation_passes[key]

    # ------------------------------------------------------------ checkpoints

    def save(self, folder: Path | str) -> Path:
        """Write a checkpoint of everything into the run `folder`; returns the checkpoint's own folder.

        Raises CheckpointError when it can't be written; what was there stays.
        """
        arrays, info = self._state()
        self._saved = self._write(Path(folder), arrays, info)
        return self._saved

    def fork(self, folder: Path, origin: str) -> None:
        """Write this run as it is now into another, new folder, where it can go on as this one would.

        origin: what its log calls the folder of this run. Raises CheckpointError when it can't be written.
        """
        forked = self.steering.next(self.step_count, FORKED, {"folder": origin})
        events = [*self.steering.done, forked]
        arrays, info = self._state()
        if self._saved is not None and self.best_step != self.step_count:
            copy_best(self._saved.parent, folder)
        self._write(folder, arrays, info | {"events": [dataclasses.asdict(event) for event in events]})
        write_events(folder, events)

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arrays and the info of a checkpoint, as of now: the arrays themselves, no copies."""
        arrays = {
            self._learner.array: self._learner.trained.arena,
            "first_moment": self._optimizer.first.arena,
            "second_moment": self._optimizer.second.arena,
            "train_ids": self.dataset.train_ids,
            "validation_ids": self.dataset.validation_ids,
        }
        if self._average is not None:
            arrays["average"] = self._average.parameters.arena
        info = {
            "model": dataclasses.asdict(self.model.config),
            "name": self.model.name,
            "training": dataclasses.asdict(self.config),
            "data": {
                "name": self.dataset.name,
                "train_chars": self.dataset.train_chars,
                "validation_chars": self.dataset.validation_chars,
                "fingerprint": self.dataset.fingerprint,
            },
            "updates": self._optimizer.updates,
            "skipped": self.skipped,
            "skipped_in_a_row": self._skipped_in_a_row,
            "best_val_loss": self.best_val_loss if math.isfinite(self.best_val_loss) else None,
            "best_step": self.best_step,
            "evaluated_step": self._evaluated_step,
            "evaluations_in_vain": self._evaluations_in_vain,
            "averaged": self._average.count if self._average is not None else 0,
            "teachers": self._teachers.fingerprint if self._teachers is not None else None,
            "base": self._learner.base(),
            "events": [dataclasses.asdict(event) for event in self.steering.done],
        }
        return arrays, info

    def _write(self, run: Path, arrays: dict[str, Any], info: dict[str, Any]) -> Path:
        tokenizer = self.model.tokenizer
        extra = tokenizer.save if tokenizer is not None else None
        best = self.best_step == self.step_count
        return save_checkpoint(
            run, self.step_count, arrays, info, extra=extra, best=best, constant=_DATA, source=self._saved
        )

    @classmethod
    def resume(cls, folder: Path | str, dataset: TextDataset | None = None, threads: int | None = None) -> Trainer:
        """The trainer as it was at the newest good checkpoint of a run; the next steps equal those of the whole run.

        The checkpoint holds the data as well; a `dataset` given all the same must be equal to it.
        Raises CheckpointError.
        """
        if run_is_free(Path(folder)):
            sweep(Path(folder))
        checkpoint = load_checkpoint(Path(folder), mapped=_DATA)
        require_training(checkpoint)
        info, arrays = checkpoint.info, checkpoint.arrays
        try:
            config = GPT2Config.from_saved(info["model"])
            training = TrainingConfig.from_saved(info["training"])
            data = info["data"]
            saved = saved_dataset(data, arrays)
            if dataset is not None and dataset.fingerprint != data["fingerprint"]:
                raise CheckpointError(
                    f"the run in {shown(folder)} was trained on {shown(data['name'])} ({len(saved.train_ids):,} "
                    f"tokens), not on {shown(dataset.name)} ({len(dataset.train_ids):,} tokens) as it is now"
                )
            tokenizer = Tokenizer.from_folder(checkpoint.folder) if has_tokenizer(checkpoint.folder) else None
            model = saved_model(config, training, info, arrays, tokenizer)
            trainer = cls(model, dataset or saved, training, threads)
            trainer._restore(checkpoint.step, info, arrays)
            trainer.passed_over = checkpoint.passed_over
            where = f"the checkpoint {shown(checkpoint.folder)} can't be used: what was done to its run"
            done = [event_from(event, where) for event in info.get("events", ())]
            log = read_events(Path(folder)) if checkpoint.folder != Path(folder) else []
            trainer.steering = Steering(done, log)
            trainer._saved = checkpoint.folder
        except (AttributeError, KeyError, TypeError, ValueError) as problem:
            where = shown(checkpoint.folder)
            raise CheckpointError(f"the checkpoint {where} can't be used: {shown(problem)}") from problem
        return trainer

    def _restore(self, step: int, info: dict[str, Any], arrays: dict[str, Any]) -> None:
        require_same_base(self._learner, info)
        self._learner.trained.arena[:] = arrays[self._learner.array]
        self.step_count = step
        self._optimizer.first.arena[:] = arrays["first_moment"]
        self._optimizer.second.arena[:] = arrays["second_moment"]
        self._optimizer.updates = info["updates"]
        self.skipped = info["skipped"]
        self._skipped_in_a_row = info["skipped_in_a_row"]
        self.best_val_loss = math.inf if info["best_val_loss"] is None else info["best_val_loss"]
        self.best_step = info["best_step"]
        self._evaluated_step = info.get("evaluated_step", -1)
        self._evaluations_in_vain = info.get("evaluations_in_vain", 0)
        if self._average is not None:
            self._average.parameters.arena[:] = arrays["average"]
            self._average.count = info["averaged"]
        if self._teachers is not None and self._teachers.fingerprint != info["teachers"]:
            raise CheckpointError(
                f"the teachers {shown(self.config.distill)} have other weights than when the run began; it can only go "
                "on with the same ones"
            )
