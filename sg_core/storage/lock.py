"""A lock on a file that lasts as long as its process: the system lets it go, however that ends.

The file holds the number of the process, for people and messages; who holds the lock, the system alone decides.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from sg_core.errors import CheckpointError
from sg_core.files import shown

RUN_LOCK = "training.lock"

_BEHIND = 1 << 20  # a byte that Windows locks: far behind the number, which others may read


def _lock(descriptor: int) -> None:
    """Raises OSError when another one holds it."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _BEHIND, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class HeldError(Exception):
    """Another one holds the lock. pid: its process, 0 when it has not said yet."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"held by process {pid}")
        self.pid = pid


class FileLock:
    """A lock that is held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Take the lock, at once or not at all. Raises HeldError, or OSError where no file can be made."""
        self._path = path
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock(descriptor)
            except OSError:
                pid = _number(os.read(descriptor, 20))
                os.close(descriptor)
                raise HeldError(pid) from None
            if _same_file(descriptor, path):
                break
            os.close(descriptor)  # the one who held it removed the file in between
        self._descriptor = descriptor
        with contextlib.suppress(OSError):  # a full disk: the lock holds without a number too
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let it go and remove the file; does nothing the second time."""
        if self._descriptor >= 0:
            if sys.platform == "win32":  # an open file can't be removed there, nor one that another one holds by now
                os.close(self._descriptor)
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            if sys.platform != "win32":
                os.close(self._descriptor)
            self._descriptor = -1


def lock_run(folder: Path) -> FileLock | None:
    """The lock of a run's folder: one process trains a run. None where the folder can't hold a lock.

    Raises CheckpointError, naming the process, when another one has it.
    """
    try:
        return FileLock(folder / RUN_LOCK)
    except HeldError as held:
        raise CheckpointError(
            f"the run {shown(folder)} is being trained by process {held.pid}; stop that one first, or train into "
            "another folder"
        ) from None
    except OSError:  # read-only, or not there yet: what can't be locked can't be saved to either
        return None


def run_is_free(folder: Path) -> bool:
    """Whether nobody but this process trains the run."""
    try:
        FileLock(folder / RUN_LOCK).release()
    except HeldError as held:
        return held.pid == os.getpid()
    except OSError:
        return True
    return True


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _number(data: bytes) -> int:
    return int(data) if data.strip().isdigit() else 0
