"""Token ids as they come from a text of any length: in memory while they are few, else in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO

import numpy as np
import numpy.typing as npt

from sg_core import paths
from sg_core.errors import DataError
from sg_core.files import make_folder, reason, shown
from sg_core.memory import give_back, require_memory

Ids = npt.NDArray[np.int32]

IN_MEMORY = 1 << 24  # ids; more lie in a file
CHUNK = 1 << 22  # ids that are looked at at a time


class GrowingIds:
    """An array that grows. What does not fit into memory lies in a file without a name, in the folder of caches, which
    is gone with the last array that reads it.

    name: of the text, for messages. Methods raise DataError where there is no room.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._ids: Ids = np.empty(1 << 16, np.int32)
        self._count = 0
        self._file: IO[bytes] | None = None

    def add(self, ids: Sequence[int]) -> None:
        """Put ids at the end."""
        needed = self._count + len(ids)
        if self._file is None and needed > IN_MEMORY:
            self._open()
        if self._file is not None:
            self._write(np.array(ids, np.int32))
        else:
            if needed > len(self._ids):
                self._grow(min(IN_MEMORY, max(needed, len(self._ids) * 5 // 4)))
            self._ids[self._count : needed] = ids
        self._count = needed

    def array(self) -> Ids:
        """All of them, int32; read-only where they lie in a file."""
        if self._file is None:
            self._ids.resize(self._count, refcheck=False)
            return self._ids
        with suppress(OSError):
            self._file.flush()
        return np.asarray(np.memmap(self._file, np.int32, "r", shape=(self._count,)))

    def _grow(self, size: int) -> None:
        what = f"training on {shown(self._name)}, of which {self._count:,} tokens are read,"
        require_memory(4 * (size - len(self._ids)), what, DataError, "use a part of the text")
        self._ids.resize(size, refcheck=False)

    def _open(self) -> None:
        folder = paths.cache_dir()
        make_folder(folder, DataError)
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (lives as long as who reads it)
        except OSError as problem:
            raise self._full(problem) from problem
        self._write(self._ids[: self._count])
        self._ids = np.empty(0, np.int32)

    def _write(self, ids: Ids) -> None:
        assert self._file is not None
        try:
            self._file.write(ids.data)
        except OSError as problem:
            raise self._full(problem) from problem

    def _full(self, problem: OSError) -> DataError:
        return DataError(
            f"the tokens of {shown(self._name)} don't fit into {shown(paths.cache_dir())}: {reason(problem)}; "
            "make room, or use a part of the text"
        )


def chunks(ids: Ids) -> Iterator[Ids]:
    """All ids, a part at a time, of which only one is in memory where they lie in a file."""
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]
        give_back(ids)
