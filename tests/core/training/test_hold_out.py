"""What settings are chosen on: parts of the training text, never its last tenth."""

from __future__ import annotations

from pathlib import Path

import pytest

from sg_core import TextDataset
from sg_core.errors import DataError
from sg_core.text.tokenizer import Tokenizer
from sg_core.text.vocabulary import learn_vocabulary
from sg_core.training.hold_out import held_out

PLAY = "\n\n".join(f"Speaker {i % 7}:\nline {i} of the play, said aloud" for i in range(2000)) + "\n"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return learn_vocabulary(PLAY[:20000], 300)


@pytest.fixture(scope="module")
def whole(tokenizer: Tokenizer) -> TextDataset:
    return TextDataset.from_text("play", PLAY, tokenizer)


def texts(dataset: TextDataset, tokenizer: Tokenizer) -> tuple[str, str]:
    return tokenizer.decode(dataset.train_ids.tolist()), tokenizer.decode(dataset.validation_ids.tolist())


@pytest.mark.parametrize("choice", ["scenes", "train-tail"])
def test_whole_blocks_are_held_out_of_the_training_part_alone(
    choice: str, whole: TextDataset, tokenizer: Tokenizer
) -> None:
    found = held_out(whole, choice, tokenizer)
    train, validation = texts(found, tokenizer)
    training_part = PLAY[: whole.train_chars]
    assert len(validation) == found.validation_chars == pytest.approx(0.05 * len(training_part), rel=0.15)
    assert len(train) + len(validation) == found.train_chars + found.validation_chars == len(training_part)
    blocks = validation.strip("\n").split("\n\n")
    # every block is a whole one of the training part, or the last, which the split of the text cuts
    assert set(blocks[:-1]) <= set(training_part.split("\n\n"))
    assert not set(blocks) & set(train.split("\n\n"))
    assert not set(blocks[:-1]) & set(PLAY[whole.train_chars :].split("\n\n"))
    again = held_out(whole, choice, tokenizer)
    assert again.fingerprint == found.fingerprint != whole.fingerprint


def test_scenes_come_from_places_all_over_the_text_and_the_tail_from_its_end(
    whole: TextDataset, tokenizer: Tokenizer
) -> None:
    part = PLAY[: whole.train_chars]
    scenes = texts(held_out(whole, "scenes", tokenizer), tokenizer)[1].split("\n\n")
    places = [part.index(block) / len(part) for block in scenes if block]
    assert len({int(place * 12) for place in places}) == 12
    assert 0.02 < min(places) < max(places) < 0.98
    assert part.endswith(texts(held_out(whole, "train-tail", tokenizer), tokenizer)[1])


def test_a_file_validates_and_the_training_part_stays_whole(
    tmp_path: Path, whole: TextDataset, tokenizer: Tokenizer
) -> None:
    (tmp_path / "other.txt").write_text("another text, to validate on")
    found = held_out(whole, str(tmp_path / "other.txt"), tokenizer)
    assert texts(found, tokenizer) == (PLAY[: whole.train_chars], "another text, to validate on")
    assert found.validation_chars == 28
    with pytest.raises(DataError, match=r"none\.txt"):
        held_out(whole, str(tmp_path / "none.txt"), tokenizer)


def test_nothing_is_held_out_unless_asked_and_a_text_without_blank_lines_is_told(
    whole: TextDataset, tokenizer: Tokenizer
) -> None:
    assert held_out(whole, "", tokenizer) is whole
    flat = TextDataset.from_text("flat", "no blank line " * 100, tokenizer)
    with pytest.raises(DataError, match="blocks between blank lines"):
        held_out(flat, "scenes", tokenizer)
