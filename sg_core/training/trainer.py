"""Training: steps, validation, and checkpoints from which a run goes on bit for bit."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sg_core.config import GPT2Config
from sg_core.errors import CheckpointError, TrainingError
from sg_core.files import shown
from sg_core.gpt2 import GPT2
from sg_core.kernels.team import Team, physical_cores
from sg_core.memory import require_memory
from sg_core.network.adapters import Trainable
from sg_core.storage.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, sweep
from sg_core.storage.copies import copy_best
from sg_core.storage.lock import run_is_free
from sg_core.storage.run_log import BACK, CHANGE, FORKED, RunEvent, event_from, read_events, write_events
from sg_core.text.tokenizer import Tokenizer
from sg_core.text.tokenizer_files import has_tokenizer
from sg_core.training.averaging import WeightAverage
from sg_core.training.dataset import TextDataset
from sg_core.training.layers import LayerWatch
from sg_core.training.learner import make_learner, require_same_base, saved_model
from sg_core.training.memory_plan import loaded_bytes, require_training_memory
from sg_core.training.muon import make_optimizer
from sg_core.training.optimizer import learning_rate
from sg_core.training.order import batch, dropout_key
from sg_core.training.ranks import ALONE, Ranks
from sg_core.training.results import Evaluation, StepResult
from sg_core.training.saved_state import checkpoint_of, facts, require_fitting, require_training, saved_dataset
from sg_core.training.settings import TrainingConfig
from sg_core.training.shared_state import MOMENTS, SharedState
from sg_core.training.slots import SlotTree, windows_of
from sg_core.training.steering import Steering, changed, ended_at
from sg_core.training.teachers import load_teachers, teacher_sizes
from sg_core.training.validation import Validation
from sg_core.types import Cancelled, FloatArray

_MOST_SKIPPED = 5  # steps in a row with a loss or gradient that is not finite
_DATA = ("train_ids", "validation_ids")  # what all checkpoints of a run hold alike


class Trainer:
    """Trains `model` on `dataset`. Every number depends on the data, the settings and the step alone.

    ranks: the processes that share the work, of which each has such a trainer. The first one's methods are called; the
    others `follow` them.
    """

    def __init__(
        self,
        model: GPT2,
        dataset: TextDataset,
        config: TrainingConfig,
        threads: int | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        ranks.require_slots(config.slots)
        require_fitting(model, dataset, config)
        self.memory_plan = require_training_memory(
            model.config, config, loaded_bytes(model.config, config), teacher_sizes(config), ranks
        )
        self.model = model
        self.dataset = dataset
        self.config = config
        self.ranks = ranks
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
        self._team = Team(threads or ranks.threads)
        self._learner = make_learner(model, config)
        trained = self._learner.trained
        self._gradients = SlotTree(trained, len(ranks.own_slots(config.slots)))
        self._optimizer = make_optimizer(trained, config, self._team, ranks)
        self.watch = LayerWatch(trained, self._optimizer.own, ranks)
        self._average = WeightAverage(trained, config) if config.average != "none" else None
        self._teachers = load_teachers(model, config, self._team)
        self._batch_pass = self._learner.batch_pass(self._team)
        self._validation = Validation(self._learner, dataset, config, self._team)
        self.shared = SharedState(trained, self._optimizer, self._average, self._gradients, ranks)

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

    def identity(self) -> str:
        """What is trained, from which weights on, in words and digests."""
        base, teachers = self._learner.base(), self._teachers and self._teachers.fingerprint
        return f"{self.step_count} {self.config} {self.dataset.fingerprint} {self.shared.digest()} {base} {teachers}"

    def use_threads(self, threads: int | None) -> None:
        """Compute with so many from the next batch on, None: physical cores. No bit of the training depends on it."""
        self._team = self._optimizer.team = Team(threads or physical_cores())
        self._batch_pass.use_team(self._team)
        self._validation.use_team(self._team)
        if self._teachers is not None:
            self._teachers.use_team(self._team)

    def end_at(self, steps: int) -> None:
        """Let the run end at another step. What was scheduled stays; later steps keep the rate it ended with.

        Raises SettingError for a step that is not ahead, and where that rate is 0.
        """
        self.config = ended_at(self.config, steps, self.step_count)

    def step(self, rate: float | None = None) -> StepResult:
        """One optimizer step. rate: of learning, for a trial; None for what the schedule says, as it is done in a run.

        Raises TrainingError after several steps in a row without a finite gradient.
        """
        if rate is None and self.ranks.rank == 0:
            self.replay()
        began = time.perf_counter()
        config = self.config
        with self.ranks.together("step", rate=rate, watch=self.watch.every):
            losses = [self._slot(slot) for slot in self.ranks.own_slots(config.slots)]
            self._gradients.finish(self._team)
            loss = sum(self.ranks.gather(losses).tolist())
            gradients = self._optimizer.total(self._gradients.total)
            norm = self._optimizer.norm(gradients)
            self.watch.before(self.step_count + 1, gradients, self._batch_pass)
            rate = learning_rate(self.step_count, config) if rate is None else rate
            usable = math.isfinite(loss) and math.isfinite(norm)
            if usable:
                self._optimizer.update(gradients, rate, norm)
                self._learner.changed()
                self.watch.after()
                self._skipped_in_a_row = 0
                if self._average is not None:
                    self._average.add(self.step_count + 1)
            else:
                self._gradients.clear()
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

    def _slot(self, slot: int) -> float:
        """Adds the gradients of a slot; returns what it adds to the loss."""
        config, gradients, loss = self.config, self._gradients.leaf(), 0.0
        share = config.slot_size / (config.accumulation * config.batch_size)
        for number, part, windows in windows_of(slot, config):
            index = self.step_count * config.accumulation + number
            inputs, targets = (ids[windows] for ids in batch(self.dataset, index, config))
            key = dropout_key(config.seed, index, part)
            lesson = None if self._teachers is None else self._teachers.lesson(inputs)
            loss += share * self._learner.gradients(self._batch_pass, inputs, targets, gradients, key, share, lesson)
        self._gradients.add(self._team)
        return loss

    # ------------------------------------------------------------ what is done to the run while it trains

    def prepared(self, event: RunEvent) -> Callable[[], None]:
        """What does as an event says, once called; all that could fail has been done before.

        Raises SettingError for settings that can't be, CheckpointError where the step to go back to can't be had.
        """
        if event.kind == CHANGE:
            take = partial(self.use, changed(self.config, event.values))
        elif event.kind == BACK:
            take = partial(self._take_state, checkpoint_of(self._saved, event.values["to"], (*_DATA, *MOMENTS)))
        else:
            take = partial(self.use, self.config)

        def act() -> None:
            take()
            self.steering.add(event)

        return act

    def replay(self) -> list[RunEvent]:
        """Do again what was done to a resumed run at this step; returns that. Raises CheckpointError where it can't."""
        again = []
        while (event := self.steering.due(self.step_count)) is not None:
            self.prepared(event)()
            again.append(event)
        return again

    def use(self, config: TrainingConfig) -> None:
        """Train with these settings from now on, in all processes."""
        with self.ranks.together("use", settings=dataclasses.asdict(config)):
            self.config = config
            self._learner.use(config)

    def take(self, step: int, updates: int, averaged: int, arrays: Mapping[str, FloatArray] | None = None) -> None:
        """Go on from this step with the numbers that the first process gives, in all processes."""
        with self.ranks.together("take", step=step, updates=updates, averaged=averaged):
            self.step_count = step
            if self.ranks.size > 1:
                self.shared.hand_out(arrays, updates, averaged)
            self._learner.changed()

    def _take_state(self, checkpoint: Checkpoint) -> None:
        """All of it but the settings, which stay."""
        self._go_back(checkpoint.step, checkpoint.info, checkpoint.arrays)
        self._saved = checkpoint.folder

    def _go_back(self, step: int, info: dict[str, Any], arrays: dict[str, Any]) -> None:
        self._restore(step, info, arrays)
        self.take(step, info["updates"], info["averaged"], arrays | {"weights": arrays[self._learner.array]})

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Within, steps change nothing for good: afterwards every number has the bits that it had before.

        Raises TrainingError where there is no memory for a copy of weights and moments.
        """
        arrays, info = self._state()
        learned = [(name, found) for name, found in arrays.items() if name not in _DATA]
        size = len(learned) * self._learner.trained.arena.nbytes
        require_memory(size, "a copy of weights and moments", TrainingError, "try rates before the run: --find-lr")
        kept = {name: np.array(found() if callable(found) else found) for name, found in learned}
        self.shared.clear()
        step = self.step_count
        try:
            yield
        finally:
            self.shared.clear()
            self._go_back(step, info, kept)

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
        if parameters is not None:  # the other processes have no such ones
            return self._validation.nats(parameters, cancelled, ALONE)
        with self.ranks.together("validate"):
            return self._validation.nats(self.validated_parameters, cancelled, self.ranks)

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
            **self.shared.moments(),
            "train_ids": self.dataset.train_ids,
            "validation_ids": self.dataset.validation_ids,
        }
        if self._average is not None:
            arrays["average"] = self._average.parameters.arena
        info = {
            **facts(self.model, self.dataset, self.config),
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
        try:
            return save_checkpoint(
                run, self.step_count, arrays, info, extra=extra, best=best, constant=_DATA, source=self._saved
            )
        finally:
            if self.ranks.size > 1:
                self.shared.clear()

    @classmethod
    def resume(
        cls,
        folder: Path | str,
        dataset: TextDataset | None = None,
        threads: int | None = None,
        ranks: Ranks = ALONE,
    ) -> Trainer:
        """The trainer as it was at the newest good checkpoint of a run; the next steps equal those of the whole run.

        The checkpoint holds the data as well; a `dataset` given all the same must be equal to it.
        Raises CheckpointError.
        """
        if ranks.rank == 0 and run_is_free(Path(folder)):
            sweep(Path(folder))
        checkpoint = load_checkpoint(Path(folder), mapped=(*_DATA, *MOMENTS))
        require_training(checkpoint)
        info, arrays = checkpoint.info, checkpoint.arrays
        try:
            config = GPT2Config.from_saved(info["model"])
            training = TrainingConfig.from_saved(info["training"])
            text = saved_dataset(info["data"], arrays, dataset, folder)
            tokenizer = Tokenizer.from_folder(checkpoint.folder) if has_tokenizer(checkpoint.folder) else None
            model = saved_model(config, training, info, arrays, tokenizer)
            trainer = cls(model, text, training, threads, ranks)
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
        self._optimizer.restore(arrays["first_moment"], arrays["second_moment"], info["updates"])
        self.skipped = info["skipped"]
        self._skipped_in_a_row = info["skipped_in_a_row"]
        self.best_val_loss = math.inf if info["best_val_loss"] is None else info["best_val_loss"]
        self.best_step = info["best_step"]
        self._evaluated_step = info.get("evaluated_step", -1)
        self._evaluations_in_vain = info.get("evaluations_in_vain", 0)
        if self._average is not None:
            self._average.parameters.arena[:] = arrays["average"]
            self._average.count = info["averaged"]
        if self._teachers is not None:
            self._teachers.require_same(info["teachers"])
