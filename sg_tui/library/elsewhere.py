"""Where texts go when the library's own folder takes nothing, and whether such a place is this person's."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import zlib
from contextlib import suppress
from pathlib import Path


def stamp() -> str:
    """The time as a part of a file's name, never the same twice."""
    return time.strftime("%Y%m%d-%H%M%S") + f"-{time.monotonic_ns() % 1_000_000:06}"


def last_folder(folder: Path) -> Path:
    """Where texts go when `folder` takes nothing: a folder of its own among the temporary ones."""
    return Path(tempfile.gettempdir()) / f"sg-tui-{_user()}-{zlib.crc32(os.fsencode(folder.absolute())):08x}"


def _user() -> int:
    if sys.platform == "win32":
        return 0
    return os.getuid()


def is_private(folder: Path) -> bool:
    """Whether a temporary folder is this person's, and nobody else's: on Windows all are, in the person's profile."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    mine = sys.platform == "win32" or (status.st_uid == _user() and not status.st_mode & 0o077)
    return mine and folder.is_dir() and not folder.is_symlink()


def remove(path: Path) -> None:
    """Delete a database with what SQLite keeps beside it."""
    for ending in ("", "-wal", "-shm", "-journal"):
        with suppress(OSError):
            path.with_name(path.name + ending).unlink()
