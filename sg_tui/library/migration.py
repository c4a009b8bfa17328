"""What is done before a library of an earlier version is changed."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import suppress
from pathlib import Path


def keep_copy(database: sqlite3.Connection, path: Path, version: int) -> Path:
    """Keep the library at `path` as it is, in a file beside it that is never written again; where one is, that one.

    Raises sqlite3.Error.
    """
    kept = path.with_name(f"library-version-{version}.sqlite3")
    if kept.exists():
        return kept
    growing = path.with_name(f"{kept.stem}-{uuid.uuid4().hex}.part")
    try:
        database.execute("VACUUM INTO ?", (str(growing),))
        growing.replace(kept)
    except OSError as problem:
        raise sqlite3.OperationalError(f"no copy of it can be kept: {problem.strerror}") from problem
    finally:
        with suppress(OSError):
            growing.unlink(missing_ok=True)
    return kept
