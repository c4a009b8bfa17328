"""Training: steps, validation, and checkpoints from which a run goes on bit for bit."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from sg_core.config import GPT2Config
from sg_core.errors import CheckpointError, DataError, SettingError, TrainingError
from sg_core.files import shown
from sg_core.gpt2 import GPT2
from sg_core.kernels.team import Team, physical_cores
from sg_core.network.adapters import Trainable
from sg_core.network.batch_pass import BatchPass
from sg_core.storage.checkpoint import load_checkpoint, save_checkpoint, sweep
from sg_core.storage.lock import run_is_free
from sg_core.text.tokenizer import Tokenizer
from sg_core.text.tokenizer_files import has_tokenizer
from sg_core.training.averaging import WeightAverage
from sg_core.training.dataset import TextDataset
from sg_core.training.growing_ids import Ids
from sg_core.training.learner import make_learner, require_same_base, saved_model
from sg_core.training.memory_plan import loaded_bytes, require_training_memory
from sg_core.training.muon import make_optimizer
from sg_core.training.optimizer import learning_rate
from sg_core.training.order import batch
from sg_core.training.ranks import ALONE, Ranks
from sg_core.training.results import Evaluation, StepResult
from sg_core.training.saved_state import require_training
from sg_core.training.settings import TrainingConfig
from sg_core.training.slots import SlotTree, windows_of
from sg_core.training.teachers import load_teachers, teacher_sizes
from sg_core.types import Cancelled, FloatArray

_MOST_SKIPPED = 5  # steps in a row with a loss or gradient that is not finite
_DATA = ("train_ids", "validation_ids")  # what all checkpoints of a run hold alike
_MOMENTS = ("first_moment", "second_moment")


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
        self._team = Team(threads or ranks.threads)
        self._learner = make_learner(model, config)
        trained = self._learner.trained
        self._gradients = SlotTree(trained, len(ranks.own_slots(config.slots)))
        self._optimizer = make_optimizer(trained, config, self._team, ranks)
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

    def identity(self) -> str:
        """What is trained, from which weights on, in words and digests."""
        weights = hashlib.sha256(np.ascontiguousarray(self._learner.trained.arena, "<f4").data).hexdigest()
        base, teachers = self._learner.base(), self._teachers and self._teachers.fingerprint
        return f"{self.step_count} {self.config} {self.dataset.fingerprint} {weights} {base} {teachers}"

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
        """One optimizer step. rate: of learning, None for what the schedule says.

        Raises TrainingError after several steps in a row without a finite gradient.
        """
        began = time.perf_counter()
        config = self.config
        with self.ranks.together("step", rate=rate):
            losses = [self._slot(slot) for slot in self.ranks.own_slots(config.slots)]
            self._gradients.finish(self._team)
            loss = sum(self.ranks.gather(losses).tolist())
            gradients = self._optimizer.total(self._gradients.total)
            norm = self._optimizer.norm(gradients)
            rate = learning_rate(self.step_count, config) if rate is None else rate
            usable = math.isfinite(loss) and math.isfinite(norm)
            if usable:
                self._optimizer.update(gradients, rate, norm)
                self._learner.changed()
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
            key = _dropout_key(config.seed, index, part)
            lesson = None if self._teachers is None else self._teachers.lesson(inputs)
            loss += share * self._learner.gradients(
                self._batch_pass, inputs, targets, gradients, key, share, lesson
            )  # fmt: skip
        self._gradients.add(self._team)
        return loss

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
        ranks = self.ranks if parameters is None else ALONE  # others have no other parameters
        learned = self.validated_parameters if parameters is None else parameters
        windows = self.dataset.validation_windows(self.config.context, self.config.evaluate_tokens)
        groups = iter(lambda: list(itertools.islice(windows, self.config.validation_batch)), [])
        total, read = 0.0, 0
        with ranks.together("validate"):
            while some := list(itertools.islice(groups, ranks.size)):  # one for each process
                if ranks.gather([cancelled is not None and cancelled()]).any():
                    return math.nan
                own = some[ranks.rank] if ranks.rank < len(some) else []
                for nats in ranks.gather(self._group_nats(learned, own)).tolist():
                    total += nats
                read += sum(len(targets) for group in some for _, targets in group)
        wanted = len(self.dataset.validation_ids) - 1
        return total if read == wanted else total / read * wanted

    def _group_nats(self, parameters: Trainable, group: list[tuple[Ids, Ids]]) -> list[float]:
        """Total nats of the windows of a group, of those of full length and of shorter ones."""
        nats = [0.0, 0.0]
        for place, length in enumerate(sorted({len(inputs) for inputs, _ in group}, reverse=True)):
            same = [window for window in group if len(window[0]) == length]
            inputs = np.ascontiguousarray([window[0] for window in same], np.int32)
            targets = np.ascontiguousarray([window[1] for window in same], np.int32)
            nats[place] = float(self._validation_pass(parameters, inputs.shape).losses(inputs, targets).sum())
        return nats

    def _validation_pass(self, parameters: Trainable, shape: tuple[int, ...]) -> BatchPass:
        B, T = shape
        key = (id(parameters), B, T)  # the pass keeps the parameters, so that no others get their id
        if key not in self._validation_passes:
            self._validation_passes[key] = self._learner.validation_pass(parameters, B, T, self._team)
        return self._validation_passes[key]

    def save(self, folder: Path | str) -> Path:
        """Write a checkpoint of everything into the run `folder`; returns the checkpoint's own folder.

        Raises CheckpointError when it can't be written; what was there stays.
        """
        arrays = {
            self._learner.array: self._learner.trained.arena,
            "first_moment": self._whole(first=True),
            "second_moment": self._whole(first=False),
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
        }
        tokenizer = self.model.tokenizer
        extra = tokenizer.save if tokenizer is not None else None
        best = self.best_step == self.step_count
        try:
            self._saved = save_checkpoint(
                Path(folder), self.step_count, arrays, info, extra=extra, best=best, constant=_DATA, source=self._saved
            )
        finally:
            if self.ranks.size > 1:
                self.clear_gradients()
        return self._saved

    def collect(self, first: bool) -> FloatArray:
        """The first or the second moments of all numbers, in the room of the gradients, which are zero otherwise."""
        room = self._gradients.total.arena
        with self.ranks.together("collect", first=first):
            self._optimizer.collect(self._optimizer.first if first else self._optimizer.second, room)
        return room

    def clear_gradients(self) -> None:
        """Zeros, as a step wants them."""
        self._gradients.clear()

    def _whole(self, first: bool) -> Any:
        """Moments for a checkpoint: as they are, or to be collected from all processes when they are written."""
        if self.ranks.size > 1:
            return lambda: self.collect(first)
        return self._optimizer.first if first else self._optimizer.second

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
        checkpoint = load_checkpoint(Path(folder), mapped=(*_DATA, *_MOMENTS))
        require_training(checkpoint)
        info, arrays = checkpoint.info, checkpoint.arrays
        try:
            config = GPT2Config.from_saved(info["model"])
            training = TrainingConfig.from_saved(info["training"])
            data = info["data"]
            saved = TextDataset(
                data["name"],
                arrays["train_ids"],
                arrays["validation_ids"],
                data["train_chars"],
                data["validation_chars"],
            )
            if dataset is not None and dataset.fingerprint != data["fingerprint"]:
                raise CheckpointError(
                    f"the run in {shown(folder)} was trained on {shown(data['name'])} ({len(saved.train_ids):,} "
                    f"tokens), not on {shown(dataset.name)} ({len(dataset.train_ids):,} tokens) as it is now"
                )
            tokenizer = Tokenizer.from_folder(checkpoint.folder) if has_tokenizer(checkpoint.folder) else None
            model = saved_model(config, training, info, arrays, tokenizer)
            trainer = cls(model, dataset or saved, training, threads, ranks)
            trainer._restore(checkpoint.step, info, arrays)
            trainer.passed_over = checkpoint.passed_over
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
        if self._teachers is not None and self._teachers.fingerprint != info["teachers"]:
            raise CheckpointError(
                f"the teachers {shown(self.config.distill)} have other weights than when the run began; it can only go "
                "on with the same ones"
            )


def _dropout_key(seed: int, index: int, part: int) -> int:
    """A 32-bit key for the masks of a part of one batch."""
    words = [seed, index, part] if part else [seed, index]
    return int(np.random.SeedSequence(words).generate_state(1)[0])
