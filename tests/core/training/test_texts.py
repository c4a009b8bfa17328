"""Texts to train on: no byte lost silently, unusable files named, folders in order, large files a piece at a time."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_core import memory
from sg_core.errors import DataError
from sg_core.text.byte_bpe import SYMBOLS
from sg_core.text.tokenizer import Tokenizer
from sg_core.text.vocabulary import learn_vocabulary
from sg_core.training import text_files, texts
from sg_core.training.dataset import TextDataset
from sg_core.training.sources import NAMED, survey
from sg_core.training.texts import Texts, read_text, read_texts

GOLDEN = "8082107240d3190f3bdee9b66c2b3caa4d18bfe7339957737d7d7d9f4e970ea3"
END = "<|endoftext|>"
BYTES = Tokenizer({symbol: byte for byte, symbol in enumerate([*SYMBOLS, END])}, [])  # one token a byte, and the end
WORDS = learn_vocabulary("the lantern of the watch goes up the hill, é😀 and all the town is sleeping. " * 90, 400)


def packed(data: bytes) -> bytes:
    """Compressed without a date: it names tests, which every process that runs some must call alike."""
    return gzip.compress(data, mtime=0)


def write(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "text.txt"
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain\n", "plain\n"),
        (b"\xef\xbb\xbfwith a mark", "with a mark"),
        (b"\xef\xbb\xbf\xef\xbb\xbftwice", "\ufefftwice"),
        (b"one\r\ntwo\rthree\n", "one\r\ntwo\rthree\n"),
        ("é😀\x1b[0m\x0c\u2028".encode(), "é😀\x1b[0m\x0c\u2028"),
        pytest.param(b"x" * (20 << 20), "x" * (20 << 20), id="twenty megabytes"),
        ("é😀\r\nx".encode("utf-16"), "é😀\r\nx"),
        (b"\xfe\xff" + "é😀\r\nx".encode("utf-16-be"), "é😀\r\nx"),
        ("é😀\r\nx".encode("utf-32"), "é😀\r\nx"),
        (packed("\ufeffé\r\n".encode()), "é\r\n"),
        (packed(b"one ") + gzip.compress(b"two"), "one two"),
        (packed("é".encode("utf-16")), "é"),
    ],
    ids=[
        "plain",
        "byte order mark",
        "only the first mark",
        "line ends",
        "any character",
        "one huge line",
        "UTF-16",
        "UTF-16 of the other order",
        "UTF-32",
        "gzip with a mark",
        "gzip of two parts",
        "gzip of UTF-16",
    ],
)
def test_a_file_is_read_as_it_is(tmp_path: Path, data: bytes, text: str) -> None:
    source = read_text(write(tmp_path, data))
    assert source.name == "text.txt"
    assert source.text == text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"abc\nd\xffe", r"is not UTF-8: byte 5 \(line 2\) is 0xff; convert it"),
        (b"abc\xe2\x82", r"is not UTF-8: byte 3 \(line 1\)"),
        (b"abc\0def", "has a NUL byte at byte 3"),
        ("text".encode("utf-16-le"), r"a NUL byte at byte 1; it may be UTF-16 without a mark: iconv -f UTF-16LE"),
        ("text".encode("utf-16-be"), r"a NUL byte at byte 0; it may be UTF-16 without a mark: iconv -f UTF-16BE"),
        ("text".encode("utf-16") + b"x", r"is not UTF-16: byte 10 \(line 1\) is 0x78; it is damaged"),
        ("a\0b".encode("utf-16"), "has a null character, although it is marked as UTF-16"),
        (b"PK\x03\x04zip", "is a zip archive or an office document; unpack it"),
        (b"%PDF-1.7", "is a PDF; convert it first"),
        (b"BZh91AY", "compressed with bzip2; unpack it first: bunzip2"),
        (packed(b"abc" * 1000)[:-9], "is damaged: it is no whole gzip file"),
        (packed(b"abc\0"), "has a NUL byte at byte 3"),
        (packed(b""), "is empty"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_text(write(tmp_path, data))


def test_what_is_not_a_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, message in {
        "missing": "no such file",
        "fifo": "not a regular file",
        "loop": "symbolic links",
        "nul\0name": "a null character",
    }.items():
        with pytest.raises(DataError, match=message):
            read_text(str(tmp_path / name))


@pytest.mark.parametrize("sources", [[], [""], ["python-docs", ""]])
def test_an_empty_name_is_no_text(sources: list[str]) -> None:
    with pytest.raises(DataError, match="no text is named; name a file, a folder"):
        read_texts(sources)


def test_reading_reports_progress_and_can_be_stopped(tmp_path: Path) -> None:
    path = write(tmp_path, b"x" * 1000)
    seen: list[tuple[str, int, int]] = []
    read_text(path, progress=lambda *state: seen.append(state))
    assert seen == [("text.txt", 1000, 1000)]
    with pytest.raises(DataError, match="was stopped"):
        read_text(path, cancelled=lambda: True)


def test_a_text_beyond_the_memory_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 10_000)
    with pytest.raises(DataError, match=r"training on .*text.txt needs .* memory, .* or use a part of the text"):
        read_text(write(tmp_path, b"x" * 2000))
    read_text(write(tmp_path, b"x" * 1000))


def test_python_docs_are_there_offline_and_the_same_every_time() -> None:
    source = read_text("python-docs")
    assert len(source.text) > 100_000
    assert "assert_stmt" in source.text
    assert read_text("python-docs").text == source.text


def documents(found: Texts) -> list[str]:
    return ["".join(document) for document in found.documents()]


def test_several_files_are_documents_in_the_order_they_are_named(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(f"text {name}")
    found = read_texts([str(tmp_path / name) for name in "cab"])
    assert documents(found) == ["text c", "text a", "text b"]
    assert (found.name, found.characters) == ("c and 2 more", 18)


def test_a_folder_is_read_in_the_order_of_its_paths_whatever_the_disk_says(tmp_path: Path) -> None:
    folder = tmp_path / "book"
    for name in ("b/2.txt", "b/10.txt", "a.txt", "B.md", "c/d/e.py", ".git/config", "c/.hidden"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "empty").touch()
    found = read_text(str(folder))
    assert documents(found) == ["B.md", "a.txt", "b/10.txt", "b/2.txt", "c/d/e.py"]
    assert found.name == "book"
    assert found.left_out == ()


def test_what_is_no_text_in_a_folder_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (tmp_path / "book.pdf").write_bytes(b"%PDF-1.7\n%\xe2\xe3")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "wide.txt").write_bytes("wide".encode("utf-16"))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(b"packed"))
    found = read_text(str(tmp_path))
    assert documents(found) == ["text", "packed", "wide"]
    assert [Path(name).name for name in found.left_out] == ["book.pdf", "image.png", "pipe"]


def test_a_file_of_a_folder_that_would_lose_bytes_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "latin1.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin1.txt is not UTF-8: byte 3"):
        read_text(str(tmp_path))


def test_a_folder_without_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"\0")
    with pytest.raises(DataError, match=r"holds no text files"):
        read_text(str(tmp_path))
    with pytest.raises(DataError, match=r"no text is named"):
        read_texts([])


# ---------------------------------------------------------------- JSON lines


def lines(tmp_path: Path, text: str, name: str = "chat.jsonl") -> str:
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_each_json_line_is_a_document(tmp_path: Path) -> None:
    records = [{"id": 1, "text": "one\ntwo"}, {"text": "é\u2028😀"}, {"text": ""}, {"text": "last"}]
    text = "\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    expected = ["one\ntwo", "é\u2028😀", "last"]
    assert documents(read_text(lines(tmp_path, text))) == expected
    assert documents(read_text(lines(tmp_path, text.replace("\n", "\r\n\r\n") + "\r\n"))) == expected
    (tmp_path / "chat.jsonl.gz").write_bytes(gzip.compress(text.encode("utf-8-sig")))
    assert documents(read_text(str(tmp_path / "chat.jsonl.gz"))) == expected


def test_another_field_of_json_lines_can_be_asked_for(tmp_path: Path) -> None:
    path = lines(tmp_path, '{"text": "a", "body": "b"}')
    assert documents(read_texts([path], field="body")) == ["b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"text": "a"}\n{"body": "b", "n": 1}', r"line 2, the field 'text' does not exist; .*: body \(see --field\)"),
        ('{"text": 5, "body": "b"}', r"line 1, the field 'text' holds no text; fields with a text: body"),
        ('{"text": "a"}\n\n{"text": ', r"line 3, is not JSON: "),
        ('["text"]', r"line 1, is no JSON object"),
        ("[" * 100_000, r"line 1, is not JSON: "),
        ('{"text": ""}\n', r"is empty; a text to train on is needed"),
    ],
)
def test_a_json_line_without_a_text_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_text(lines(tmp_path, text))
    assert str(caught.value).isprintable()


# ---------------------------------------------------------------- tokens


def test_between_two_documents_stands_the_end_token() -> None:
    found = Texts.of("x", "a" * 10, "b" * 5, "c" * 5)
    data = TextDataset.from_texts(found, BYTES)
    assert data.train_ids.tolist() == [*[97] * 10, 256, *[98] * 5, 256, *[99] * 3]
    assert data.validation_ids.tolist() == [99, 99]
    assert (data.train_chars, data.validation_chars) == (18, 2)
    no_end = Tokenizer({symbol: byte for byte, symbol in enumerate(SYMBOLS)}, [])
    assert TextDataset.from_texts(found, no_end).train_ids.tolist()[10] == 10


def test_one_document_gives_the_tokens_that_it_always_gave() -> None:
    """The figure is that of version 0.1."""
    text = "".join(f"{number * 7919 % 1000} lanterns{'.' if number % 3 else chr(10)} é" for number in range(5000))
    assert TextDataset.from_text("x", text, WORDS).fingerprint == GOLDEN


def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "BLOCK", 1000)
    monkeypatch.setattr(texts, "KEPT", 2000)
    monkeypatch.setattr(texts, "PIECE", 500)
    monkeypatch.setattr(texts, "_FARTHEST", 300)


def test_a_large_text_is_read_in_pieces_and_gives_the_same_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = "".join(
        f"{number} lanterns, é😀{' ' * (number % 40)}of the {chr(10) * (number % 3)}" for number in range(900)
    )
    (tmp_path / "a.txt").write_text(written)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(written[::-1].encode("utf-16")))
    sources = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt.gz")]
    whole = read_texts(sources)
    small_pieces(monkeypatch)
    found = read_texts(sources)
    lengths = [len(piece) for piece in found.pieces() if piece is not None]
    assert len(lengths) > 50
    assert max(lengths) <= 2000
    assert documents(found) == documents(whole)
    assert found.characters == whole.characters
    assert found.beginning(3000) == whole.beginning(3000) == written[:3000]
    assert TextDataset.from_texts(found, WORDS).fingerprint == TextDataset.from_texts(whole, WORDS).fingerprint


@given(st.text(alphabet="ab1.,'é😀 \n\t\u3000", min_size=1200, max_size=3000))
def test_pieces_of_any_text_give_the_tokens_of_the_whole(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        small_pieces(patch)
        pieces = list(texts._cut(iter([text[start : start + 100] for start in range(0, len(text), 100)])))
    assert "".join(pieces) == text
    assert [id for piece in pieces for id in WORDS.encode(piece)] == WORDS.encode(text)


def test_a_large_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pieces(monkeypatch)
    (tmp_path / "log").write_text("line of a log\n" * 500)
    found = read_text(str(tmp_path / "log"))
    (tmp_path / "log").write_text("line of a log\n" * 501)
    with pytest.raises(DataError, match="was changed while it was read; try again"):
        TextDataset.from_texts(found, BYTES)


def test_a_nul_byte_at_the_beginning_is_found_before_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 1 << 40)
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(3 << 30)  # a hole: it takes no room
    seen: list[int] = []
    with pytest.raises(DataError, match="has a NUL byte at byte 0"):
        read_text(str(path), progress=lambda what, done, total: seen.append(done))
    assert seen == []


def test_more_tokens_than_there_is_memory_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 50_000)
    with pytest.raises(DataError, match=r"training on x, of which [\d,]+ tokens are read, needs .* use a part"):
        TextDataset.from_text("x", "a" * 500_000, BYTES)
    assert len(TextDataset.from_text("x", "a" * 60_000, BYTES).train_ids) == 54_000


def test_ids_are_whole_numbers_of_four_bytes() -> None:
    data = TextDataset.from_text("x", "a" * 1000, BYTES)
    assert data.train_ids.dtype == data.validation_ids.dtype == np.int32
    assert data.train_ids.flags.c_contiguous


# ------------------------------------------------------------------ patterns, and how much they hold


def test_a_pattern_means_the_files_that_fit_it_in_their_order(tmp_path: Path) -> None:
    for name, text in (("b.txt", "second "), ("a.txt", "first "), ("c.md", "no "), ("sub/d.txt", "deep ")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert documents(read_texts([str(tmp_path / "*.txt")])) == ["first ", "second "]
    assert documents(read_texts([str(tmp_path / "**" / "*.txt")])) == ["first ", "second ", "deep "]
    assert documents(read_texts([str(tmp_path / "s*")])) == ["deep "]
    with pytest.raises(DataError, match=r"no file is called .*\.doc; name a text file"):
        read_texts([str(tmp_path / "*.doc")])


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("itself")
    (tmp_path / "a1.txt").write_text("another")
    assert documents(read_texts([str(tmp_path / "a[1].txt")])) == ["itself"]


def test_what_sources_hold_is_known_without_reading_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("12345")
    (tmp_path / "b.txt").write_text("678")
    found = survey([str(tmp_path), "python-docs", str(tmp_path / "b.*")])
    assert (found.files, found.size) == (4, 11 + NAMED["python-docs"])
    with pytest.raises(DataError, match="gone"):
        survey([str(tmp_path / "gone")])
