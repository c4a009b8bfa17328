"""How much memory a training takes, known before any of it is taken, and what would fit where that is too much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sg_core.config import GPT2Config
from sg_core.errors import TrainingError
from sg_core.memory import available_memory
from sg_core.network.adapters import adapter_size
from sg_core.network.precisions import PRECISIONS
from sg_core.network.weights import bytes_read
from sg_core.training.ranks import ALONE, Ranks
from sg_core.training.settings import TrainingConfig
from sg_core.training.slots import rooms_of

_FLOAT = 4  # bytes
_LOGITS = 1 << 25  # bytes of the logits that are there at a time
_SMALL = 1 << 25  # bytes of what grows with neither model nor batch


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes of a training. parameters: weights, gradients and two moments; batch: activations, forward and backward."""

    parameters: int
    batch: int
    validation: int

    @property
    def total(self) -> int:
        return self.parameters + self.batch + self.validation

    def __str__(self) -> str:
        validation = f", {_size(self.validation)} for validation" if self.validation else ""
        return (
            f"{_size(self.total)}: {_size(self.parameters)} for weights, gradients and moments, {_size(self.batch)} "
            f"for the activations of a batch{validation}"
        )


def plan_memory(config: GPT2Config, training: TrainingConfig, ranks: Ranks = ALONE) -> MemoryPlan:
    """What a training of such a model takes at most in a process; the text itself, and teachers, come on top."""
    C, H, V, context = config.n_embd, config.hidden_size, config.vocab_size, training.context
    rows = training.slot_size * context
    forward_width = config.n_layer * (10 * C + 2 * H) + 2 * C  # numbers a row: of each block, and of the two ends
    backward_width = 6 * C + H  # of a backward pass, which serves one block after another

    def logits(rows: int) -> int:
        return max(_FLOAT * V, min(_LOGITS, _FLOAT * V * rows))

    batch = rows * (_FLOAT * (forward_width + backward_width) + 16) + logits(rows) + _SMALL
    if training.adapter is not None and training.adapter.dropout:
        batch += rows * _FLOAT * H
    # a full pass and a smaller last one
    validated = 2 * training.validation_batch * context if training.evaluate_every else 0
    if training.adapter is not None:  # whose validation keeps no activations for a way back
        forward_width = 12 * C + 2 * H
    validation = validated * _FLOAT * forward_width + (2 * logits(validated) if validated else 0)
    return MemoryPlan(_parameters(config, training, ranks), batch, validation)


def loaded_bytes(config: GPT2Config, training: TrainingConfig) -> int:
    """Of the model that a training begins with, once it is loaded."""
    if training.precision == PRECISIONS[0]:
        return _FLOAT * config.parameter_count
    embeddings = (config.vocab_size + config.n_ctx) * config.n_embd
    return bytes_read(config, training.precision) + _FLOAT * embeddings


def _parameters(config: GPT2Config, training: TrainingConfig, ranks: Ranks) -> int:
    """Weights, and of what learns gradients, two moments, and the average. What is frozen has only itself."""
    copies = 1 if training.average == "none" else 2
    gradients = rooms_of(len(ranks.own_slots(training.slots)))
    split = 2 if ranks.size == 1 else 3  # of several processes: moments and a sum of gradients
    learning = config.parameter_count if training.adapter is None else adapter_size(training.adapter, config)
    frozen = 0 if training.adapter is None else loaded_bytes(config, training)
    return frozen + _FLOAT * ((copies + gradients) * learning + -(-split * learning // ranks.size))


def require_training_memory(
    config: GPT2Config, training: TrainingConfig, loaded: int = 0, ranks: Ranks = ALONE
) -> MemoryPlan:
    """The plan, if there is memory for it in each process of this machine; `loaded` bytes of it are taken already.

    Raises TrainingError with the figures and with what would fit.
    """
    plan, free = plan_memory(config, training, ranks), available_memory()
    if free is None or (plan.total - loaded) * ranks.local <= free:
        return plan
    free //= ranks.local
    raise TrainingError(
        f"this training needs {plan}; {_size(free)} are free{' for each process' if ranks.local > 1 else ''}: "
        + _what_fits(training, lambda one: plan_memory(config, one, ranks).total - loaded <= free)
    )


def _what_fits(training: TrainingConfig, fits: Callable[[TrainingConfig], bool]) -> str:
    slots = training.slots
    batch = slots * _largest(training.slot_size, lambda size: fits(replace(training, batch_size=size * slots)))
    context = _largest(training.context, lambda size: fits(replace(training, context=size)))
    found = [f"a batch of {batch:,} would fit"] if batch else []
    found += [f"a context of {context:,} would fit"] if context else []
    return ", ".join(found) or "no batch or context is small enough; choose a smaller model"


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest whole number up to `most` that fits, 0 for none; smaller ones fit if larger ones do."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _size(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 10_000_000 else f"{count / 1e6:,.0f} MB"
