"""How much memory a training takes, known before any of it is taken, and what would fit where that is too much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sg_core.config import GPT2Config
from sg_core.errors import TrainingError
from sg_core.memory import available_memory
from sg_core.network.adapters import adapter_size
from sg_core.network.precisions import PRECISIONS, Precision
from sg_core.network.weights import bytes_read
from sg_core.training.ranks import ALONE, Ranks
from sg_core.training.settings import TrainingConfig
from sg_core.training.slots import rooms_of

_FLOAT = 4  # bytes
_LOGITS = 1 << 25  # bytes of the logits that are there at a time
_SMALL = 1 << 25  # bytes of what grows with neither model nor batch


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes of a training. learned: numbers of what learns; batch: activations, forward and backward.

    teachers: their weights, their activations, and what they say of a batch. rooms: gradients of slots held at a time;
    processes: that share moments, and a sum of gradients.
    """

    weights: int
    learned: int
    averaged: bool
    batch: int
    validation: int
    teachers: int
    rooms: int = 1
    processes: int = 1

    @property
    def parameters(self) -> int:
        """Weights, gradients, two moments and the average."""
        return self.weights + self.gradients + self.moments + self.average

    @property
    def gradients(self) -> int:
        one = _FLOAT * self.learned
        return self.rooms * one + (-(-one // self.processes) if self.processes > 1 else 0)

    @property
    def moments(self) -> int:
        return -(-2 * _FLOAT * self.learned // self.processes)

    @property
    def average(self) -> int:
        return _FLOAT * self.learned if self.averaged else 0

    @property
    def total(self) -> int:
        """All of it; the text itself comes on top."""
        return self.parameters + self.batch + self.validation + self.teachers

    @property
    def parts(self) -> dict[str, int]:
        """What for -> bytes, without what is not needed."""
        parts = {
            "weights": self.weights,
            "gradients": self.gradients,
            "moments": self.moments,
            "average": self.average,
            "activations": self.batch,
            "validation": self.validation,
            "teachers": self.teachers,
        }
        return {name: size for name, size in parts.items() if size}

    def __str__(self) -> str:
        validation = f", {size_text(self.validation)} for validation" if self.validation else ""
        teachers = f", {size_text(self.teachers)} for teachers" if self.teachers else ""
        return (
            f"{size_text(self.total)}: {size_text(self.parameters)} for weights, gradients and moments, "
            f"{size_text(self.batch)} for the activations of a batch{validation}{teachers}"
        )


def plan_memory(
    config: GPT2Config, training: TrainingConfig, teachers: Sequence[GPT2Config] = (), ranks: Ranks = ALONE
) -> MemoryPlan:
    """What a training of such a model, with teachers of these sizes, takes at most in each process.

    The text itself comes on top.
    """
    C, H, V, context = config.n_embd, config.hidden_size, config.vocab_size, training.context
    rows = training.slot_size * context
    forward_width = config.n_layer * (10 * C + 2 * H) + 2 * C  # numbers a row: of each block, and of the two ends
    if training.recompute == "on":
        forward_width = config.n_layer * C + 9 * C + 2 * H + 2 * C
    backward_width = 6 * C + H  # of a backward pass, which serves one block after another

    def logits(rows: int) -> int:
        return max(_FLOAT * V, min(_LOGITS, _FLOAT * V * rows))

    batch = rows * (_FLOAT * (forward_width + backward_width) + 16) + logits(rows) + _SMALL
    if training.adapter is not None and training.adapter.dropout:
        batch += rows * _FLOAT * H
    # a full pass and a smaller last one
    validated = 2 * training.validation_batch * context if training.evaluate_every else 0
    if (
        training.adapter is not None or training.recompute == "on"
    ):  # whose validation keeps no activations for a way back
        forward_width = _one_way(config) - V
    validation = validated * _FLOAT * forward_width + (2 * logits(validated) if validated else 0)
    taught = sum(_FLOAT * (one.parameter_count + rows * _one_way(one)) for one in teachers)
    soft = _FLOAT * rows * V if teachers else 0
    adapter = training.adapter
    return MemoryPlan(
        weights=_weights(config, training),
        learned=config.parameter_count if adapter is None else adapter_size(adapter, config),
        averaged=training.average != "none",
        batch=batch,
        validation=validation,
        teachers=taught + soft,
        rooms=rooms_of(len(ranks.own_slots(training.slots))),
        processes=ranks.size,
    )


def _one_way(config: GPT2Config) -> int:
    """Numbers a row of activations that are not kept for a way back, and of its logits."""
    return 12 * config.n_embd + 2 * config.hidden_size + config.vocab_size


def loaded_bytes(config: GPT2Config, training: TrainingConfig) -> int:
    """Of the model that a training begins with, once it is loaded."""
    if training.precision == PRECISIONS[0]:
        return _FLOAT * config.parameter_count
    embeddings = (config.vocab_size + config.n_ctx) * config.n_embd
    return bytes_read(config, Precision.named(training.precision)) + _FLOAT * embeddings


def _weights(config: GPT2Config, training: TrainingConfig) -> int:
    """What is frozen has only itself, beside the adapter that learns."""
    if training.adapter is None:
        return _FLOAT * config.parameter_count
    return loaded_bytes(config, training) + _FLOAT * adapter_size(training.adapter, config)


def require_training_memory(
    config: GPT2Config,
    training: TrainingConfig,
    loaded: int = 0,
    teachers: Sequence[GPT2Config] = (),
    ranks: Ranks = ALONE,
) -> MemoryPlan:
    """The plan, if there is memory for it in each process of this machine; `loaded` bytes of it are taken already.

    Raises TrainingError with the figures and with what would fit.
    """
    plan, free = plan_memory(config, training, teachers, ranks), available_memory()
    if free is None or (plan.total - loaded) * ranks.local <= free:
        return plan
    free //= ranks.local
    raise TrainingError(
        f"this training needs {plan}; {size_text(free)} are free{' for each process' if ranks.local > 1 else ''}: "
        + _what_fits(training, lambda one: plan_memory(config, one, teachers, ranks).total - loaded <= free)
    )


def advice(config: GPT2Config, training: TrainingConfig, free: int) -> str:
    """What would fit into so many bytes, in words."""
    return _what_fits(training, lambda one: plan_memory(config, one).total <= free)


def _what_fits(training: TrainingConfig, fits: Callable[[TrainingConfig], bool]) -> str:
    again = training if training.lora else replace(training, recompute="on")
    found = ["--recompute would make it fit, in about a third more time"] if fits(again) else []
    if words := _batch_that_fits(training, fits):
        found.append(words)
    elif not found and (words := _batch_that_fits(again, fits)):
        found.append(f"with --recompute {words}")
    context = _largest(training.context, lambda size: fits(replace(training, context=size)))
    found += [f"a context of {context:,} would fit"] if context else []
    return ", ".join(found) or "no batch or context is small enough; choose a smaller model"


def _batch_that_fits(training: TrainingConfig, fits: Callable[[TrainingConfig], bool]) -> str:
    """The largest batch, and in how many parts the same step is made of ones that fit; empty for none."""
    slots, pieces = training.slots, training.batch_size // training.slot_size
    batch = pieces * _largest(training.slot_size, lambda size: fits(replace(training, batch_size=size * pieces)))
    if not batch:
        return ""
    windows = training.accumulation * training.batch_size
    sizes = (size for size in range(batch, 0, -1) if training.batch_size % size == 0)
    part = next((size for size in sizes if size % slots == 0 or windows // size % slots == 0), 0)
    same = f" (--batch-size {part} --accumulation {windows // part} makes the same step of it)" if part else ""
    return f"a batch of {batch:,} would fit{same}"


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest whole number up to `most` that fits, 0 for none; smaller ones fit if larger ones do."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def size_text(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1e9:,.2f} GB" if count >= 10_000_000 else f"{count / 1e6:,.0f} MB"
