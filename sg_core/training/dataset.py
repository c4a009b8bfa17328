"""Training texts: where they come from, and how they become batches."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sg_core.errors import DataError
from sg_core.files import open_regular, reason, shown
from sg_core.memory import require_memory
from sg_core.text.tokenizer import Tokenizer
from sg_core.types import Cancelled, Progress

Ids = npt.NDArray[np.int32]

TRAIN_PART = 0.9  # of the characters; the rest, at the end of the text, validates
_CHUNK = 16 << 20


@dataclass(frozen=True, slots=True)
class SourceText:
    """A text to train on. name: what it is called in runs and messages."""

    name: str
    text: str


def read_text(source: str, progress: Progress | None = None, cancelled: Cancelled | None = None) -> SourceText:
    """The text of a source: "tinyshakespeare" (downloaded once, verified), "python-docs", or a text file.

    A file is UTF-8; a byte order mark at its start is dropped, everything else is kept as it is, CRLF too.
    progress: called with (what, bytes done, bytes in all). Raises DataError for a text that can't be used,
    DownloadError when the download fails.
    """
    if source == "python-docs":
        return SourceText(source, _python_docs())
    if source == "tinyshakespeare":
        from sg_core.training.tinyshakespeare import read_tinyshakespeare

        return SourceText(source, _decode(read_tinyshakespeare(progress, cancelled), source))
    path = Path(source).expanduser()
    return SourceText(path.name, _decode(_read_file(path, progress, cancelled), shown(path)))


def _python_docs() -> str:
    """The language reference that every CPython carries, its topics in alphabetical order."""
    try:
        from pydoc_data.topics import topics
    except ImportError as problem:
        raise DataError("this Python carries no language reference (pydoc_data); train on a text file") from problem
    return "\n\n".join(topics[name].strip("\n") for name in sorted(topics)) + "\n"


def _read_file(path: Path, progress: Progress | None, cancelled: Cancelled | None) -> bytearray:
    with open_regular(path, DataError) as file:
        total = os.fstat(file.fileno()).st_size
        # the bytes, the text (1 to 4 bytes a character), its two parts, their tokens
        require_memory(8 * total, f"training on {shown(path)}", DataError, "use a part of the text")
        data = bytearray(total)
        done = 0
        try:
            while count := file.readinto(memoryview(data)[done : done + _CHUNK]):
                done += count
                _go_on(cancelled, f"reading {shown(path)}")
                if progress is not None:
                    progress(path.name, done, total)
        except OSError as problem:
            raise DataError(f"{shown(path)} can't be read: {reason(problem)}") from problem
    del data[done:]
    return data


def _go_on(cancelled: Cancelled | None, what: str) -> None:
    if cancelled is not None and cancelled():
        raise DataError(f"{what} was stopped")


def _decode(data: bytes | bytearray, where: str) -> str:
    if not data:
        raise DataError(f"{where} is empty; a text to train on is needed")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{where} is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8")
    if (null := data.find(b"\0")) >= 0:
        raise DataError(f"{where} is not text: it has a NUL byte at byte {null:,}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise DataError(
            f"{where} is not UTF-8: byte {problem.start:,} (line {line:,}) is 0x{data[problem.start]:02x}; "
            "convert it first, for example with iconv -f LATIN1 -t UTF-8"
        ) from problem
    return text.removeprefix("\ufeff")


@dataclass(frozen=True)
class TextDataset:
    """A tokenized text, split into a training and a validation part.

    train_ids, validation_ids: int32, 1-D. train_chars, validation_chars: the characters they stand for.
    """

    name: str
    train_ids: Ids
    validation_ids: Ids
    train_chars: int
    validation_chars: int

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
        """The first 90% of the characters train, the last 10% validate.

        Special tokens in the text, "<|endoftext|>" between documents, are ids; not where it is `plain` text.
        progress: called with ("tokens of NAME", characters done, characters in all). Raises DataError for a text
        too short to split, and when stopped.
        """
        train, validation = split_text(text)
        if not train or not validation:
            raise DataError(f"{shown(name)} has {len(text)} characters; at least 10 are needed to train and validate")
        ids: list[Ids] = []
        done = 0
        for part in (train, validation):
            pieces: list[Ids] = []
            for characters, piece in tokenizer.encode_pieces(part, special=not plain):
                _go_on(cancelled, f"reading the tokens of {shown(name)}")
                pieces.append(np.array(piece, dtype=np.int32))
                done += characters
                if progress is not None:
                    progress(f"tokens of {name}", done, len(text))
            ids.append(np.concatenate(pieces))
        return cls(name, ids[0], ids[1], len(train), len(validation))

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


def split_text(text: str) -> tuple[str, str]:
    """The training part (first 90% of the characters) and the validation part (the rest)."""
    place = int(len(text) * TRAIN_PART)
    return text[:place], text[place:]
