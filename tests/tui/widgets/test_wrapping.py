"""Wrapped text: nothing lost, nothing wider than the view, the same however it came in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_tui.terminal.textsafe import safe
from sg_tui.widgets.wrapping import WrappedText, width_of

TEXT = st.text(alphabet="ab c\n\t漢é\u0301👍-", max_size=60).map(safe)
WIDTH = st.integers(4, 12)  # a tab takes up to four cells


def rows(wrapped: WrappedText) -> list[str]:
    return [wrapped.text[slice(*wrapped.span(row))] for row in range(len(wrapped))]


def wrap(text: str, width: int) -> WrappedText:
    wrapped = WrappedText(width)
    wrapped.append(text)
    return wrapped


def cells(text: str) -> int:
    column = 0
    for character in text:
        column += width_of(character, column)
    return column


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("", 5, [""]),
        ("to be or not", 5, ["to be ", "or ", "not"]),
        ("to be", 5, ["to be"]),
        ("tobeornot", 4, ["tobe", "orno", "t"]),
        ("a\n\nb\n", 5, ["a", "", "b", ""]),
        ("漢字漢字", 5, ["漢字", "漢字"]),
        ("ab漢字", 5, ["ab漢", "字"]),
        ("abce\u0301f", 4, ["abce\u0301", "f"]),
        ("a\tb", 5, ["a\tb"]),
        ("ab  cd", 3, ["ab  ", "cd"]),
    ],
)
def test_words_stay_whole_where_they_can(text: str, width: int, expected: list[str]) -> None:
    assert rows(wrap(text, width)) == expected


@given(TEXT, WIDTH)
def test_every_character_stands_in_exactly_one_row(text: str, width: int) -> None:
    wrapped = wrap(text, width)
    ends = [*wrapped.starts[1:], len(text)]
    assert "".join(text[start:end] for start, end in zip(wrapped.starts, ends, strict=True)) == text
    assert wrapped.starts == sorted(wrapped.starts)
    for row, (start, end) in enumerate(zip(wrapped.starts, ends, strict=True)):
        shown = wrapped.text[slice(*wrapped.span(row))]
        assert text[start:end] in (shown, shown + "\n")


@given(TEXT, WIDTH)
def test_no_row_is_wider_than_the_view(text: str, width: int) -> None:
    for row in rows(wrap(text, width)):
        hanging = row[:-1] if row.endswith((" ", "\t")) else row
        assert cells(hanging) <= width


@given(st.lists(TEXT, max_size=12), WIDTH)
def test_text_that_comes_in_parts_is_wrapped_as_if_it_came_at_once(parts: list[str], width: int) -> None:
    wrapped = WrappedText(width)
    for part in parts:
        wrapped.append(part)
    assert rows(wrapped) == rows(wrap("".join(parts), width))


@given(TEXT, st.integers(0, 60), WIDTH, WIDTH)
def test_cutting_and_another_width_leave_no_trace(text: str, length: int, width: int, other: int) -> None:
    wrapped = wrap(text, width)
    wrapped.cut(length)
    assert rows(wrapped) == rows(wrap(text[:length], width))
    wrapped.set_width(other)
    assert rows(wrapped) == rows(wrap(text[:length], other))


@given(TEXT, WIDTH)
def test_a_place_on_the_screen_leads_back_to_its_character(text: str, width: int) -> None:
    wrapped = wrap(text, width)
    for index, character in enumerate(text):
        if character != "\n" and width_of(character, 0):
            row, cell = wrapped.place(index)
            assert wrapped.index_at(row, cell) == index


def test_a_long_line_is_wrapped_in_time_that_grows_with_its_length() -> None:
    wrapped = wrap("word " * 200_000, 80)
    assert len(wrapped) == 200_000 * 5 / 80
