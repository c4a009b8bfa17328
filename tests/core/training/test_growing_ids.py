"""Ids of a long text lie in a file: the same numbers, little memory, and one line where there is no room."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sg_core.errors import DataError
from sg_core.text.byte_bpe import SYMBOLS
from sg_core.text.tokenizer import Tokenizer
from sg_core.training import growing_ids
from sg_core.training.dataset import TextDataset
from sg_core.training.growing_ids import GrowingIds, chunks

BYTES = Tokenizer({symbol: byte for byte, symbol in enumerate([*SYMBOLS, "<|endoftext|>"])}, [])  # one token a byte
TEXT = "What light is this, that burns upon the hill?\n\n" * 90


@pytest.fixture
def few_in_memory(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(growing_ids, "IN_MEMORY", 1000)
    monkeypatch.setattr(growing_ids, "CHUNK", 300)
    return home


def test_a_long_text_has_the_same_ids_in_a_file(few_in_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = TextDataset.from_text("long", TEXT, BYTES)
    monkeypatch.setattr(growing_ids, "IN_MEMORY", 1 << 20)
    short = TextDataset.from_text("long", TEXT, BYTES)
    assert np.array_equal(long.train_ids, short.train_ids)
    assert np.array_equal(long.validation_ids, short.validation_ids)
    assert (long.fingerprint, long.highest_id) == (short.fingerprint, short.highest_id)
    assert not long.train_ids.flags.writeable
    for one, other in zip(long.batch(3, 4, 16, 1), short.batch(3, 4, 16, 1), strict=True):
        assert np.array_equal(one, other)
        assert one.dtype == np.int32


def test_the_file_has_no_name_that_could_be_left_behind(few_in_memory: Path) -> None:
    ids = GrowingIds("x")
    ids.add(range(5000))
    array = ids.array()
    del ids
    assert [part.tolist() for part in chunks(array)][1] == list(range(300, 600))
    assert array.sum() == 5000 * 4999 // 2
    assert not [path for path in few_in_memory.rglob("*") if path.is_file()]


def test_a_full_disk_is_told_in_one_line(few_in_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: Full())
    ids = GrowingIds("two.txt")
    ids.add(range(999))
    with pytest.raises(DataError, match=r"the tokens of two\.txt don't fit into .*: no space left on device"):
        ids.add(range(2))


def test_validation_of_a_long_text_reads_windows_spread_over_it() -> None:
    data = TextDataset.from_text("long", TEXT, BYTES)
    every = list(data.validation_windows(8))
    some = list(data.validation_windows(8, 40))
    assert len(some) == 5
    starts = [next(number for number, one in enumerate(every) if np.shares_memory(one[0], two[0])) for two in some]
    assert starts == [number * len(every) // 5 for number in range(5)]
    assert len(list(data.validation_windows(8, 10**6))) == len(every)
