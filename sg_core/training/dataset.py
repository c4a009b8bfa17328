"""Texts as tokens, in a training and a validation part, and how they become batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sg_core.errors import DataError
from sg_core.files import shown
from sg_core.memory import require_memory
from sg_core.text.tokenizer import Tokenizer
from sg_core.training.texts import Texts
from sg_core.types import Cancelled, Progress

Ids = npt.NDArray[np.int32]

TRAIN_PART = 0.9  # of the characters; the rest, at the end of the text, validates


@dataclass(frozen=True)
class TextDataset:
    """A tokenized text, split into a training and a validation part.

    train_ids, validation_ids: int32, 1-D. train_chars, validation_chars: the characters they stand for. left_out: files
    that were in the folders of the text and are none.
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
        train, validation = _Ids(name), _Ids(name)
        done = position = 0

        def read(part: str, ids: _Ids) -> None:
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

    def validation_windows(self, context: int) -> list[tuple[Ids, Ids]]:
        """Inputs and targets, int32 (T,), of windows without overlap; the last one may be shorter.

        Every validation token but the first is a target exactly once. Raises DataError if there is none.
        """
        ids = self.validation_ids
        self.require(1)
        return [
            (ids[start : min(start + context, len(ids) - 1)], ids[start + 1 : start + context + 1])
            for start in range(0, len(ids) - 1, context)
        ]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of both parts: equal for two datasets exactly if training on them is the same."""
        digest = hashlib.sha256()
        for ids in (self.train_ids, self.validation_ids):
            digest.update(len(ids).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(ids, dtype="<i4").tobytes())
        return digest.hexdigest()


class _Ids:
    """An array that grows, in place, as ids come."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ids: Ids = np.empty(1 << 16, np.int32)
        self._count = 0

    def add(self, ids: Sequence[int]) -> None:
        """Raises DataError when there is no memory for more."""
        needed = self._count + len(ids)
        if needed > len(self._ids):
            grown = max(needed, len(self._ids) * 5 // 4)
            what = f"training on {shown(self._name)}, of which {self._count:,} tokens are read,"
            require_memory(4 * (grown - len(self._ids)), what, DataError, "use a part of the text")
            self._ids.resize(grown, refcheck=False)
        self._ids[self._count : needed] = ids
        self._count = needed

    def array(self) -> Ids:
        """All of them, int32."""
        self._ids.resize(self._count, refcheck=False)
        return self._ids


def train_characters(texts: Texts) -> int:
    """How many characters of a text, at its beginning, train."""
    return int(texts.characters * TRAIN_PART)
