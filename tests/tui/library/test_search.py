"""What stands in a kept text is found: by words and their beginnings, with FTS5 and without."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_tui.library import marks, search
from sg_tui.library.search import SearchIndex
from sg_tui.library.store import Store
from sg_tui.state.manuscript import Manuscript, Piece


def text(words: str) -> Manuscript:
    manuscript = Manuscript()
    manuscript.begin([Piece(words, "person")])
    return manuscript


@pytest.fixture(params=[True, False], ids=["FTS5", "plain"])
def store(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(search, "has_fts", lambda database: request.param)
    store = Store(tmp_path)
    store.save_text("a", text("ROMEO:\nServingman, where is the café?"), "tiny", "complete")
    store.save_text("b", text("JULIET:\nThe lantern [of] the watch"), "tiny", "complete")
    return store


def found(index: SearchIndex, words: str) -> list[str]:
    return [hit.id for hit in index.find(words)]


def test_a_word_within_a_text_is_found_and_its_place_is_told(store: Store, tmp_path: Path) -> None:
    index = SearchIndex(tmp_path)
    assert index.take_in(store, store.texts())
    (hit,) = index.find("servingman")
    assert hit.id == "a"
    assert "Servingman, where" in hit.around
    assert "\n" not in hit.around
    assert found(index, "lant") == ["b"]
    assert found(index, "romeo lantern") == []
    assert found(index, "nowhere") == found(index, "") == found(index, '"*(') == []


def test_what_changes_or_goes_is_found_as_it_is_now(store: Store, tmp_path: Path) -> None:
    index = SearchIndex(tmp_path)
    index.take_in(store, store.texts())
    store.save_text("a", text("a candle"), "tiny", "complete")
    store.forget_text("b")
    index.take_in(store, store.texts())
    index.close()
    again = SearchIndex(tmp_path)
    assert (found(again, "candle"), found(again, "servingman"), found(again, "lantern")) == (["a"], [], [])


def test_a_large_library_is_taken_in_piece_by_piece(store: Store) -> None:
    index = SearchIndex(None)
    assert not index.take_in(store, store.texts(), seconds=-1)
    assert index.take_in(store, store.texts())
    assert found(index, "the") != []


@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_index_is_made_again(store: Store, tmp_path: Path, damage: bytes) -> None:
    (tmp_path / search.NAME).write_bytes(damage)
    index = SearchIndex(tmp_path)
    index.take_in(store, store.texts())
    assert found(index, "watch") == ["b"]


def test_an_index_made_without_fts5_is_made_again_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.save_text("a", text("a candle"), "tiny", "complete")
    for has in (False, True, False):
        monkeypatch.setattr(search, "has_fts", lambda database, has=has: has)
        index = SearchIndex(tmp_path)
        assert index.take_in(store, store.texts())
        assert (index.fts, found(index, "candle")) == (has, ["a"])
        index.close()


def test_where_no_file_can_be_made_memory_serves(store: Store, tmp_path: Path) -> None:
    index = SearchIndex(tmp_path / "nowhere")
    index.take_in(store, store.texts())
    assert found(index, "watch") == ["b"]


@given(words=st.text())
def test_no_words_are_a_query_of_their_own(words: str) -> None:
    index = SearchIndex(None)
    index.find(words)  # raises nothing
    index.close()


def test_this_python_has_fts5_or_says_so() -> None:
    database = sqlite3.connect(":memory:")
    try:
        database.execute("CREATE VIRTUAL TABLE one USING fts5(a)")
        works = True
    except sqlite3.OperationalError:
        works = False
    assert search.has_fts(database) == works


# ------------------------------------------------------------ names and deletions


def test_a_name_given_stays_while_the_text_grows(store: Store, tmp_path: Path) -> None:
    marks.rename(store, "a", "the café")
    store.save_text("a", text("other words"), "tiny", "complete")
    assert {one.id: one.title for one in Store(tmp_path).texts()}["a"] == "the café"
    marks.rename(store, "a", "")
    assert {one.id: one.title for one in store.texts()}["a"] == "other words"


def test_a_deleted_text_can_be_brought_back_until_long_after(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    marks.rename(store, "a", "kept name")
    marks.delete(store, "a")
    marks.forget_old(store)
    assert {one.id: one.deleted for one in store.texts()} == {"a": True, "b": False}
    assert marks.is_deleted(store, "a")
    marks.bring_back(store, "a")
    assert {one.id: (one.title, one.deleted) for one in store.texts()}["a"] == ("kept name", False)
    marks.delete(store, "a")
    monkeypatch.setattr(marks, "KEPT_SECONDS", -1.0)
    marks.forget_old(store)
    assert [one.id for one in store.texts()] == ["b"]
    assert store.load_text("a") is None
