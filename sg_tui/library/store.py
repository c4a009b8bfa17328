"""Texts in SQLite. What can't be opened is kept aside, never overwritten.

A `Store` belongs to one thread; `librarian.Librarian` gives the app one off the screen's thread.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sg_core.storage.lock import FileLock, HeldError
from sg_tui.library import marks, tree_table
from sg_tui.library.damage import as_damage, salvage
from sg_tui.library.elsewhere import is_private, last_folder, remove, stamp
from sg_tui.library.migration import keep_copy
from sg_tui.library.tree_table import Growth, dumped, read_author
from sg_tui.state.manuscript import Manuscript, Piece, Turn
from sg_tui.terminal.textsafe import safe_line

FORMAT = 2
NAME = "library.sqlite3"
ASIDE = "library-aside-"
SESSION = "session-"
WAIT = 0.4  # seconds for another program to release the file

_TABLES = """
CREATE TABLE IF NOT EXISTS texts (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, model TEXT NOT NULL, mode TEXT NOT NULL,
    created REAL NOT NULL, updated REAL NOT NULL, characters INTEGER NOT NULL, turns BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS tails (
    text TEXT NOT NULL, turn INTEGER NOT NULL, start INTEGER NOT NULL, written BLOB NOT NULL,
    PRIMARY KEY (text, turn, start));
CREATE TABLE IF NOT EXISTS places (
    session TEXT PRIMARY KEY, text TEXT NOT NULL, prompt TEXT NOT NULL, updated REAL NOT NULL);
"""  # turns and tails: how version 0.1 kept a text; read as they are until it is changed
_SAVE_TEXT = """
INSERT INTO texts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
    title = excluded.title, model = excluded.model, mode = excluded.mode, updated = excluded.updated,
    characters = excluded.characters, turns = excluded.turns
"""
_NEWER = """
SELECT other.{key} FROM aside.{table} AS other WHERE NOT EXISTS
    (SELECT 1 FROM {table} AS own WHERE own.{key} = other.{key} AND own.updated >= other.updated)
"""
_NEWER_TEXTS = _NEWER.format(table="texts", key="id")
_ADOPT = (
    f"DELETE FROM tails WHERE text IN ({_NEWER_TEXTS})",
    f"INSERT OR REPLACE INTO tails SELECT * FROM aside.tails WHERE text IN ({_NEWER_TEXTS})",
    *(command.format(newer=_NEWER_TEXTS) for command in tree_table.ADOPT),
    f"INSERT OR REPLACE INTO texts SELECT * FROM aside.texts WHERE id IN ({_NEWER_TEXTS})",
    "INSERT OR REPLACE INTO places SELECT * FROM aside.places WHERE session IN "
    f"({_NEWER.format(table='places', key='session')})",
    f"INSERT OR REPLACE INTO marks SELECT * FROM aside.marks WHERE id IN ({_NEWER.format(table='marks', key='id')})",
)
KEPT_IN = (("texts", "id"), ("marks", "id"), *((table, "text") for table in ("tails", "trees", "nodes", "chunks")))
_COLUMNS = """
SELECT tables.name, group_concat(columns.name) FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
WHERE tables.type = 'table' GROUP BY tables.name
"""
_PLACE = "INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class SavedText:
    """A text in the library, as it is listed. updated: seconds since 1970; deleted: by a person, and can come back."""

    id: str
    title: str
    model: str
    mode: str
    updated: float
    characters: int
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person is: the id of the text on the screen, and what stands in the prompt, not sent yet."""

    text: str = ""
    prompt: str = ""


class _NewerFormatError(Exception):
    """The library was written by a later version."""


class Store:
    """The library in `folder`. `notices` tells, a line each, what was not as it should be.

    path: the file that holds what is kept now, None when only memory does. moves: how often that has changed.
    """

    def __init__(self, folder: Path) -> None:
        self.notices: list[str] = []
        self.moves = 0
        self._folder = folder
        self.path: Path | None = folder / NAME
        self._db = self._open()

    @property
    def aside(self) -> bool:
        """Whether what is kept now is not in the library itself."""
        return self.path is None or self.path.name != NAME

    # ------------------------------------------------------------ texts

    def save_text(self, id: str, manuscript: Manuscript, model: str, mode: str) -> None:
        """Keep the text with all its branches under its id. Raises sqlite3.Error."""
        whole = [Growth(node, 0, tuple(node.pieces)) for node in manuscript.tree.nodes.values()]
        self.grow_text(id, manuscript, whole, model, mode)

    def grow_text(self, id: str, manuscript: Manuscript, news: Sequence[Growth], model: str, mode: str) -> None:
        """Keep what is new of a text; all else of it is kept. Raises sqlite3.Error."""
        now, title = time.time(), safe_line(manuscript.title)
        with self._together():
            self._run(_SAVE_TEXT, (id, title, dumped(model), mode, now, now, len(manuscript.text), b""))
            self._run("DELETE FROM tails WHERE text = ?", (id,))
            tree_table.save(self, id, news, manuscript.head)

    def texts(self, limit: int = 500) -> list[SavedText]:
        """The texts, newest first, the deleted ones too. Raises sqlite3.Error."""
        return [_listed(*row) for row in self._run(marks.LISTED, (limit,))]

    def forget_text(self, id: str) -> None:
        """Remove a text for good. Raises sqlite3.Error."""
        with self._together():
            for table, key in KEPT_IN:
                self._run(f"DELETE FROM {table} WHERE {key} = ?", (id,))

    def query(self, command: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of an SQL command. Raises sqlite3.Error."""
        return self._run(command, values)

    def load_text(self, id: str) -> Manuscript | None:
        """The text kept under this id; None if there is none, or if it can't be read. Raises sqlite3.Error."""
        rows = self._run("SELECT turns FROM texts WHERE id = ?", (id,))
        tails = self._run("SELECT turn, start, written FROM tails WHERE text = ? ORDER BY turn, start", (id,))
        try:
            if not rows:
                return None
            if (loaded := tree_table.load(self, id)) is not None:
                return Manuscript(tree=loaded[0], head=loaded[1])
            turns = load_turns(rows[0][0])
            for turn, start, written in tails:
                if turn == len(turns) - 1 and start == len(turns[-1].written):  # else the text was changed since
                    turns[-1].written += [tree_table.read(*one) for one in json.loads(written)]
            return Manuscript(turns)
        except tree_table.WRONG as problem:
            self.notices.append(f"a kept text can't be read, it stays in the library: {safe_line(str(problem), 200)}")
            return None

    # ------------------------------------------------------------ where a person is

    def keep_place(self, session: str, place: Place) -> None:
        """Keep where the person of this session is. Raises sqlite3.Error."""
        self._run(_PLACE, (session, place.text, dumped(place.prompt), time.time()))

    def forget_place(self, session: str) -> None:
        """Nothing is to be brought back. Raises sqlite3.Error."""
        self._run("DELETE FROM places WHERE session = ?", (session,))

    def take_place(self) -> Place | None:
        """The newest place of a session that is over; it is no longer kept then. Raises sqlite3.Error."""
        for session, text, prompt in self._run("SELECT session, text, prompt FROM places ORDER BY updated DESC"):
            try:
                FileLock(self._folder / f"{SESSION}{session}.lock").release()
            except HeldError:
                continue  # it lives
            except (OSError, ValueError):
                pass  # no session can hold what can't be made
            self.forget_place(session)
            return Place(str(text), str(prompt))
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

    def step_aside(self, problem: object) -> None:
        """The present file does not take what it should: go on in the next one, after memory in the first again."""
        self._db.close()
        first = 0 if self.path is None or not self.aside else 1 + self._places.index(self.path.parent)
        self._db = self._open_elsewhere(problem, first)

    @property
    def _places(self) -> tuple[Path, Path]:
        return self._folder, last_folder(self._folder)

    def _open_elsewhere(self, problem: object, first: int = 0) -> sqlite3.Connection:
        """A library of this session's own, which joins the first one when that can be opened again."""
        self.moves += 1
        trouble: object = problem
        for folder in self._places[first:]:
            path = folder / f"{ASIDE}{stamp()}.sqlite3"
            try:
                if folder != self._folder:
                    folder.mkdir(mode=0o700, exist_ok=True)
                # held for as long as this session lives, so that no other one takes it in and removes it
                database = _connect(path, alone=True)
            except (OSError, sqlite3.Error) as second:
                trouble = second
                remove(path)
                continue
            self.path = path
            where = path.name if folder == self._folder else path
            self.notices.append(f"the library can't be used now ({problem}); texts go to {where} and join it later")
            return database
        self.path = None
        self.notices.append(f"texts can't be kept on this machine ({trouble}); save what you want to keep")
        return _connect(None)

    def _open_fresh(self, path: Path, problem: object) -> sqlite3.Connection:
        """The damaged library stays beside a new one."""
        kept = path.with_name(f"library-damaged-{stamp()}.sqlite3")
        try:
            for ending in ("", "-wal", "-shm"):
                if (source := path.with_name(path.name + ending)).exists():
                    source.rename(kept.with_name(kept.name + ending))
            database = _connect(path)
        except (OSError, sqlite3.Error) as second:
            return self._open_elsewhere(second)
        self.moves += 1
        texts = salvage(kept, database)
        rest = f"; {texts:,} of its texts can be read and are here" if texts else ", and a new one was begun"
        why = safe_line(str(problem), 200)
        self.notices.append(f"the library was damaged ({why}); it is kept as {kept.name}{rest}")
        return database

    def _adopt(self, database: sqlite3.Connection) -> None:
        """Take in what earlier sessions had to keep aside."""
        places = [place for place in self._places if place == self._folder or is_private(place)]
        for path in (path for place in places for path in sorted(place.glob(f"{ASIDE}*.sqlite3"))):
            try:
                _connect(path).close()
                database.execute("ATTACH ? AS aside", (str(path),))
                try:
                    database.execute("BEGIN IMMEDIATE")
                    for command in _ADOPT:
                        database.execute(command)
                    database.execute("COMMIT")
                finally:
                    if database.in_transaction:
                        database.execute("ROLLBACK")
                    database.execute("DETACH aside")
                path.unlink()
            except (OSError, sqlite3.Error, _NewerFormatError):
                continue  # in use by another session, or not ours: it stays where it is

    @contextmanager
    def _together(self) -> Iterator[None]:
        """All or nothing."""
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def _run(self, command: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Damage found while working: the library is set aside, and the next call uses a new one."""
        try:
            with as_damage():
                return self._db.execute(command, values).fetchall()
        except (sqlite3.OperationalError, sqlite3.IntegrityError):
            raise
        except sqlite3.DatabaseError as problem:
            if self.path is not None:
                self._db.close()
                self._db = self._open_fresh(self.path, problem)
            raise


@as_damage()
def _connect(path: Path | None, alone: bool = False) -> sqlite3.Connection:
    """Open and check a library; None: one in memory; `alone` keeps everyone else out.

    Raises sqlite3.Error, _NewerFormatError.
    """
    database = sqlite3.connect(path or ":memory:", timeout=WAIT, isolation_level=None, check_same_thread=False)
    try:
        database.execute(f"PRAGMA locking_mode = {'EXCLUSIVE' if alone else 'NORMAL'}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.text_factory = lambda data: data.decode("utf-8", "replace")
        check = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if check != "ok":
            raise sqlite3.DatabaseError(" ".join(str(check).split()))
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > FORMAT:
            raise _NewerFormatError
        if version < FORMAT:
            if version and path is not None and path.name == NAME:
                keep_copy(database, path, version)
            database.executescript(f"{_TABLES} {tree_table.TABLES} PRAGMA user_version = {FORMAT};")
        database.executescript(marks.TABLE)
        if not _columns(database).items() >= _own_columns().items():
            raise sqlite3.DatabaseError("its tables have other columns")
    except BaseException:
        database.close()
        raise
    return database


def _columns(database: sqlite3.Connection) -> dict[str, str]:
    """The names of each table's columns."""
    return dict(database.execute(_COLUMNS))


@cache
def _own_columns() -> dict[str, str]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(f"{_TABLES} {tree_table.TABLES} {marks.TABLE}")
        return _columns(database)


def dump_turns(turns: list[Turn]) -> bytes:
    """Turns as JSON, ASCII only, so that any character survives."""
    data = [
        {
            "typed": turn.typed,
            "seed": turn.seed,
            "given": [[piece.author, piece.text] for piece in turn.given],
            "written": [tree_table.written(piece) for piece in turn.written],
        }
        for turn in turns
    ]
    return json.dumps(data, separators=(",", ":")).encode("ascii")


def load_turns(data: bytes) -> list[Turn]:
    """The inverse of `dump_turns`. Raises ValueError, TypeError, KeyError or IndexError for anything else."""
    return [_turn(one) for one in json.loads(data)]


def _turn(data: dict[str, Any]) -> Turn:
    given = [Piece(str(text), read_author(author)) for author, text in data["given"]]
    return Turn(
        given, [tree_table.read(*one) for one in data["written"]], str(data["typed"]), tree_table.whole(data["seed"])
    )


def _listed(id: Any, title: Any, model: Any, mode: Any, updated: Any, characters: Any, deleted: Any) -> SavedText:
    """A row of the list, whatever stands in the file."""
    when = updated if isinstance(updated, int | float) and 0 <= updated < 1 << 34 else 0.0
    count = characters if isinstance(characters, int) else 0
    return SavedText(str(id), str(title), str(model), str(mode), when, count, deleted is not None)
