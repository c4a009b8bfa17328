"""What a person set on kept texts: a name of their own, and that one was deleted, which can be taken back."""

from __future__ import annotations

import time
from typing import Any, Protocol

KEPT_SECONDS = 30 * 24 * 3600.0  # a deleted text can be brought back for so long

TABLE = """
CREATE TABLE IF NOT EXISTS marks (id TEXT PRIMARY KEY, name TEXT NOT NULL, deleted REAL, updated REAL NOT NULL);
"""
LISTED = """
SELECT texts.id, COALESCE(NULLIF(marks.name, ''), title), model, mode, texts.updated, characters, marks.deleted
FROM texts LEFT JOIN marks ON marks.id = texts.id ORDER BY texts.updated DESC LIMIT ?
"""
_NAME = """
INSERT INTO marks VALUES (?, ?, NULL, ?)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, updated = excluded.updated
"""
_DELETED = """
INSERT INTO marks VALUES (?, '', ?, ?)
ON CONFLICT (id) DO UPDATE SET deleted = excluded.deleted, updated = excluded.updated
"""


class Library(Protocol):
    """What is needed of the store."""

    def query(self, command: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]: ...
    def forget_text(self, id: str) -> None: ...


def rename(store: Library, id: str, name: str) -> None:
    """Call a text so from now on; "" gives it the title of its first words again. Raises sqlite3.Error."""
    store.query(_NAME, (id, name, time.time()))


def delete(store: Library, id: str) -> None:
    """List this text among the deleted ones. Raises sqlite3.Error."""
    store.query(_DELETED, (id, time.time(), time.time()))


def bring_back(store: Library, id: str) -> None:
    """List a deleted text as before. Raises sqlite3.Error."""
    store.query(_DELETED, (id, None, time.time()))


def is_deleted(store: Library, id: str) -> bool:
    """Whether a person has deleted this text. Raises sqlite3.Error."""
    return bool(store.query("SELECT 1 FROM marks WHERE id = ? AND deleted IS NOT NULL", (id,)))


def forget_old(store: Library) -> None:
    """Remove for good what was deleted long ago. Raises sqlite3.Error."""
    for (id,) in store.query("SELECT id FROM marks WHERE deleted < ?", (time.time() - KEPT_SECONDS,)):
        store.forget_text(id)
