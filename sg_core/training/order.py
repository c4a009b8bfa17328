"""The order in which windows of the training part are learned from: epochs, reshuffled without replacement."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sg_core.training.dataset import TextDataset
from sg_core.training.growing_ids import Ids
from sg_core.training.settings import TrainingConfig

_EPOCHS = 1  # word of the generator's counter that keeps its numbers apart from those of windows that are drawn


def batch(dataset: TextDataset, index: int, config: TrainingConfig) -> tuple[Ids, Ids]:
    """Inputs and targets, int32 (B, T), of the batch with this index: a pure function of the arguments.

    Raises DataError when the training part is shorter than the context and the token after.
    """
    if config.order == "drawn":
        return dataset.batch(index, config.batch_size, config.context, config.seed)
    dataset.require(config.context)
    starts = _starts(len(dataset.train_ids), index, config)
    places = starts[:, None] + np.arange(config.context)[None, :]  # (B, T)
    return dataset.train_ids[places], dataset.train_ids[places + 1]


def _starts(tokens: int, index: int, config: TrainingConfig) -> npt.NDArray[np.int64]:
    """First places (B,) of the windows of a batch, which may end one epoch and begin the next."""
    windows = _windows(tokens, config.context)
    numbers = range(index * config.batch_size, (index + 1) * config.batch_size)
    return np.array([_epoch(tokens, config.context, config.seed, n // windows)[n % windows] for n in numbers], np.int64)


def _windows(tokens: int, context: int) -> int:
    """Windows of an epoch: as many as fit wherever below the context the first one begins."""
    return max(1, (tokens - context) // context)


@lru_cache(maxsize=2)  # a batch may end one epoch and begin the next
def _epoch(tokens: int, context: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """First places of an epoch's windows, which lie end to end from an offset of its own, in an order of its own."""
    windows = _windows(tokens, context)
    draw = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, _EPOCHS, epoch]))
    offset = int(draw.integers(0, tokens - windows * context))  # the last window's last target is a token too
    return draw.permutation(offset + context * np.arange(windows, dtype=np.int64))


def dropout_key(seed: int, index: int) -> int:
    """A 32-bit key for the masks of one batch."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])
