"""A file layer that fails: the n-th write, sync or rename under a folder, and with `lasting` all that follow it.

    for failing in every_failure(folder, monkeypatch):   # the first, the second, ... until nothing is left to fail
        with failing:
            ...

Counts what Python's own functions do: `open` and `os.fdopen` (whose files fail at write and flush), `os.write`,
`os.fsync`, `os.rename`, `os.replace`, `os.mkdir`, `os.unlink` stays whole, as it is on a full disk.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

MOST = 500  # failures that are tried before a test is given up


class Failing:
    """Within the block the n-th change fails with ENOSPC, or with EIO when it is a sync."""

    def __init__(self, folder: Path, nth: int, lasting: bool) -> None:
        self.folder, self.nth, self.lasting = str(folder), nth, lasting
        self.count = 0
        self.failed = False
        self._patch = pytest.MonkeyPatch()

    def change(self, path: object, kind: str) -> None:
        """One change of a file is about to be made."""
        if not str(os.fspath(path) if isinstance(path, str | os.PathLike) else path).startswith(self.folder):
            return
        self.count += 1
        if self.count == self.nth or (self.lasting and self.count > self.nth):
            self.failed = True
            number = errno.EIO if kind == "fsync" else errno.ENOSPC
            raise OSError(number, os.strerror(number), str(path))

    def __enter__(self) -> Failing:
        names: dict[int, str] = {}
        real_open, real_os_open = builtins.open, os.open

        def os_open(path: Any, *arguments: Any, **named: Any) -> int:
            descriptor = real_os_open(path, *arguments, **named)
            names[descriptor] = str(path)
            return descriptor

        def opened(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            found = real_open(file, mode, *arguments, **named)
            name = names.get(file, "") if isinstance(file, int) else os.fspath(file)
            if isinstance(file, str | os.PathLike):
                names[found.fileno()] = str(name)
            writes = any(one in mode for one in "wax+")
            return Proxy(found, str(name), self) if writes else found

        def counted(name: str, kind: str, described: bool = False) -> None:
            real = getattr(os, name)

            def call(first: Any, *arguments: Any, **named: Any) -> Any:
                path = names.get(first, "") if described and isinstance(first, int) else first
                self.change(path, kind)
                return real(first, *arguments, **named)

            self._patch.setattr(os, name, call)

        self._patch.setattr(os, "open", os_open)
        self._patch.setattr(builtins, "open", opened)
        self._patch.setattr(io, "open", opened)
        self._patch.setattr(os, "fdopen", opened)
        for name in ("rename", "replace", "mkdir"):
            counted(name, name)
        for name in ("write", "fsync", "ftruncate"):
            counted(name, name, described=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patch.undo()


class Proxy:
    """An open file whose writes are counted."""

    def __init__(self, file: Any, name: str, failing: Failing) -> None:
        self._file, self._name, self._failing = file, name, failing

    def write(self, data: Any) -> Any:
        self._failing.change(self._name, "write")
        return self._file.write(data)

    def __enter__(self) -> Proxy:
        self._file.__enter__()
        return self

    def __exit__(self, *arguments: Any) -> Any:
        return self._file.__exit__(*arguments)

    def __iter__(self) -> Any:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def every_failure(folder: Path, lasting: bool = False) -> Iterator[Failing]:
    """A layer that fails at the first change, one that fails at the second, ... and at last one that never did."""
    for nth in range(1, MOST):
        failing = Failing(folder, nth, lasting)
        yield failing
        if not failing.failed:
            assert nth > 1, "nothing was there to fail"
            return
    raise AssertionError(f"still failing after {MOST} attempts")
