"""Teachers of a run: trained models, the mean of whose probabilities a student learns from as well as from the text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from sg_core.config import GPT2Config
from sg_core.errors import CheckpointError, TrainingError
from sg_core.files import shown
from sg_core.gpt2 import GPT2
from sg_core.kernels.team import Team
from sg_core.memory import aligned
from sg_core.network.backward import soft_targets
from sg_core.network.batch_pass import BatchPass, Lesson
from sg_core.storage.hub import resolve
from sg_core.storage.pretrained import read_config
from sg_core.training.growing_ids import Ids
from sg_core.training.settings import TrainingConfig


class Teachers:
    """Models that are asked about each slot, one after another. Raises TrainingError for one that can't teach.

    Takes, beside the models, their activations of one slot each and B*T*V float32 numbers.
    """

    def __init__(self, models: Sequence[GPT2], student: GPT2, config: TrainingConfig, team: Team) -> None:
        for model in models:
            _require_fitting(model, student, config.context)
        self._models = models
        self._config = config
        self._passes = [
            BatchPass(model.parameters, config.slot_size, config.context, team, gradients=False) for model in models
        ]
        self._soft = aligned(config.slot_size * config.context, student.config.vocab_size)
        self.use_team(team)

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of all their weights: a resumed run learns from the same ones."""
        digest = hashlib.sha256()
        for model in self._models:
            digest.update(np.ascontiguousarray(model.parameters.arena, dtype="<f4").data)
        return digest.hexdigest()

    def require_same(self, fingerprint: str) -> None:
        """Raises CheckpointError where they have other weights than when the run began."""
        if fingerprint != self.fingerprint:
            raise CheckpointError(
                f"the teachers {shown(self._config.distill)} have other weights than when the run began; it can only "
                "go on with the same ones"
            )

    def use_team(self, team: Team) -> None:
        """Compute with these threads from now on."""
        self._team = team
        for batch_pass in self._passes:
            batch_pass.use_team(team)

    def lesson(self, inputs: Ids) -> Lesson:
        """The mean of their probabilities after each token of inputs (B, T), good until the next call."""
        temperature, share = np.float32(self._config.distill_temperature), np.float32(1.0 / len(self._models))
        self._soft.fill(0.0)
        for batch_pass in self._passes:
            self._team.run(soft_targets, self._soft, batch_pass.logits(inputs), temperature, share)
        return Lesson(self._soft, self._config.distill_mix, self._config.distill_temperature)


def teacher_sizes(config: TrainingConfig) -> list[GPT2Config]:
    """Of the models that the settings name, without their weights. Raises ModelFileError."""
    return [read_config(resolve(name)) for name in config.teachers]


def load_teachers(student: GPT2, config: TrainingConfig, team: Team) -> Teachers | None:
    """The teachers that the settings name, None for none.

    Raises ModelFileError for one that can't be loaded, TrainingError for one that can't teach this student.
    """
    if not config.teachers:
        return None
    return Teachers([GPT2.from_pretrained(name) for name in config.teachers], student, config, team)


def _require_fitting(teacher: GPT2, student: GPT2, context: int) -> None:
    name = shown(teacher.name)
    if teacher.config.n_ctx < context:
        raise TrainingError(f"the teacher {name} has a context of {teacher.config.n_ctx:,}; the run's is {context:,}")
    theirs, own = teacher.config.vocab_size, student.config.vocab_size
    if theirs != own:
        raise TrainingError(
            f"the teacher {name} has {theirs:,} tokens, the student {own:,}; both need the same vocabulary"
        )
    if teacher.tokenizer is None or student.tokenizer is None:
        return
    for id in range(own):
        if teacher.tokenizer.token_bytes(id) != student.tokenizer.token_bytes(id):
            raise TrainingError(
                f"the teacher {name} and the student have other texts for token {id:,}; both need the same vocabulary: "
                "train them on the same text with the same --vocab-size"
            )
