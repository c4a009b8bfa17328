"""Training texts: no byte lost silently, unusable files named, batches from seed and index alone."""

from __future__ import annotations

import numpy as np
import pytest

from sg_core.errors import DataError
from sg_core.text.byte_bpe import SYMBOLS
from sg_core.text.tokenizer import Tokenizer
from sg_core.training.dataset import TextDataset

BYTES = Tokenizer({symbol: byte for byte, symbol in enumerate(SYMBOLS)}, [])  # one token a byte


def dataset(length: int = 1000) -> TextDataset:
    """The characters 0, 1, 2, ... modulo 100, so that a token tells its place."""
    return TextDataset.from_text("count", "".join(chr(place % 100) for place in range(length)), BYTES)


def test_tokenizing_reports_progress_and_can_be_stopped() -> None:
    seen: list[tuple[str, int, int]] = []
    TextDataset.from_text("x", "ab" * 100, BYTES, progress=lambda *state: seen.append(state))
    assert seen == [("tokens of x", 180, 200), ("tokens of x", 200, 200)]
    with pytest.raises(DataError, match="reading the tokens of x was stopped"):
        TextDataset.from_text("x", "ab" * 100, BYTES, cancelled=lambda: True)


def test_the_last_tenth_of_the_characters_validates() -> None:
    data = TextDataset.from_text("x", "é" * 90 + "😀" * 10, BYTES)
    assert (data.train_chars, data.validation_chars) == (90, 10)
    assert (len(data.train_ids), len(data.validation_ids)) == (180, 40)
    assert data.train_ids.dtype == data.validation_ids.dtype == np.int32


def test_a_batch_depends_on_seed_and_index_alone() -> None:
    data = dataset()
    inputs, targets = data.batch(7, 12, 32, seed=3)
    assert inputs.shape == targets.shape == (12, 32)
    assert inputs.dtype == targets.dtype == np.int32
    np.testing.assert_array_equal(targets[:, :-1], inputs[:, 1:])
    np.testing.assert_array_equal(targets, (inputs + 1) % 100)
    data.batch(1, 5, 8, seed=0)
    np.testing.assert_array_equal(dataset().batch(7, 12, 32, seed=3)[0], inputs)
    assert (data.batch(8, 12, 32, seed=3)[0] != inputs).any()
    assert (data.batch(7, 12, 32, seed=4)[0] != inputs).any()


def test_batches_reach_the_first_and_the_last_training_token() -> None:
    data = TextDataset("x", np.arange(10, dtype=np.int32), np.arange(5, dtype=np.int32), 10, 5)
    inputs, targets = data.batch(0, 400, 8, seed=0)
    assert set(inputs[:, 0].tolist()) == {0, 1}
    assert targets.max() == 9
    np.testing.assert_array_equal(data.batch(0, 2, 9, seed=0)[1][:, -1], [9, 9])


def test_a_context_longer_than_the_data_names_both_numbers() -> None:
    with pytest.raises(DataError, match=r"has 900 tokens; a context of 1,024 needs at least 1,025"):
        dataset().batch(0, 1, 1024, seed=0)
    with pytest.raises(DataError, match=r"has 900 tokens; a context of 900 needs at least 901"):
        dataset().require(900)
    dataset().require(899)


def test_a_text_too_short_to_validate_is_refused() -> None:
    with pytest.raises(DataError, match="has 1 characters; at least 10"):
        TextDataset.from_text("x", "a", BYTES)
    with pytest.raises(DataError, match="validation part of x has 1 tokens"):
        TextDataset.from_text("x", "0123456789", BYTES).require(2)


@pytest.mark.parametrize("context", [1, 7, 33, 98, 99, 100, 1000])
def test_validation_windows_predict_every_token_but_the_first_once(context: int) -> None:
    data = dataset()
    windows = list(data.validation_windows(context))
    for inputs, targets in windows:
        assert 1 <= len(inputs) == len(targets) <= context
        np.testing.assert_array_equal(targets, (inputs + 1) % 100)
    assert all(len(inputs) == context for inputs, _ in windows[:-1])
    np.testing.assert_array_equal(np.concatenate([t for _, t in windows]), data.validation_ids[1:])
    np.testing.assert_array_equal(np.concatenate([i for i, _ in windows]), data.validation_ids[:-1])


def test_the_fingerprint_tells_any_change_of_the_tokens() -> None:
    assert dataset().fingerprint == dataset().fingerprint
    train, validation = np.arange(5, dtype=np.int32), np.arange(3, dtype=np.int32)
    one = TextDataset("x", train, validation, 5, 3)
    moved = TextDataset("x", train[:4], np.concatenate([train[4:], validation]), 5, 3)
    assert len({dataset().fingerprint, one.fingerprint, moved.fingerprint, dataset(1001).fingerprint}) == 4


def test_the_end_of_text_between_documents_is_the_end_token() -> None:
    tokenizer = Tokenizer({symbol: id for id, symbol in enumerate(SYMBOLS)} | {"<|endoftext|>": 256}, [])
    text = "one<|endoftext|>two, three" + "<|endoftext|>four and five " * 10
    dataset = TextDataset.from_text("t", text, tokenizer)
    assert dataset.train_ids.tolist()[:5] == [*b"one", 256, ord("t")]
    plain = TextDataset.from_text("t", text, tokenizer, plain=True)
    assert 256 not in plain.train_ids
    assert tokenizer.decode(plain.train_ids.tolist()) == tokenizer.decode(dataset.train_ids.tolist())
