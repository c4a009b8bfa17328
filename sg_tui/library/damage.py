"""What can still be read of a damaged library: each table row by row, from both of its ends to where the damage is.

Of a damaged file the `sqlite3` module raises more than its own errors: SQLite's messages quote bytes of the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

TABLES = ("texts", "tails", "trees", "nodes", "chunks", "places", "marks")
# A text whose own row is lost has its nodes.
_FOUND_AGAIN = """
INSERT OR IGNORE INTO texts SELECT text, 'found again', max(model), 'complete', max(made), max(made), sum(length), x''
FROM nodes GROUP BY text
"""


@contextmanager
def as_damage() -> Iterator[None]:
    """What a damaged file makes of an SQL command is a sqlite3.DatabaseError."""
    try:
        yield
    except UnicodeDecodeError as problem:
        raise sqlite3.DatabaseError("its tables can't be read") from problem


def salvage(damaged: Path, database: sqlite3.Connection) -> int:
    """Copy the rows of `damaged` that can be read into a new library; returns how many texts it has then.

    `damaged` stays as it is. Where the new one does not take them all, it takes none.
    """
    texts = 0
    with suppress(sqlite3.Error), as_damage(), closing(_source(damaged)) as source:
        database.execute("BEGIN IMMEDIATE")
        try:
            for table in TABLES:
                _copy(source, database, table)
            database.execute(_FOUND_AGAIN)
            database.execute("COMMIT")
        finally:
            if database.in_transaction:
                database.execute("ROLLBACK")
        (texts,) = database.execute("SELECT count(*) FROM texts").fetchone()
    return texts


def _source(path: Path) -> sqlite3.Connection:
    source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.4)
    source.text_factory = lambda data: data.decode("utf-8", "replace")
    source.execute("PRAGMA writable_schema = ON")  # a table whose description is damaged hides no other one
    return source


def _copy(source: sqlite3.Connection, database: sqlite3.Connection, table: str) -> None:
    width = len(database.execute(f"PRAGMA table_info({table})").fetchall())
    command = f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * width)})"
    for row in _rows(source, table):
        if len(row) == width:
            database.execute(command, row)


def _rows(source: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    """Its rows; those on both sides of what can't be read come twice where nothing is damaged after all."""
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.Error), as_damage():
            yield from source.execute(f"SELECT * FROM {table} ORDER BY rowid {order}")
            return
