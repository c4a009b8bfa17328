"""A library changed in thousands of ways is used or set aside, what can be read of it stays, and it takes new texts.

The short form tries a few changes of each kind, the slow one 4,000.
"""

from __future__ import annotations

import math
import random
import shutil
import sqlite3
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from kept_texts import manuscript, walk
from mutations import MANY, bounded, is_a_line, mutated

from sg_tui.library import marks, search
from sg_tui.library.holdings import Texts
from sg_tui.library.librarian import Librarian
from sg_tui.library.store import NAME, Place, Store
from sg_tui.library.tree_table import growths
from sg_tui.library.unkept import TextNews

COUNTS = [12, pytest.param(MANY, marks=pytest.mark.slow)]
MOST_UNPACKED = 1 << 20
BOMB = zlib.compress(bytes(64 << 20))
STRANGE = (
    None, -1, 0, 3, 1 << 40, (1 << 63) - 1, -(1 << 63), 1e300, math.inf, -0.5, "", "x", "x" * 5000, "\x1b[2J", "a\0b",
    b"", b"\xff\xfe", BOMB, *map(zlib.compress, (
        b"[]", b"[" * 50_000, b'[["model","x",1e400,2,[]]]', b'[["model","x",5,-0.5,[[1e999,2,"x"]]]]',
        b'[["model","x",5,NaN,[[7,2,"x"]],[[1,1e999,2]]]]', b'[["taken"]]',
    )),
)  # fmt: skip


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with six texts."""
    folder = tmp_path_factory.mktemp("kept")
    store = Store(folder)
    for number in range(6):
        mode = "chat" if number % 2 else "complete"
        store.save_text(f"text {number}", manuscript(f"words {number} " * 20), "m", mode)
    store.keep_place("gone", Place("text 1", "half a word"))
    marks.rename(store, "text 2", "a name")
    marks.delete(store, "text 3")
    store.close()
    return folder / NAME


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a library lies; nothing may land among the temporary files."""
    monkeypatch.setattr("sg_tui.library.tree_table.MOST_BYTES", MOST_UNPACKED)
    monkeypatch.setattr("sg_tui.library.store.last_folder", lambda folder: tmp_path / "last")
    return tmp_path / "it"


def look(store: Store) -> None:
    """Open every text of the library."""
    store.take_place()
    for item in Texts().look(store, "words or")[0]:
        text = store.load_text(item.id)
        if text is not None:
            walk(text)


def survives(folder: Path) -> None:
    """A session that opens all and keeps a text: nothing ends it, and the text is there afterwards."""
    librarian = Librarian(lambda: folder)
    librarian.ask(look)
    new = manuscript("new one, said the king")
    librarian.keep(TextNews("new", growths(new.tree), new.head, "m", "complete", new.tree.copy()))
    assert librarian.close(60.0)
    assert librarian.parting == ""
    for told in librarian.notices:
        assert is_a_line(told)
        assert "library could not" not in told, told  # what nobody foresaw
    store = Store(folder)
    text = store.load_text("new")
    store.close()
    assert text is not None
    assert text.text == new.text


@pytest.mark.parametrize("count", COUNTS)
def test_a_mutated_library_is_used_or_set_aside_and_takes_new_texts(count: int, kept: Path, folder: Path) -> None:
    good, chance, aside = kept.read_bytes(), random.Random("library"), 0
    for _ in range(count):
        folder.mkdir()
        changed = mutated(good, chance)
        (folder / NAME).write_bytes(changed)
        with bounded():
            survives(folder)
        damaged = list(folder.glob("library-damaged-*.sqlite3"))
        aside += len(damaged)
        assert len(damaged) <= 1
        shutil.rmtree(folder)
    assert aside > count // 10


@pytest.mark.parametrize("count", COUNTS)
def test_whatever_stands_in_the_rows_of_a_library_ends_nothing(count: int, kept: Path, folder: Path) -> None:
    chance = random.Random("rows")
    for _ in range(count):
        folder.mkdir()
        shutil.copy(kept, folder)
        database = sqlite3.connect(folder / NAME, isolation_level=None)
        for _ in range(chance.randint(1, 3)):
            table = chance.choice(("texts", "trees", "nodes", "chunks", "places", "marks"))
            rows = [row for (row,) in database.execute(f"SELECT rowid FROM {table}")]
            columns = [column[1] for column in database.execute(f"PRAGMA table_info({table})")]
            place = (chance.choice(rows or [0]),)
            if chance.random() < 0.1:
                database.execute(f"DELETE FROM {table} WHERE rowid = ?", place)
            else:
                command = f"UPDATE OR IGNORE {table} SET {chance.choice(columns)} = ? WHERE rowid = ?"
                database.execute(command, (chance.choice(STRANGE), *place))
        database.close()
        with bounded():
            survives(folder)
        assert not list(folder.glob("library-damaged-*"))
        shutil.rmtree(folder)


@pytest.mark.parametrize("count", COUNTS)
def test_a_mutated_search_index_is_made_again_and_finds_what_it_found(count: int, kept: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copy(kept, folder)
    store, chance = Store(folder), random.Random("index")
    found = Texts().look(store, "words or")[1]
    path = folder / search.NAME
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    good = path.read_bytes()
    for _ in range(count):
        for left in folder.glob(f"{search.NAME}*"):
            left.unlink()
        path.write_bytes(mutated(good, chance))
        with bounded():
            again = Texts().look(store, "words or")[1]
        assert again.keys() <= found.keys()
    store.close()


def test_what_can_be_read_of_a_damaged_library_stays(kept: Path, folder: Path) -> None:
    """A page of the file is overwritten, each in turn: most texts are there, and so is the damaged file."""
    good, size, seen = kept.read_bytes(), 4096, []
    for page in range(1, len(good) // size):
        folder.mkdir()
        changed = good[: page * size] + b"\xa5" * size + good[(page + 1) * size :]
        (folder / NAME).write_bytes(changed)
        store = Store(folder)
        texts = [store.load_text(one.id) for one in store.texts()]
        seen.append(sum(text is not None and "words" in text.text for text in texts))
        for damaged in folder.glob("library-damaged-*.sqlite3"):
            assert damaged.read_bytes() == changed
            assert f"{len(texts)} of its texts can be read" in store.notices[0] or not texts
        store.close()
        shutil.rmtree(folder)
    assert sum(seen) >= 0.8 * 6 * len(seen)


def test_damage_that_sqlite_tells_in_bytes_of_the_file_is_damage(kept: Path, folder: Path) -> None:
    """The names of its columns are no text, and SQLite's message quotes them."""
    folder.mkdir()
    good = kept.read_bytes()
    (folder / NAME).write_bytes(good.replace(b"text TEXT NOT NULL", b"text TEX\xf1 \xf1 NULL"))
    survives(folder)
    assert len(list(folder.glob("library-damaged-*.sqlite3"))) == 1
