"""Epochs: every window once, in an order and from an offset of its own, by seed and step alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_core import TextDataset, TrainingConfig
from sg_core.errors import DataError
from sg_core.training.order import batch

SETTINGS = TrainingConfig(order="shuffled", batch_size=4, context=16, seed=3)


def dataset(tokens: int) -> TextDataset:
    ids = np.arange(tokens, dtype=np.int32)  # a token is its own place
    return TextDataset("places", ids, ids[:2], tokens, 2)


def windows(tokens: int, count: int, settings: TrainingConfig = SETTINGS) -> list[int]:
    """First places of so many windows, in the order of training."""
    batches = -(-count // settings.batch_size)
    starts = [start for i in range(batches) for start in batch(dataset(tokens), i, settings)[0][:, 0].tolist()]
    return starts[:count]


@given(st.integers(17, 400), st.integers(0, 2**63 - 1))
def test_an_epoch_has_windows_laid_end_to_end_each_once(tokens: int, seed: int) -> None:
    count = max(1, (tokens - 16) // 16)
    starts = windows(tokens, 2 * count, replace(SETTINGS, seed=seed))
    for epoch in (starts[:count], starts[count:]):
        assert sorted(epoch) == [min(epoch) + 16 * i for i in range(count)]
        assert 0 <= min(epoch) <= max(epoch) < tokens - 16


def test_epochs_differ_in_offset_and_order_and_together_read_every_token() -> None:
    starts = windows(600, 36 * 60)
    epochs = [starts[i : i + 36] for i in range(0, len(starts), 36)]
    assert len({min(epoch) for epoch in epochs}) > 15
    assert all(epoch != sorted(epoch) for epoch in epochs)
    assert {start + i for start in starts for i in range(17)} == set(range(600))


def test_a_batch_depends_on_its_index_and_the_seed_alone() -> None:
    later = batch(dataset(600), 30, SETTINGS)
    for index in range(31):
        again = batch(dataset(600), index, SETTINGS)
    assert np.array_equal(again, later)
    assert not np.array_equal(batch(dataset(600), 30, replace(SETTINGS, seed=4)), later)
    assert np.array_equal(later[0] + 1, later[1])  # targets are the tokens after


def test_runs_of_version_0_1_keep_drawing_with_replacement() -> None:
    saved = {"steps": 10, "batch_size": 4, "context": 16, "seed": 3}  # without the field
    old = TrainingConfig.from_saved(saved)
    assert (old.order, old.export) == ("drawn", "last")
    assert np.array_equal(batch(dataset(600), 7, old), dataset(600).batch(7, 4, 16, 3))
    assert TrainingConfig.from_saved({**saved, "order": "shuffled"}).order == "shuffled"
    assert TrainingConfig().order == "drawn"


def test_a_text_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(DataError, match="at least 17"):
        batch(dataset(16), 0, SETTINGS)
