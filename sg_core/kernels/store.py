"""Compiled kernels as files: what is read is what was written, or nothing.

A kernel compiled for one list of argument types is a pair of files, called after the kernel and a key that stands for
all its machine code depends on. `NAME-KEY.SUM.nbc` is the code; SUM begins its SHA-256. `NAME-KEY.nbi` is the seal:
a line of JSON that holds the whole sum, then the sum of that line. The code is written first and is never changed, the
seal last: a process killed at any moment leaves a good pair or one that is ignored, and so do two that write at once.

Nothing here is missed: whoever finds no good pair compiles again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sg_core import notices
from sg_core.errors import KernelError
from sg_core.files import read_bytes, reason, replacing, shown

_MOST_BYTES = 1 << 28  # of a file that is read: far more than any kernel has
_LEFT_OVER = 3600.0  # seconds after which a file that nothing names is no longer being written
_KEPT_FOLDERS = 3  # of the newest versions of the sources, this one among them
_VERSION = re.compile("[0-9a-f]{16}")  # the name of such a folder


class _DamagedError(Exception):
    """A file is not as it was written."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What a pair holds: the kernel, the types of its arguments as text, the key, and the SHA-256 of the code."""

    kernel: str
    types: list[str]
    key: str
    sha256: str

    @property
    def stem(self) -> str:
        """How the names of both files begin."""
        return f"{self.kernel}-{self.key[:16]}"

    def packed(self) -> bytes:
        """The bytes of the .nbi file."""
        line = json.dumps(asdict(self)).encode("ascii")
        return line + b"\n" + _sum(line).encode("ascii") + b"\n"

    @classmethod
    def unpacked(cls, data: bytes) -> Seal:
        """The seal of a .nbi file. Raises _DamagedError."""
        line, _, rest = data.partition(b"\n")
        if rest != _sum(line).encode("ascii") + b"\n":
            raise _DamagedError
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):  # sealed all the same, but not by this program
            raise _DamagedError from None


class KernelStore:
    """The compiled kernels in a folder, which is made when the first one is kept. It never fails: it tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, kernel: str, key: str) -> bytes | None:
        """The code that was kept; None when there is none, or it is damaged or someone else's, which is told."""
        try:
            seal = self._seal(self.folder / f"{kernel}-{key[:16]}.nbi")
            if seal is None or (seal.kernel, seal.key) != (kernel, key):
                return None
            return self._code(seal)
        except _DamagedError:
            notices.tell(
                f"compiled kernels in {shown(self.folder)} are damaged; they are compiled again, which takes a while"
            )
            return None

    def save(self, kernel: str, types: list[str], key: str, code: bytes) -> None:
        """Keep code; where that can't be done it is told."""
        seal = Seal(kernel, types, key, _sum(code))
        try:
            self._make_folder()
            _write(self._code_path(seal), code)
            _write(self.folder / f"{seal.stem}.nbi", seal.packed())
        except (KernelError, OSError) as problem:
            notices.tell(
                f"compiled kernels can't be kept in {shown(self.folder)}: {_why(problem)}; "
                "they stay in memory, and the next start compiles them again"
            )
        else:
            self._sweep_left_overs(seal)

    def survey(self, kernel: str = "*") -> tuple[list[Seal], int]:
        """The seals of all good pairs, or of one kernel's, and the number of damaged ones. Every byte is read."""
        good: list[Seal] = []
        damaged = 0
        for path in sorted(self.folder.glob(f"{kernel}-*.nbi")):
            try:
                seal = self._seal(path)
                if seal is not None and self._code(seal) is not None:
                    good.append(seal)
            except _DamagedError:
                damaged += 1
        return good, damaged

    def refusal(self) -> str:
        """Why nothing can be kept in the folder, "" when something can: tried, not guessed."""
        probe = self.folder / f".{os.getpid()}.part"
        try:
            self._make_folder()
            _write(probe, bytes(1 << 20))
        except (KernelError, OSError) as problem:
            return _why(problem)
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
        return ""

    # ------------------------------------------------------------ files

    def _seal(self, path: Path) -> Seal | None:
        data = self._read(path)
        return None if data is None else Seal.unpacked(data)

    def _code(self, seal: Seal) -> bytes | None:
        code = self._read(self._code_path(seal))
        if code is not None and _sum(code) != seal.sha256:
            raise _DamagedError
        return code

    def _code_path(self, seal: Seal) -> Path:
        return self.folder / f"{seal.stem}.{seal.sha256[:16]}.nbc"

    def _read(self, path: Path) -> bytes | None:
        """A file of ours; None when it is not there, or someone else may have written it. Raises _DamagedError."""
        try:
            for place in (self.folder, path):
                if not _ours(place.stat()):
                    self._tell_foreign()
                    return None
            return read_bytes(path, _MOST_BYTES, KernelError)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, KernelError):  # it is there and can't be read: a folder in its place, no right, a bad disk
            raise _DamagedError from None

    def _tell_foreign(self) -> None:
        notices.tell(
            f"compiled kernels in {shown(self.folder)} are not used: others than you own or may write them; "
            "yours are compiled again"
        )

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _ours(self.folder.stat()):
            raise KernelError("others than you own it or may write into it")

    def _sweep_left_overs(self, seal: Seal) -> None:
        """Of writers that were killed: parts of files, and code that no seal names."""
        current = self._code_path(seal)
        for path in (*self.folder.glob(".*.part"), *self.folder.glob(f"{seal.stem}.*.nbc")):
            with contextlib.suppress(OSError):
                if path != current and time.time() - path.stat().st_mtime > _LEFT_OVER:
                    path.unlink()


def sweep_versions(current: Path) -> None:
    """Remove the folders of older sources beside `current`, but for the newest ones: other versions may be in use."""

    def folders() -> Iterator[tuple[float, Path]]:
        for path in current.parent.iterdir():
            if path != current and _VERSION.fullmatch(path.name):
                found = path.lstat()
                if stat.S_ISDIR(found.st_mode) and _ours(found):
                    yield found.st_mtime, path

    if not _VERSION.fullmatch(current.name):  # a folder that the user chose
        return
    with contextlib.suppress(OSError):
        for _, path in sorted(folders(), reverse=True)[_KEPT_FOLDERS - 1 :]:
            shutil.rmtree(path, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    if path.is_dir():  # in the place of a file of ours, in a folder of ours
        shutil.rmtree(path)
    with replacing(path, KernelError) as file:
        file.write(data)


def _why(problem: KernelError | OSError) -> str:
    """The reason alone: the folder is named beside it."""
    cause = problem if isinstance(problem, OSError) else problem.__cause__
    return reason(cause) if isinstance(cause, OSError) else str(problem)


def _ours(found: os.stat_result) -> bool:
    """Whether nobody else can have written it: loading compiled code runs it."""
    if sys.platform == "win32":  # files have no such mode: folders of a user's profile are that user's
        return True
    return found.st_uid == os.getuid() and not found.st_mode & stat.S_IWOTH


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
