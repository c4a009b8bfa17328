"""Settings of a training run, and the named presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sg_core.checks import require_fields
from sg_core.config import GPT2Config
from sg_core.errors import SettingError
from sg_core.network.lora_settings import LoraSettings
from sg_core.setting import check_settings, choice, setting, words

_VALIDATION_BATCH = 16  # windows a pass
PARTS = ("scenes", "train-tail")  # of the training text, that can be held out
FIELD = "text"  # of a JSON line: holds its text


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Everything that decides a training run besides the data and the first weights.

    AdamW or Muon with decoupled decay on matrices only, linear warm-up, decay to `learning_rate * final_lr_fraction`,
    where the rate stays if more steps follow than were scheduled.
    Raises SettingError when a value is out of range.
    """

    steps: int = setting(2000, 1, 1 << 31, "optimizer steps in all")
    batch_size: int = setting(12, 1, 1 << 16, "windows of text in a batch")
    context: int = setting(128, 1, 1 << 20, "tokens of a window (T); a new model sees as many")
    accumulation: int = setting(1, 1, 1 << 16, "batches whose gradients are averaged for one step")
    slots: int = setting(
        1,
        1,
        1 << 10,
        "parts of a batch, or of those accumulated, computed one after another or in processes",
    )
    learning_rate: float = setting(2e-3, 0.0, 10.0, "highest learning rate", option="--lr")
    final_lr_fraction: float = setting(0.1, 0.0, 1.0, "of the highest rate, reached at the last step")
    warmup_steps: int = setting(100, 0, 1 << 31, "steps of linear warm-up", option="--warmup")
    beta1: float = setting(0.9, 0.0, 0.9999, "of AdamW")
    beta2: float = setting(0.99, 0.0, 0.999999, "of AdamW")
    adam_epsilon: float = setting(1e-8, 1e-12, 1.0, "of AdamW", option="")
    weight_decay: float = setting(0.1, 0.0, 100.0, "of the matrices")
    clip_norm: float = setting(1.0, 0.0, 1e6, "largest norm of the gradient; 0 does not clip", option="--clip")
    # after the embeddings, on attention weights, on each residual branch
    dropout: float = setting(0.1, 0.0, 0.9, "share of activations dropped")
    evaluate_every: int = setting(250, 0, 1 << 31, "steps between two validations; 0 never", option="--eval-every")
    evaluate_tokens: int = setting(
        0, 0, 1 << 31, "tokens that a validation reads, spread over its part; 0 all", option="--eval-tokens"
    )
    save_every: int = setting(250, 0, 1 << 31, "steps between two checkpoints; 0 only at the end")
    seed: int = setting(0, 0, (1 << 63) - 1, "of the first weights, the batches and dropout")
    schedule_steps: int = setting(0, 0, 1 << 31, "after which the rate stays at its final value; 0: all", option="")

    order: str = choice("drawn", ("drawn", "shuffled"), "of windows: drawn with replacement, or each once an epoch")
    schedule: str = choice("cosine", ("cosine", "wsd", "linear"), "of the rate; wsd: warm-up, stable, decay")
    decay_fraction: float = setting(0.2, 0.0, 1.0, "of the steps, at the end, in which wsd decays")
    optimizer: str = choice("adamw", ("adamw", "muon"), "muon: for the matrices of the blocks, AdamW for the rest")
    momentum: float = setting(0.95, 0.0, 0.9999, "of Muon")
    average: str = choice("none", ("none", "ema", "mean"), "of the weights, which is validated and exported")
    average_half_life: int = setting(200, 1, 1 << 31, "steps after which weights count half as much in an ema")
    average_fraction: float = setting(0.2, 0.0, 1.0, "of the steps, at the end, of whose weights the mean is taken")
    patience: int = setting(0, 0, 1 << 31, "validations without a lower loss before the run stops; 0 never")
    export: str = choice("best", ("best", "last"), "checkpoint that becomes the model in OUT/model")
    hold_out: str = words("validate on 5% of the training part instead: scenes or train-tail; or on a text file")
    distill: str = words("teachers to learn from, models with the same vocabulary, separated by commas")
    distill_mix: float = setting(0.5, 0.0, 1.0, "share of the teachers in the loss; the text has the rest")
    distill_temperature: float = setting(1.0, 0.1, 100.0, "of the teachers' and the student's probabilities")

    recompute: str = choice(
        "off", ("off", "on"), "activations of each block in the backward pass: less memory, about a third more time"
    )
    lora: str = words("train an adapter, PEFT's files: r=8,alpha=16,dropout=0.05,targets=c_attn,c_proj")
    precision: str = choice("f32", ("f32", "bf16", "int8"), "of the model that an adapter is trained on")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.batch_size % self.slots and self.accumulation % self.slots:
            raise SettingError(
                f"batch_size is {self.batch_size}, which {self.slots} slots don't divide: take {_multiples(self)}, or "
                f"an accumulation that they divide"
            )
        if self.lora:
            LoraSettings.parse(self.lora)
            if self.recompute != "off":
                raise SettingError("recompute is on; the activations of an adapter's training are always kept")
            if self.optimizer != "adamw":
                raise SettingError(f"optimizer is {self.optimizer}; an adapter is trained with adamw")
        elif self.precision != "f32":
            raise SettingError(f"precision is {self.precision}; weights that learn are f32: others need lora")

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> TrainingConfig:
        """The settings of a checkpoint or request; what an earlier version did not write means what it did then.

        Raises SettingError, also for a name that is no setting.
        """
        require_fields(cls, saved)
        return cls(**{"order": "drawn", "export": "last", **saved})

    @property
    def slot_size(self) -> int:
        """Windows of a batch that a slot computes at a time: its part of each batch, or all of some batches."""
        return self.batch_size if self.batch_size % self.slots else self.batch_size // self.slots

    @property
    def adapter(self) -> LoraSettings | None:
        """What adapter is trained; None where all weights are."""
        return LoraSettings.parse(self.lora) if self.lora else None

    @property
    def validation_batch(self) -> int:
        """Windows of a validation pass; few where a large model is tuned in little memory."""
        return min(_VALIDATION_BATCH, max(4, self.batch_size)) if self.lora else _VALIDATION_BATCH

    @property
    def teachers(self) -> tuple[str, ...]:
        """Names of the models to learn from."""
        return tuple(name.strip() for name in self.distill.split(",") if name.strip())


