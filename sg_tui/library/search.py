"""Full-text search over the kept texts: an index in a file of its own, made from the library and made again at need.

SQLite's FTS5 finds words by their beginnings, whatever their accents; where SQLite lacks it, every text is looked
through.
"""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sg_tui.library.damage import as_damage
from sg_tui.library.elsewhere import remove
from sg_tui.library.store import SavedText, Store
from sg_tui.terminal.textsafe import safe_line

NAME = "search.sqlite3"
FORMAT = 1
AROUND = 40  # characters before and after what was found
MOST = 200  # texts that are told
_WORDS = "CREATE TABLE IF NOT EXISTS words (id TEXT PRIMARY KEY, stamp REAL NOT NULL, body TEXT NOT NULL)"
_FTS = "CREATE VIRTUAL TABLE IF NOT EXISTS found USING fts5(id UNINDEXED, body, tokenize='unicode61', prefix='2 3')"
_FIND = "SELECT id, snippet(found, 1, '', '', '…', 16) FROM found WHERE found MATCH ? ORDER BY rank LIMIT ?"


@dataclass(frozen=True, slots=True)
class Hit:
    """A text that was found, and the words around the place: one line."""

    id: str
    around: str


class DamagedIndexError(sqlite3.DatabaseError):
    """The index can't be used; all it holds can be read again."""


class SearchIndex:
    """What stands in the texts of one library. The file holds nothing that is not in the library too.

    folder: of the library; None keeps the index in memory. Belongs to one thread.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / NAME
        self._db, self.fts = _open(self._path)

    def begin_again(self) -> None:
        """Make a damaged index anew, empty. Raises sqlite3.Error."""
        self._db.close()
        if self._path is not None:
            remove(self._path)
        self._db, self.fts = _open(self._path)

    def take_in(self, store: Store, texts: list[SavedText], seconds: float = 0.2) -> bool:
        """Read what is new or has changed, for about so long; whether all of it is in.

        Raises sqlite3.Error of the library, DamagedIndexError of the index.
        """
        until = time.monotonic() + seconds
        known = dict(self._ask("SELECT id, stamp FROM words"))
        for gone in known.keys() - {text.id for text in texts}:
            self._put(gone, None, 0.0)
        for text in texts:
            if known.get(text.id) != text.updated:
                if time.monotonic() > until:
                    return False
                manuscript = store.load_text(text.id)
                self._put(text.id, "" if manuscript is None else manuscript.text, text.updated)
        return True

    def _put(self, id: str, body: str | None, stamp: float) -> None:
        """Replace what is known of a text; None: it is gone."""
        self._ask("BEGIN IMMEDIATE")
        try:
            for table in ("words", "found") if self.fts else ("words",):
                self._ask(f"DELETE FROM {table} WHERE id = ?", (id,))
            if body is not None:
                clean = body.encode("utf-8", "replace").decode("utf-8")
                self._ask("INSERT INTO words VALUES (?, ?, ?)", (id, stamp, "" if self.fts else clean))
                if self.fts:
                    self._ask("INSERT INTO found VALUES (?, ?)", (id, clean))
            self._ask("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def find(self, words: str) -> list[Hit]:
        """The texts that hold every word, or its beginning; the best first. Raises DamagedIndexError."""
        wanted = re.findall(r"\w+", words)
        if not wanted:
            return []
        if self.fts:
            query = " ".join(f'"{word}"*' for word in wanted)
            return [Hit(str(id), safe_line(str(around))) for id, around in self._ask(_FIND, (query, MOST))]
        return self._look_through([word.casefold() for word in wanted])

    def _look_through(self, wanted: list[str]) -> list[Hit]:
        hits = []
        for id, body in self._ask("SELECT id, body FROM words ORDER BY stamp DESC"):
            folded = body.casefold()
            places = [re.search(rf"\b{re.escape(word)}", folded) for word in wanted]
            if all(places) and (first := places[0]) is not None:
                start = max(0, first.start() - AROUND)
                cut = " ".join(body[start : first.end() + AROUND].split())
                hits.append(Hit(str(id), safe_line(f"{'…' if start else ''}{cut}…")))
        return hits[:MOST]

    def _ask(self, command: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            with as_damage():
                return self._db.execute(command, values).fetchall()
        except sqlite3.DatabaseError as problem:
            if getattr(problem, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL):
                raise  # there is nothing wrong with it
            raise DamagedIndexError(str(problem)) from problem

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def _open(path: Path | None) -> tuple[sqlite3.Connection, bool]:
    """The index, and whether it has FTS5. A file that can't be used is made anew, or else memory serves."""
    for place in (path, path, None):
        with suppress(sqlite3.Error):
            return _connect(place)
        if place is not None:
            remove(place)
    raise sqlite3.OperationalError("SQLite can't search, not even in memory")


@as_damage()
def _connect(path: Path | None) -> tuple[sqlite3.Connection, bool]:
    database = sqlite3.connect(path or ":memory:", timeout=0.4, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")  # what is lost is read again
        fts = has_fts(database)
        wanted = FORMAT * 2 + fts
        if database.execute("PRAGMA user_version").fetchone()[0] not in (0, wanted):
            raise sqlite3.DatabaseError("an index of another kind")
        database.execute(_WORDS)
        if fts:
            database.execute(_FTS)
        database.execute(f"PRAGMA user_version = {wanted}")
    except BaseException:
        database.close()
        raise
    return database, fts


def has_fts(database: sqlite3.Connection) -> bool:
    """Whether this SQLite was built with FTS5."""
    return bool(database.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone())
