"""Texts in SQLite. What can't be opened is kept aside, never overwritten.

A `Store` belongs to one thread; `librarian.Librarian` gives the app one off the screen's thread.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sg_core.inference.token import Token
from sg_tui.state.manuscript import Author, Manuscript, Piece, Turn
from sg_tui.terminal.textsafe import safe_line

FORMAT = 1
NAME = "library.sqlite3"
ASIDE = "library-aside-"
WAIT = 1.0  # seconds for another program to release the file

_TABLES = """
CREATE TABLE IF NOT EXISTS texts (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, model TEXT NOT NULL, mode TEXT NOT NULL,
    created REAL NOT NULL, updated REAL NOT NULL, characters INTEGER NOT NULL, turns BLOB NOT NULL);
"""
_SAVE_TEXT = """
INSERT INTO texts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
    title = excluded.title, model = excluded.model, mode = excluded.mode, updated = excluded.updated,
    characters = excluded.characters, turns = excluded.turns
"""
_ADOPT = """
INSERT OR REPLACE INTO texts SELECT * FROM aside.texts AS other WHERE NOT EXISTS
    (SELECT 1 FROM texts AS own WHERE own.id = other.id AND own.updated >= other.updated)
"""


@dataclass(frozen=True, slots=True)
class SavedText:
    """A text in the library, as it is listed. updated: seconds since 1970."""

    id: str
    title: str
    model: str
    mode: str
    updated: float
    characters: int


class _NewerFormatError(Exception):
    """The library was written by a later version."""


class Store:
    """The library in `folder`. `notices` tells, a line each, what was not as it should be."""

    def __init__(self, folder: Path) -> None:
        self.notices: list[str] = []
        self._folder = folder
        self._path: Path | None = folder / NAME
        self._db = self._open()

    # ------------------------------------------------------------ texts

    def save_text(self, id: str, manuscript: Manuscript, model: str, mode: str) -> None:
        """Keep the text under its id; what was kept under it before is replaced. Raises sqlite3.Error."""
        now, turns = time.time(), dump_turns(manuscript.turns)
        title = safe_line(manuscript.title)
        self._run(_SAVE_TEXT, (id, title, _plain(model), mode, now, now, len(manuscript.text), turns))

    def texts(self, limit: int = 500) -> list[SavedText]:
        """The texts, newest first. Raises sqlite3.Error."""
        rows = self._run(
            "SELECT id, title, model, mode, updated, characters FROM texts ORDER BY updated DESC LIMIT ?",
            (limit,),
        )
        return [SavedText(*row) for row in rows]

    def load_text(self, id: str) -> Manuscript | None:
        """The text kept under this id; None if there is none, or if it can't be read. Raises sqlite3.Error."""
        rows = self._run("SELECT turns FROM texts WHERE id = ?", (id,))
        try:
            return Manuscript(load_turns(rows[0][0])) if rows else None
        except (ValueError, TypeError, KeyError, IndexError) as problem:
            self.notices.append(f"a kept text can't be read, it stays in the library: {problem}")
            return None

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # ------------------------------------------------------------ opening

    def _open(self) -> sqlite3.Connection:
        path = self._folder / NAME
        try:
            database = _connect(path)
        except sqlite3.OperationalError as problem:
            return self._open_elsewhere(problem)
        except _NewerFormatError:
            return self._open_elsewhere("it was written by a newer sg-tui")
        except sqlite3.DatabaseError as problem:
            return self._open_fresh(path, problem)
        self._adopt(database)
        return database

    def _open_elsewhere(self, problem: object) -> sqlite3.Connection:
        """A library of this session's own, which joins the first one when that can be opened again."""
        path = self._folder / f"{ASIDE}{_stamp()}.sqlite3"
        try:
            # held for as long as this session lives, so that no other one takes it in and removes it
            database = _connect(path, alone=True)
        except sqlite3.Error as second:
            self._path = None
            self.notices.append(f"texts can't be kept on this machine ({second}); save what you want to keep")
            return _connect(None)
        self._path = path
        self.notices.append(f"the library can't be used now ({problem}); texts go to {path.name} and join it later")
        return database

    def _open_fresh(self, path: Path, problem: object) -> sqlite3.Connection:
        """The damaged library stays beside a new one."""
        kept = path.with_name(f"library-damaged-{_stamp()}.sqlite3")
        try:
            for ending in ("", "-wal", "-shm"):
                if (source := path.with_name(path.name + ending)).exists():
                    source.rename(kept.with_name(kept.name + ending))
            database = _connect(path)
        except (OSError, sqlite3.Error) as second:
            return self._open_elsewhere(second)
        self.notices.append(f"the library was damaged ({problem}); it is kept as {kept.name}, and a new one was begun")
        return database

    def _adopt(self, database: sqlite3.Connection) -> None:
        """Take in what earlier sessions had to keep aside."""
        for path in sorted(self._folder.glob(f"{ASIDE}*.sqlite3")):
            try:
                _connect(path).close()
                database.execute("ATTACH ? AS aside", (str(path),))
                try:
                    database.execute(_ADOPT)
                finally:
                    database.execute("DETACH aside")
                path.unlink()
            except (OSError, sqlite3.Error, _NewerFormatError):
                continue  # in use by another session, or not ours: it stays where it is

    def _run(self, command: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Damage found while working: the library is set aside, and the next call uses a new one."""
        try:
            return self._db.execute(command, values).fetchall()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as problem:
            if self._path is not None:
                self._db.close()
                self._db = self._open_fresh(self._path, problem)
            raise


def _connect(path: Path | None, alone: bool = False) -> sqlite3.Connection:
    """Open and check a library; None: one in memory; `alone` keeps everyone else out.

    Raises sqlite3.Error, _NewerFormatError.
    """
    database = sqlite3.connect(path or ":memory:", timeout=WAIT, isolation_level=None, check_same_thread=False)
    try:
        database.execute(f"PRAGMA locking_mode = {'EXCLUSIVE' if alone else 'NORMAL'}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        check = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if check != "ok":
            raise sqlite3.DatabaseError(" ".join(str(check).split()))
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > FORMAT:
            raise _NewerFormatError
        if version < FORMAT:
            database.executescript(f"{_TABLES} PRAGMA user_version = {FORMAT};")
    except BaseException:
        database.close()
        raise
    return database


def dump_turns(turns: list[Turn]) -> bytes:
    """Turns as JSON, ASCII only, so that any character survives."""
    data = [
        {
            "typed": turn.typed,
            "seed": turn.seed,
            "given": [[piece.author, piece.text] for piece in turn.given],
            "written": [_written(piece) for piece in turn.written],
        }
        for turn in turns
    ]
    return json.dumps(data, separators=(",", ":")).encode("ascii")


def _written(piece: Piece) -> list[object]:
    """What the model wrote: text, id, logprob and alternatives, as version 0.1 wrote it too."""
    token = piece.token
    if token is None:
        return [piece.text, -1, None, []]
    top = [(*one, text) for one, text in zip(token.top, piece.top_texts, strict=True)]
    return [token.text, token.id, _number(token.logprob), top]


def load_turns(data: bytes) -> list[Turn]:
    """The inverse of `dump_turns`. Raises ValueError, TypeError, KeyError or IndexError for anything else."""
    return [_turn(one) for one in json.loads(data)]


def _turn(data: dict[str, Any]) -> Turn:
    given = [Piece(str(text), _author(author)) for author, text in data["given"]]
    return Turn(given, [_read(*one) for one in data["written"]], str(data["typed"]), int(data["seed"]))


def _read(text: object, id: Any, logprob: Any, top: Any) -> Piece:
    """A token as it was written; how long it took is not kept: NaN."""
    token = Token(
        int(id),
        str(text),
        math.nan if logprob is None else float(logprob),
        tuple((int(other), float(value)) for other, value, _ in top),
        math.nan,
        {},
    )
    return Piece.written(token, tuple(str(shown) for _, _, shown in top))


def _author(name: object) -> Author:
    return "cue" if name == "cue" else "model" if name == "model" else "person"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(text: str) -> str:
    """Text that SQLite can hold: lone surrogates replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _stamp() -> str:
    return time.strftime("%Y%m%d-%H%M%S") + f"-{time.monotonic_ns() % 1_000_000:06}"