def _multiples(config: TrainingConfig) -> str:
    below = config.batch_size // config.slots * config.slots
    return " or ".join(f"{size:,}" for size in (below, below + config.slots) if size)


@dataclass(frozen=True, slots=True)
class Preset:
    """A model to train from nothing; its vocabulary, of `config.vocab_size` entries, is learned from the text."""

    config: GPT2Config
    training: TrainingConfig
    description: str


# the whole context, 65,536 tokens a step, a window at a time
_LARGE = TrainingConfig(
    steps=2000,
    batch_size=1,
    context=1024,
    accumulation=64,
    learning_rate=6e-4,
    beta2=0.95,
    dropout=0.0,
    evaluate_tokens=1 << 16,
)
PRESETS: dict[str, Preset] = {
    "tiny": Preset(
        GPT2Config(vocab_size=512, n_ctx=64, n_layer=4, n_head=4, n_embd=128),
        TrainingConfig(steps=2000, batch_size=12, context=64, learning_rate=2e-3),
        "0.9 M parameters: learns to write lines in a minute",
    ),
    "tinyshakespeare": Preset(
        GPT2Config(vocab_size=1024, n_ctx=128, n_layer=4, n_head=4, n_embd=256),
        TrainingConfig(
            steps=20000,
            batch_size=8,
            context=128,
            dropout=0.35,
            evaluate_every=500,
            save_every=500,
            seed=1,
            order="drawn",
            export="last",  # as the shipped model was trained
        ),
        "3.5 M parameters: the shipped model",
    ),
    "gpt2": Preset(GPT2Config.gpt2(), _LARGE, "124 M parameters: GPT-2 from nothing"),
    "gpt2-medium": Preset(GPT2Config.gpt2_medium(), _LARGE, "355 M parameters: GPT-2 medium from nothing"),
    "gpt2-large": Preset(GPT2Config.gpt2_large(), _LARGE, "774 M parameters: GPT-2 large from nothing"),
    "gpt2-xl": Preset(GPT2Config.gpt2_xl(), _LARGE, "1,558 M parameters: GPT-2 XL from nothing"),
}

NEW_MODEL = "new model"  # the name of one that begins from nothing, until it is saved
FINE_TUNE = "fine-tune"  # what is done to a model that is there, beside the names of PRESETS
_FINE_TUNING = TrainingConfig(
    steps=500,
    batch_size=8,
    context=256,
    learning_rate=3e-4,
    warmup_steps=50,
    dropout=0.1,
    evaluate_tokens=1 << 16,
)


def fine_tuning(n_ctx: int) -> TrainingConfig:
    """The settings to fine-tune a model with, whose context is `n_ctx`."""
    return replace(_FINE_TUNING, context=min(_FINE_TUNING.context, n_ctx))
