"""Parts of the training text that settings are chosen on, so that the validation text is read once, at the end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sg_core.errors import DataError
from sg_core.files import shown
from sg_core.memory import require_memory
from sg_core.text.tokenizer import Tokenizer
from sg_core.training.dataset import TextDataset
from sg_core.training.settings import PARTS

SHARE = 0.05  # of the characters of the training part
SCENES = 12  # places of the text that held-out scenes come from, spread evenly


def held_out(dataset: TextDataset, choice: str, tokenizer: Tokenizer, *, plain: bool = False) -> TextDataset:
    """The dataset with another validation part; the one it had is nowhere in it.

    choice: "train-tail", the last 5% of the training part; "scenes", as much in runs of whole blocks (what blank lines
    separate, speeches of a play) from SCENES places; or a text file, beside a whole training part; "" changes
    nothing. A pure function of the arguments. Raises DataError for a text with too few blocks, or a file that is none.
    """
    if not choice:
        return dataset
    if choice not in PARTS:
        return _on_file(dataset, choice, tokenizer, plain)
    what = f"choosing what of {shown(dataset.name)} is held out"
    require_memory(40 * len(dataset.train_ids), what, DataError, "hold out a text file (--hold-out FILE)")
    sizes = np.array([len(tokenizer.token_bytes(id)) for id in range(dataset.highest_id + 1)])
    text_at = np.concatenate(([0], np.cumsum(sizes[dataset.train_ids])))  # in bytes, int64
    ends = _block_ends(dataset, tokenizer, text_at)
    places = 1 if choice == "train-tail" else SCENES
    out = np.zeros(len(dataset.train_ids), bool)
    for number in range(places):
        start, stop = int(text_at[-1]) * number / places, int(text_at[-1]) * (number + 1) / places
        size = SHARE * (stop - start)
        # a scene ends where its stretch of the text does, or in the middle of it where there are several
        begin = stop - size if places == 1 else (start + stop - size) / 2
        first, last = _nearest(ends, text_at, begin), _nearest(ends, text_at, begin + size)
        out[first:last] = True
    if not out.any() or out.all():
        raise DataError(
            f"{shown(dataset.name)} has too few blocks between blank lines to hold out {choice}; use a longer text, or "
            "a text file (--hold-out FILE)"
        )
    validation = dataset.train_ids[out]
    characters = len(tokenizer.decode(validation.tolist()))
    return replace(
        dataset,
        train_ids=dataset.train_ids[~out],
        validation_ids=validation,
        train_chars=dataset.train_chars - characters,
        validation_chars=characters,
    )


def _block_ends(dataset: TextDataset, tokenizer: Tokenizer, text_at: npt.NDArray[np.int64]) -> list[int]:
    """Tokens that begin a block: those behind a blank line or an end token, the first, and the one after the last."""
    text = b"".join(tokenizer.token_bytes(int(id)) for id in dataset.train_ids)
    found = {0, len(dataset.train_ids)}
    place = text.find(b"\n\n")
    while place >= 0:
        found.add(int(np.searchsorted(text_at, place + 2)))
        place = text.find(b"\n\n", place + 2)
    if tokenizer.end_of_text is not None:
        found.update((np.flatnonzero(dataset.train_ids == tokenizer.end_of_text) + 1).tolist())
    return sorted(found)


def _nearest(ends: list[int], text_at: npt.NDArray[np.int64], byte: float) -> int:
    """The block's first token that lies nearest to a byte of the text."""
    return min(ends, key=lambda token: abs(int(text_at[token]) - byte))


def _on_file(dataset: TextDataset, source: str, tokenizer: Tokenizer, plain: bool) -> TextDataset:
    from sg_core.training.texts import read_texts

    texts = read_texts([source])
    ids = tokenizer.encode(texts.beginning(texts.characters), special=not plain)
    return replace(dataset, validation_ids=np.array(ids, np.int32), validation_chars=texts.characters)
