"""A text leaves as a file and comes back; whatever stands in it is text in every format."""

from __future__ import annotations

import math
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_core.inference.token import Token
from sg_tui.library.export import FORMATS, Document, as_html, as_json, export, markdown, read
from sg_tui.state.manuscript import Manuscript, Piece
from sg_tui.terminal.textsafe import safe, safe_line

HOSTILE = '<script>alert("x")</script> & **b** [a](b)\n# no title\n\x1b[31m'


def document(typed: str = "ROMEO:\n", written: str = "What light", title: str = "a title") -> Document:
    manuscript = Manuscript()
    manuscript.begin([Piece(typed, "person")], typed, 7)
    manuscript.write(Token(5, written, -1.0, ((5, -1.0), (6, -2.0)), math.nan, {}), (written, '"other"'))
    return Document(title, "tiny", "chat", manuscript)


class Page(HTMLParser):
    """The text and the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()
        self._in = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._in = "" if tag == "style" else "pre" if tag == "pre" else self._in

    def handle_endtag(self, tag: str) -> None:
        self._in = "" if tag == "pre" else self._in

    def handle_data(self, data: str) -> None:
        self.text += data if self._in == "pre" else ""


TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "p", "pre", "span"}


@given(typed=st.text(), written=st.text(), title=st.text())
def test_whatever_is_written_is_words_in_html(typed: str, written: str, title: str) -> None:
    page = Page()
    page.feed(as_html(document(typed, written, title)))
    page.close()
    assert page.tags <= TAGS
    assert page.text == safe(typed) + safe(written)


def test_html_tints_by_surprise_and_tells_the_alternatives() -> None:
    page = as_html(document())
    assert f"--tint:{1 / math.log(2) / 12:.2f}" in page
    assert "36.8 %, 1.4 bits" in page
    assert "&quot;other&quot;" in page
    hostile = as_html(document(HOSTILE, HOSTILE, HOSTILE))
    assert "<script>" not in hostile
    assert "\x1b" not in hostile


def test_in_markdown_nothing_of_the_text_is_markup() -> None:
    page = markdown(document(HOSTILE, "two\nlines", HOSTILE))
    heading, rest = page.split("\n\n", 1)
    assert heading.startswith("# ")
    assert "\\# no title" in rest
    assert "\\*\\*b\\*\\*" in rest
    assert "<script" not in page.replace("\\<", "")
    assert "two\\\nlines" in rest


def test_a_file_gets_the_form_of_its_suffix() -> None:
    for suffix, form in FORMATS.items():
        assert export(document(), suffix.upper()) == form(document())
    assert export(document(), ".poem") == "ROMEO:\nWhat light"


def test_what_was_exported_as_json_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "text.json"
    path.write_text(as_json(document()), encoding="utf-8")
    back = read(path)
    assert (back.title, back.model, back.mode) == ("a title", "tiny", "chat")
    assert as_json(back) == as_json(document())


def test_any_other_file_is_what_a_person_wrote(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"one\r\n caf\xe9")
    back = read(path)
    assert [(piece.author, piece.text) for piece in back.manuscript.pieces] == [("person", "one\r\n caf\ufffd")]
    assert back.title == "notes"


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b'{"format": "x"}', b"{", b"[" * 100_000, b'{"format": 3, "version": 1}']
)
def test_a_file_that_is_no_export_is_refused_in_a_line(tmp_path: Path, content: bytes) -> None:
    for name in ("bad.json", "bad\x1b.json"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match="no text that sg-tui exported") as caught:
            read(path)
        assert str(caught.value) == safe_line(str(caught.value))


def test_an_empty_file_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        read(tmp_path / "a.txt")
