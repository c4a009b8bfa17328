"""What is on the screen is in a file soon, whatever happens to the library: each fault is provoked."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sg_core.inference.token import Token
from sg_tui.library.librarian import Librarian
from sg_tui.library.store import Place, Store
from sg_tui.library.text_keeper import TextKeeper
from sg_tui.state.writing import Writing


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a lock, and the temporary files are the test's own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr("sg_tui.library.store.WAIT", 0.02)
    monkeypatch.setattr("sg_tui.library.librarian.RETRY", 0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def token(text: str) -> Token:
    return Token(5, text, -0.5, ((5, -0.5),), math.nan, {})


def writing(typed: str = "To be", *written: str) -> Writing:
    writing = Writing()
    writing.begin(typed, 7)
    for text in written:
        writing.manuscript.write(token(text), ("x",))
    return writing


def done(librarian: Librarian) -> None:
    """Everything that was asked so far is done, what is due is written."""
    import threading

    for _ in range(2):  # what is due is written before the second is looked at
        event = threading.Event()
        librarian.ask(lambda store, event=event: event.set())  # type: ignore[misc]
        assert event.wait(5)


def texts(folder: Path) -> list[str]:
    """The texts that a later session finds."""
    store = Store(folder)
    found = [store.load_text(one.id) for one in store.texts()]
    store.close()
    return [one.text for one in found if one is not None]


def test_a_growing_text_is_in_the_library_piece_by_piece(folder: Path) -> None:
    librarian = Librarian(lambda: folder)
    keeper, text = TextKeeper(librarian), writing()
    for word in (" or", " not", " to be"):
        keeper.keep(text, "m", "")
        done(librarian)
        assert texts(folder) == [text.manuscript.text]  # while the session lives: another one reads it
        text.manuscript.write(token(word), ("x",))
    keeper.keep(text, "m", "")
    text.begin("?", 8)
    text.manuscript.write(token("!"), ("x",))
    keeper.keep(text, "m", "")
    assert librarian.close(10)
    assert texts(folder) == ["To be or not to be?!"]
    store = Store(folder)
    (listed,) = store.texts()
    loaded = store.load_text(listed.id)
    store.close()
    assert loaded is not None
    assert loaded.turns == text.manuscript.turns
    assert listed.characters == 20


def test_what_a_turn_had_before_it_was_written_again_is_not_mixed_into_it(folder: Path) -> None:
    librarian = Librarian(lambda: folder)
    keeper, text = TextKeeper(librarian), writing()
    for word in (" one", " two", " three"):
        text.manuscript.write(token(word), ("x",))
        keeper.keep(text, "m", "")
        done(librarian)
    text.manuscript.begin_again(9)
    text.manuscript.write(token(" else"), ("x",))
    keeper.keep(text, "m", "")
    assert librarian.close(10)
    assert texts(folder) == ["To be else"]


def test_words_in_the_prompt_come_back_once_and_not_while_their_session_lives(folder: Path) -> None:
    librarian = Librarian(lambda: folder)
    TextKeeper(librarian).keep(writing("To be", " or"), "m", "not se")
    done(librarian)
    other = Store(folder)
    assert other.take_place() is None
    text_id = other.texts()[0].id
    other.close()
    assert librarian.close(10)
    later = Store(folder)
    assert later.take_place() == Place(text_id, "not se")
    assert later.take_place() is None
    later.close()


def test_who_leaves_from_an_empty_page_begins_anew(folder: Path) -> None:
    librarian = Librarian(lambda: folder)
    keeper = TextKeeper(librarian)
    keeper.keep(writing("To be", " or"), "m", "word")
    keeper.keep(Writing(), "m", "")
    assert librarian.close(10)
    store = Store(folder)
    assert store.take_place() is None
    store.close()


def test_a_library_that_is_locked_while_it_is_used_loses_nothing(folder: Path) -> None:
    librarian = Librarian(lambda: folder)
    keeper, text = TextKeeper(librarian), writing("To be", " or")
    keeper.keep(text, "m", "")
    done(librarian)
    holder = sqlite3.connect(folder / "library.sqlite3", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    text.manuscript.write(token(" not"), ("x",))
    keeper.keep(text, "m", "typed")
    done(librarian)
    (aside,) = folder.glob("library-aside-*.sqlite3")
    text.manuscript.write(token(" to be"), ("x",))
    keeper.keep(text, "m", "typed more")
    assert librarian.close(10)
    assert str(aside) in librarian.parting
    assert any("join it later" in notice for notice in librarian.notices)
    holder.execute("ROLLBACK")
    holder.close()
    assert texts(folder) == ["To be or not to be"]
    assert not list(folder.glob("library-aside-*"))
    store = Store(folder)
    place = store.take_place()
    store.close()
    assert place is not None
    assert place.prompt == "typed more"


class FailingConnection(sqlite3.Connection):
    """Fails the n-th statement and all later ones, in the files that `hits` names."""

    left = math.inf
    error: Callable[[], Exception] = staticmethod(lambda: sqlite3.OperationalError("database or disk is full"))
    hits: Callable[[str], bool] = staticmethod(lambda path: True)

    def __init__(self, path: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(path, *arguments, **options)
        self.path = str(path)

    def execute(self, command: str, *values: Any) -> sqlite3.Cursor:
        kind = type(self)
        if kind.hits(self.path) and not command.startswith(("ROLLBACK", "SELECT", "PRAGMA", "DETACH")):
            kind.left -= 1
            if kind.left < 0:
                raise kind.error()
        return super().execute(command, *values)


def failing(monkeypatch: pytest.MonkeyPatch, hits: Callable[[str], bool]) -> type[FailingConnection]:
    class Failing(FailingConnection):
        pass

    Failing.hits = staticmethod(hits)
    connect = sqlite3.connect
    monkeypatch.setattr(
        "sg_tui.library.store.sqlite3.connect", lambda *given, **named: connect(*given, **named, factory=Failing)
    )
    return Failing


def write_some(folder: Path, connection: type[FailingConnection], nth: float) -> tuple[Librarian, str]:
    """A session in which the n-th change of a file fails, and all later ones; its whole text."""
    connection.left = math.inf
    librarian = Librarian(lambda: folder)
    keeper, text = TextKeeper(librarian), writing()
    done(librarian)
    connection.left = nth
    for word in (" or", " not", " to be"):
        text.manuscript.write(token(word), ("x",))
        keeper.keep(text, "m", word)
        done(librarian)
    text.begin(" that", 8)
    keeper.keep(text, "m", "")
    assert librarian.close(10)
    return librarian, text.manuscript.text


@pytest.mark.parametrize("nth", range(44))
def test_whichever_write_fails_the_text_is_kept_aside_and_joins_the_library(
    folder: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    connection = failing(monkeypatch, lambda path: path.endswith("library.sqlite3"))
    librarian, whole = write_some(folder, connection, nth)
    failed = connection.left < 0
    connection.left = math.inf
    assert failed == bool(librarian.parting)
    assert texts(folder) == [whole]
    assert nth < 40 or not failed  # the last ones: nothing is left to fail


@pytest.mark.parametrize("nth", range(0, 42, 5))
def test_a_full_disk_sends_the_text_to_the_temporary_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    connection = failing(monkeypatch, lambda path: str(folder) in path)
    librarian, whole = write_some(folder, connection, nth)
    failed = connection.left < 0
    connection.left = math.inf
    assert failed == ("temporary" in librarian.parting)
    assert texts(folder) == [whole]


def test_damage_found_while_working_costs_no_word(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = failing(monkeypatch, lambda path: path.endswith("library.sqlite3"))
    connection.error = staticmethod(lambda: sqlite3.DatabaseError("database disk image is malformed"))
    librarian = Librarian(lambda: folder)
    keeper, text = TextKeeper(librarian), writing()
    keeper.keep(text, "m", "")
    done(librarian)
    connection.left = 1

    def heal(store: Store) -> None:
        connection.left = math.inf

    text.manuscript.write(token(" or"), ("x",))
    keeper.keep(text, "m", "")
    done(librarian)
    librarian.ask(heal)
    assert librarian.close(10)
    assert list(folder.glob("library-damaged-*.sqlite3"))
    assert texts(folder) == ["To be or"]


def test_when_no_file_takes_it_that_is_said_and_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = failing(monkeypatch, lambda path: path != ":memory:")
    librarian = Librarian(lambda: folder)
    keeper, text = TextKeeper(librarian), writing()
    done(librarian)
    connection.left = 0
    keeper.keep(text, "m", "")
    done(librarian)
    assert librarian.unsafe
    connection.left = math.inf
    done(librarian)
    assert librarian.close(10)
    assert "joins it later" in librarian.parting
    assert texts(folder) == ["To be"]


def test_a_list_with_bad_bytes_in_it_is_shown(folder: Path) -> None:
    store = Store(folder)
    store.save_text("a", writing("To be").manuscript, "m", "complete")
    store.close()
    database = sqlite3.connect(folder / "library.sqlite3")
    with database:
        database.execute("UPDATE texts SET title = CAST(x'63e9' AS TEXT), updated = 'now', model = x'ff'")
    database.close()
    store = Store(folder)
    (listed,) = store.texts()
    store.close()
    assert (listed.title, listed.updated) == ("c\ufffd", 0.0)


def test_texts_among_the_temporary_files_of_someone_else_are_left_alone(folder: Path, tmp_path: Path) -> None:
    store = Store(folder)
    store.step_aside("it is locked")
    store.save_text("a", writing("mine").manuscript, "m", "complete")
    store.close()
    (aside,) = folder.glob("library-aside-*.sqlite3")
    from sg_tui.library.elsewhere import last_folder

    other = last_folder(folder)
    other.mkdir(mode=0o777)
    other.chmod(0o777)
    aside.rename(other / aside.name)
    assert texts(folder) == []
