"""Settings of a training run, and the named presets."""

from __future__ import annotations

from dataclasses import dataclass

from sg_core.checks import number, whole
from sg_core.config import GPT2Config


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Everything that decides a training run besides the data and the first weights.

    AdamW with decoupled decay on matrices only, linear warm-up, cosine decay to `learning_rate * final_lr_fraction`.
    Raises SettingError when a value is out of range.
    """

    steps: int = 2000
    batch_size: int = 12
    context: int = 128  # T, at most the model's n_ctx
    accumulation: int = 1  # batches whose gradients are averaged for one step
    learning_rate: float = 2e-3
    final_lr_fraction: float = 0.1
    warmup_steps: int = 100
    beta1: float = 0.9
    beta2: float = 0.99
    adam_epsilon: float = 1e-8
    weight_decay: float = 0.1
    clip_norm: float = 1.0  # 0 does not clip
    dropout: float = 0.1  # after the embeddings, on attention weights, on each residual branch
    evaluate_every: int = 250  # steps; 0 never
    save_every: int = 250  # steps; 0 only at the end
    seed: int = 0

    def __post_init__(self) -> None:
        whole_numbers = {
            "steps": (1, 1 << 31), "batch_size": (1, 1 << 16), "context": (1, 1 << 20), "accumulation": (1, 1 << 16),
            "warmup_steps": (0, 1 << 31), "evaluate_every": (0, 1 << 31), "save_every": (0, 1 << 31),
            "seed": (0, (1 << 63) - 1),
        }  # fmt: skip
        for name, (low, high) in whole_numbers.items():
            whole(name, getattr(self, name), low, high)
        real = {
            "learning_rate": (0.0, 10.0), "final_lr_fraction": (0.0, 1.0),
            "beta1": (0.0, 0.9999), "beta2": (0.0, 0.999999),
            "adam_epsilon": (1e-12, 1.0), "weight_decay": (0.0, 10.0), "clip_norm": (0.0, 1e6), "dropout": (0.0, 0.9),
        }  # fmt: skip
        for name, (least, most) in real.items():
            number(name, getattr(self, name), least, most)


@dataclass(frozen=True, slots=True)
class Preset:
    """A model to train from nothing; its vocabulary, of `config.vocab_size` entries, is learned from the text."""

    config: GPT2Config
    training: TrainingConfig
    description: str


PRESETS: dict[str, Preset] = {
    "tiny": Preset(
        GPT2Config(vocab_size=512, n_ctx=64, n_layer=4, n_head=4, n_embd=128),
        TrainingConfig(steps=2000, batch_size=12, context=64, learning_rate=2e-3),
        "0.9 M parameters: learns to write lines in a minute",
    ),
    "tinyshakespeare": Preset(
        GPT2Config(vocab_size=1024, n_ctx=128, n_layer=4, n_head=4, n_embd=256),
        TrainingConfig(
            steps=20000, batch_size=8, context=128, dropout=0.35, evaluate_every=500, save_every=500, seed=1
        ),
        "3.5 M parameters: the shipped model",
    ),
}
