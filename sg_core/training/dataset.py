"""Texts as tokens, in a training and a validation part, and how they become batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sg_core.errors import DataError
from sg_core.files import shown
from sg_core.text.tokenizer import Tokenizer
from sg_core.training.growing_ids import GrowingIds, Ids, chunks
from sg_core.training.texts import Texts
from sg_core.types import Cancelled, Progress

TRAIN_PART = 0.9  # of the characters; the rest, at the end of the text, validates


@dataclass(frozen=True)
class TextDataset:
    """A tokenized text, split into a training and a validation part.

    train_ids, validation_ids: int32, 1-D; of a long text they lie in a file. train_chars, validation_chars: the
    characters they stand for. left_out: files that were in the folders of the text and are none.
    """

    name: str
    train_ids: Ids
    validation_ids: Ids
    train_chars: int
    validation_chars: int
    left_out: tuple[str, ...] = ()

    @classmethod
    def from_text(
        cls,
        name: str,
        text: str,
        tokenizer: Tokenizer,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        *,
        plain: bool = False,
    ) -> TextDataset:
        """As `from_texts`, of one document."""
        return cls.from_texts(Texts.of(name, text), tokenizer, progress, cancelled, plain=plain)

    @classmethod
    def from_texts(
        cls,
        texts: Texts,
        tokenizer: Tokenizer,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        *,
        plain: bool = False,
    ) -> TextDataset:
        """The first 90% of the characters train, the last 10% validate. Between two documents stands the end token of
        the vocabulary, or a line break where it has none.

        Special tokens in the text, "<|endoftext|>" between documents, are ids; not where it is `plain` text.
        progress: called with ("tokens of NAME", characters done, characters in all). Raises DataError for a text
        too short to split, and when stopped.
        """
        name, place = texts.name, train_characters(texts)
        if not 0 < place < texts.characters:
            raise DataError(
                f"{shown(name)} has {texts.characters} characters; at least 10 are needed to train and validate"
            )
        end = tokenizer.encode_part("\n", special=False) if tokenizer.end_of_text is None else [tokenizer.end_of_text]
        train, validation = GrowingIds(name), GrowingIds(name)
        done = position = 0

        def read(part: str, ids: GrowingIds) -> None:
            nonlocal done
            for characters, piece in tokenizer.encode_pieces(part, special=not plain):
                if cancelled is not None and cancelled():
                    raise DataError(f"reading the tokens of {shown(name)} was stopped")
                ids.add(piece)
                done += characters
                if progress is not None:
                    progress(f"tokens of {name}", done, texts.characters)

        for piece in texts.pieces():
            if piece is None:
                (train if position <= place else validation).add(end)
                continue
            before = max(0, place - position)
            position += len(piece)
            for part, ids in ((piece[:before], train), (piece[before:], validation)):
                if part:
                    read(part, ids)
        return cls(name, train.array(), validation.array(), place, texts.characters - place, texts.left_out)

    def require(self, context: int) -> None:
        """Raises DataError when a part is too short for windows of `context` tokens and the token after."""
        if len(self.train_ids) <= context:
            raise DataError(
                f"the training part of {shown(self.name)} has {len(self.train_ids):,} tokens; a context of "
                f"{context:,} needs at least {context + 1:,}: use a longer text or a shorter context"
            )
        if len(self.validation_ids) < 2:
            raise DataError(
                f"the validation part of {shown(self.name)} has {len(self.validation_ids)} tokens; "
                "at least 2 are needed: use a longer text"
            )

    def batch(self, index: int, batch_size: int, context: int, seed: int) -> tuple[Ids, Ids]:
        """Inputs and targets of the batch with this index, int32 (B, T): a pure function of the arguments.

        B windows start at places drawn uniformly; targets are the inputs one token later.
        Raises DataError when the training part is shorter than context + 1.
        """
        self.require(context)
        draw = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, index]))
        starts = draw.integers(0, len(self.train_ids) - context, size=batch_size)  # (B,)
        places = starts[:, None] + np.arange(context)[None, :]  # (B, T)
        return self.train_ids[places], self.train_ids[places + 1]

    def validation_windows(self, context: int, most: int = 0) -> Iterator[tuple[Ids, Ids]]:
        """Inputs and targets, int32 (T,), of windows without overlap; the last one may be shorter.

        Every validation token but the first is a target exactly once; or, where they are more than `most`, as many of
        them as whole windows hold, evenly spread. Raises DataError if there is none.
        """
        ids = self.validation_ids
        self.require(1)
        windows = -(-(len(ids) - 1) // context)
        wanted = min(windows, max(1, most // context)) if 0 < most < len(ids) - 1 else windows
        for number in range(wanted):
            start = context * (number * windows // wanted)
            yield ids[start : min(start + context, len(ids) - 1)], ids[start + 1 : start + context + 1]

    @cached_property
    def highest_id(self) -> int:
        """Of all the ids."""
        return max(int(part.max()) for ids in (self.train_ids, self.validation_ids) for part in chunks(ids))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of both parts: equal for two datasets exactly if training on them is the same."""
        digest = hashlib.sha256()
        for ids in (self.train_ids, self.validation_ids):
            digest.update(len(ids).to_bytes(8, "little"))
            for part in chunks(ids):
                digest.update(np.ascontiguousarray(part, dtype="<i4").data)
        return digest.hexdigest()


def train_characters(texts: Texts) -> int:
    """How many characters of a text, at its beginning, train."""
    return int(texts.characters * TRAIN_PART)
