"""Names shown in messages are inert; a file is replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sg_core.errors import DataError, ModelFileError
from sg_core.files import absolute, given_path, make_folder, read_bytes, read_json_object, replacing, shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain name.txt", "plain name.txt"),
        ("größe 中文 😀", "größe 中文 😀"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\u202etxt.exe\u2066", "\\u202etxt.exe\\u2066"),
        ("\x9b31m\udcff", "\\x9b31m\\udcff"),
        (Path("a/b"), "a/b"),
    ],
)
def test_a_name_can_do_nothing_to_a_terminal(name: object, text: str) -> None:
    assert shown(name) == text
    assert shown(name).isprintable()


def test_a_message_shows_both_ends_of_a_long_name() -> None:
    for name in ("a" * 5000 + "z", "\x1b" * 5000 + "z"):
        text = shown(name)
        assert len(text) < 500
        assert text.isprintable()
        assert text.endswith("z")


@pytest.mark.parametrize(
    ("name", "reason"), [("x" * 300, "too long"), ("a/" * 3000, "too long"), ("a\0b", "null"), ("\ud800", "broken")]
)
def test_a_name_that_no_file_can_have_is_refused_in_a_line(name: str, reason: str) -> None:
    with pytest.raises(DataError, match=f"can't be the name of a file: .*{reason}") as caught:
        given_path(name, DataError)
    assert str(caught.value).isprintable()
    assert absolute(name) == name


def test_a_home_folder_of_nobody_is_part_of_the_name() -> None:
    assert given_path("~nobody-is-called-so/x", DataError) == Path("~nobody-is-called-so/x")
    assert given_path("~/x", DataError) == Path.home() / "x"


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path, DataError) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_failure_while_writing_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail_half_way() -> None:
        with replacing(path, DataError) as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    with pytest.raises(DataError, match="can't be written: input/output error"), replacing(path, DataError):
        raise OSError(5, "Input/output error")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"{}" * 50)
    assert len(read_bytes(tmp_path / "file", 100, DataError)) == 100
    with pytest.raises(DataError, match=r"file has 100 bytes; at most 99 are read"):
        read_bytes(tmp_path / "file", 99, DataError)


def test_a_number_of_too_many_digits_is_refused_without_advice_for_programmers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('{"n": ' + "1" * 5000 + "}")
    with pytest.raises(DataError, match=r"file holds a number of too many digits$"):
        read_json_object(tmp_path / "file", 10_000, DataError)


def test_errors_are_of_the_kind_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"missing can't be read: no such file or directory"):
        read_json_object(tmp_path / "missing", 10, ModelFileError)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"the folder .*file/new can't be made: not a directory"):
        make_folder(tmp_path / "file" / "new", DataError)
