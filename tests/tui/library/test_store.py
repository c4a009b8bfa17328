"""The library keeps every text, and what can't be opened is set aside, never lost."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_core.inference.token import Token
from sg_tui.library.librarian import Librarian
from sg_tui.library.store import Store, dump_turns, load_turns
from sg_tui.library.tree_table import growths
from sg_tui.state.manuscript import Manuscript, Piece, Turn
from sg_tui.state.tree import START, Tree, new_node


def token(text: str, logprob: float) -> Token:
    """As it comes back from the library, which keeps no times."""
    return Token(5, text, logprob, ((5, logprob), (6, -1.5)), math.nan, {})


def text(words: str = "To be", answer: str = " or not") -> Manuscript:
    manuscript = Manuscript()
    manuscript.begin([Piece("ROMEO:\n", "cue"), Piece(words, "person")], words, seed=7)
    manuscript.write(token(answer, -0.5), (answer, "!"))
    return manuscript


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def reopened(folder: Path) -> Store:
    return Store(folder)


def test_a_text_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    original = text()
    store.save_text("a", original, "tinyshakespeare", "chat")
    other = reopened(tmp_path)
    assert not other.notices
    loaded = other.load_text("a")
    assert loaded is not None
    assert loaded.turns == original.turns
    assert loaded.text == "ROMEO:\nTo be or not"
    (listed,) = other.texts()
    assert (listed.title, listed.model, listed.mode, listed.characters) == (
        "ROMEO: To be or not",
        "tinyshakespeare",
        "chat",
        19,
    )


def test_saving_again_replaces_and_comes_first(store: Store) -> None:
    store.save_text("a", text("one"), "m", "complete")
    store.save_text("b", text("two"), "m", "complete")
    store.save_text("a", text("three"), "m", "complete")
    assert [(one.id, one.title) for one in store.texts()] == [
        ("a", "ROMEO: three or not"),
        ("b", "ROMEO: two or not"),
    ]


def test_a_text_that_is_not_there_is_none(store: Store) -> None:
    assert store.load_text("nowhere") is None


def library_of_version_0_1(path: Path) -> None:
    """A library as version 0.1 wrote it: a table of runs beside the texts, a token's alternatives with their texts."""
    database = sqlite3.connect(path)
    database.executescript("""
        CREATE TABLE texts (
            id TEXT PRIMARY KEY, title TEXT NOT NULL, model TEXT NOT NULL, mode TEXT NOT NULL,
            created REAL NOT NULL, updated REAL NOT NULL, characters INTEGER NOT NULL, turns BLOB NOT NULL);
        CREATE TABLE runs (
            folder TEXT PRIMARY KEY, model TEXT NOT NULL, data TEXT NOT NULL, started REAL NOT NULL,
            updated REAL NOT NULL, step INTEGER NOT NULL, val_loss REAL, state TEXT NOT NULL);
        PRAGMA user_version = 1;
    """)
    turns = (
        b'[{"typed":"To be","seed":7,"given":[["cue","ROMEO:\\n"],["person","To be"]],"written":'
        b'[[" or",5,-0.5,[[5,-0.5," or"],[6,-1.5,"!"]]],[" not",9,null,[]]]}]'
    )
    with database:
        row = ("old", "ROMEO: To be or not", "tinyshakespeare", "chat", 1.0, 2.0, 19, turns)
        database.execute("INSERT INTO texts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        database.execute("INSERT INTO runs VALUES ('runs/a', 'tiny', 'tinyshakespeare', 1.0, 2.0, 20, 2.5, 'ended')")
    database.close()


@pytest.mark.parametrize("name", ["library.sqlite3", "library-aside-20251125-101500-000001.sqlite3"])
def test_a_library_of_version_0_1_shows_its_texts(tmp_path: Path, name: str) -> None:
    library_of_version_0_1(tmp_path / name)
    store = Store(tmp_path)
    assert not store.notices
    assert [(one.id, one.title, one.characters) for one in store.texts()] == [("old", "ROMEO: To be or not", 19)]
    manuscript = store.load_text("old")
    assert manuscript is not None
    assert manuscript.text == "ROMEO:\nTo be or not"
    first, last = manuscript.turns[0].written
    assert first == Piece.written(Token(5, " or", -0.5, ((5, -0.5), (6, -1.5)), math.nan, {}), (" or", "!"))
    assert last == Piece.written(Token(9, " not", math.nan, (), math.nan, {}))
    store.save_text("old", manuscript, "tinyshakespeare", "chat")
    again = reopened(tmp_path).load_text("old")
    assert again is not None
    assert again.turns == manuscript.turns


def test_the_table_of_runs_that_version_0_1_kept_is_left_alone(tmp_path: Path) -> None:
    library_of_version_0_1(tmp_path / "library.sqlite3")
    store = Store(tmp_path)
    store.save_text("a", text(), "m", "complete")
    store.close()
    database = sqlite3.connect(tmp_path / "library.sqlite3")
    assert database.execute("SELECT folder, step FROM runs").fetchall() == [("runs/a", 20)]
    database.close()


TEXTS = st.text(st.characters(), max_size=8)  # lone surrogates too


@given(TEXTS, TEXTS, st.floats(-50, 0), st.integers(0, 1 << 62))
def test_any_character_survives(given_: str, written: str, logprob: float, seed: int) -> None:
    piece = Piece.written(token(written, logprob), (written, "!"))
    turns = [Turn([Piece(given_, "person")], [piece], given_, seed)]
    assert load_turns(dump_turns(turns)) == turns


@pytest.mark.parametrize("damage", [b"", b"not a database at all" * 100])
def test_a_damaged_library_is_kept_aside_and_a_new_one_begun(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "library.sqlite3").write_bytes(damage)
    store = Store(tmp_path)
    store.save_text("a", text(), "m", "complete")
    assert reopened(tmp_path).load_text("a") is not None
    if damage:
        assert "damaged" in store.notices[0]
        (kept,) = tmp_path.glob("library-damaged-*.sqlite3")
        assert kept.read_bytes() == damage
        assert kept.name in store.notices[0]


def test_damage_found_while_working_costs_one_attempt(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(2500):  # more than the database keeps in memory
        store.save_text(str(number), text("word " * 200), "m", "complete")
    store.close()
    path = tmp_path / "library.sqlite3"
    store = Store(tmp_path)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(bytes(data))
    with pytest.raises(sqlite3.DatabaseError):
        store.load_text("1")
    store.save_text("new", text(), "m", "complete")
    assert [one.id for one in store.texts()] == ["new"]
    assert list(tmp_path.glob("library-damaged-*.sqlite3"))


def test_texts_written_while_the_library_was_locked_join_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sg_tui.library.store.WAIT", 0.01)
    Store(tmp_path).close()
    holder = sqlite3.connect(tmp_path / "library.sqlite3", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    store = Store(tmp_path)
    assert "join it later" in store.notices[0]
    store.save_text("a", text(), "m", "complete")
    holder.execute("COMMIT")
    holder.close()

    while_in_use = reopened(tmp_path)  # the session that wrote it still lives: its file stays
    assert list(tmp_path.glob("library-aside-*.sqlite3"))
    while_in_use.close()
    store.close()

    later = reopened(tmp_path)
    assert later.load_text("a") is not None
    assert not list(tmp_path.glob("library-aside-*"))


def test_a_library_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "library.sqlite3")
    database.execute("PRAGMA user_version = 99")
    database.close()
    store = Store(tmp_path)
    assert "newer" in store.notices[0]
    store.save_text("a", text(), "m", "complete")
    assert store.load_text("a") is not None
    database = sqlite3.connect(tmp_path / "library.sqlite3")
    assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    database.close()


def test_without_a_folder_to_write_texts_live_in_memory_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    store = Store(tmp_path / "file" / "folder")
    assert "can't be kept" in store.notices[0]
    store.save_text("a", text(), "m", "complete")
    assert store.load_text("a") is not None


def test_an_unreadable_text_is_told_and_the_others_stay(tmp_path: Path) -> None:
    library_of_version_0_1(tmp_path / "library.sqlite3")
    store = Store(tmp_path)
    store.save_text("b", text(), "m", "complete")
    database = sqlite3.connect(tmp_path / "library.sqlite3")
    with database:
        database.execute("UPDATE texts SET turns = ? WHERE id = 'old'", (b'[{"typed": 3}]',))
    database.close()
    assert store.load_text("old") is None
    assert "can't be read" in store.notices[0]
    assert store.load_text("b") is not None
    store.close()


def test_the_librarian_does_what_it_is_asked_before_it_ends(tmp_path: Path) -> None:
    librarian = Librarian(lambda: tmp_path)
    for number in range(20):
        librarian.ask(lambda store, number=number: store.save_text(str(number), text(), "m", "complete"))  # type: ignore[misc]
    assert librarian.close(timeout=10)
    assert len(reopened(tmp_path).texts()) == 20
    assert not librarian.notices


def test_a_failure_in_the_library_is_told_once_and_the_librarian_lives(tmp_path: Path) -> None:
    librarian = Librarian(lambda: tmp_path)

    def fail(store: Store) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    librarian.ask(fail)
    librarian.ask(fail)
    librarian.ask(lambda store: [][0])
    librarian.ask(lambda store: store.save_text("a", text(), "m", "complete"))
    assert librarian.close(timeout=10)
    assert len(librarian.notices) == 2
    assert "disk is full" in librarian.notices[0]
    assert len(reopened(tmp_path).texts()) == 1


def test_a_library_of_version_0_1_is_changed_in_place_and_a_copy_stays(tmp_path: Path) -> None:
    library_of_version_0_1(tmp_path / "library.sqlite3")
    store = Store(tmp_path)
    manuscript = store.load_text("old")
    assert manuscript is not None
    manuscript.take(2, 1)
    store.save_text("old", manuscript, "m", "chat")
    store.close()
    database = sqlite3.connect(tmp_path / "library-version-1.sqlite3")
    assert database.execute("SELECT length(turns) FROM texts").fetchone()[0] > 50
    assert database.execute("PRAGMA user_version").fetchone() == (1,)
    database.close()
    loaded = reopened(tmp_path).load_text("old")
    assert loaded is not None
    assert loaded.text == "ROMEO:\nTo be!"
    assert loaded.undo()


def test_all_branches_come_back_and_only_those_of_the_way_are_read(store: Store, tmp_path: Path) -> None:
    original = text()
    original.take(2, 1)
    original.tree.nodes[original.head.node].marked = True
    store.save_text("a", original, "m", "complete")
    loaded = reopened(tmp_path).load_text("a")
    assert loaded is not None
    assert loaded.text == "ROMEO:\nTo be!"
    assert [piece.author for piece in loaded.pieces] == ["cue", "person", "taken"]
    assert [(node.words, node.author, node.marked, node.load is None) for node, _ in loaded.tree.walk()] == [
        ("ROMEO:\nTo be", "person", False, True),
        (" or not", "model", False, False),
        ("!", "taken", True, True),
    ]
    (old, _) = loaded.branches(2)
    loaded.go(old)
    assert loaded.pieces == original.pieces[:2] + text().pieces[2:]


def test_ten_thousand_nodes_are_opened_without_reading_their_pieces(store: Store, tmp_path: Path) -> None:
    tree, place = Tree(), START
    for number in range(10_000):
        node = tree.add(new_node(place, "model", [Piece.written(token(f" {number}", -0.5), ("a", "b"))]))
        place = tree.end(node) if number % 100 else START
    store.save_text("a", Manuscript(tree=tree, head=place), "m", "complete")
    other = reopened(tmp_path)
    loaded = other.load_text("a")
    assert loaded is not None
    assert sum(node.load is None for node in loaded.tree.nodes.values()) <= 100


def test_a_node_that_can_not_be_read_keeps_its_words(store: Store, tmp_path: Path) -> None:
    store.save_text("a", text(), "m", "complete")
    database = sqlite3.connect(tmp_path / "library.sqlite3")
    with database:
        database.execute("UPDATE chunks SET pieces = ? WHERE start = 0", (b"[[3]]",))
        database.execute("UPDATE nodes SET parent = 77 WHERE author = 'person'")
    database.close()
    loaded = store.load_text("a")
    assert loaded is not None
    assert loaded.text == "ROMEO:\nTo be or not"


def test_two_sessions_that_go_on_with_one_text_lose_nothing_of_each_other(store: Store, tmp_path: Path) -> None:
    store.save_text("a", text(), "m", "complete")
    other = reopened(tmp_path)
    opened = [(session, session.load_text("a")) for session in (store, other)]
    for (session, manuscript), word in zip(opened, (" one", " two"), strict=True):
        assert manuscript is not None
        manuscript.begin([Piece(word, "person")], word)
        session.grow_text("a", manuscript, growths(manuscript.tree), "m", "complete")
    loaded = reopened(tmp_path).load_text("a")
    assert loaded is not None
    assert loaded.text == "ROMEO:\nTo be or not two"
    assert sorted(node.words for node, _ in loaded.tree.walk()) == [" one", " or not", " two", "ROMEO:\nTo be"]
