"""No character reaches the terminal that could command it or break the layout."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len, get_character_cell_size

from sg_tui.terminal.textsafe import raw_index, safe, safe_line

HARMFUL = [
    *range(0x20),
    0x7F,
    *range(0x80, 0xA0),
    0x200B,
    0x200E,
    0x202E,
    0x2028,
    0x2066,
    0x2069,
    0xFEFF,
    0xD800,
]


@pytest.mark.parametrize("code", [code for code in HARMFUL if chr(code) not in "\n\t"])
def test_every_control_becomes_one_visible_character(code: int) -> None:
    shown = safe(chr(code))
    assert len(shown) == 1
    assert get_character_cell_size(shown) == 1
    assert unicodedata.category(shown) == "So"


def test_the_table_is_the_promised_one() -> None:
    assert safe("\x1b]52;c;AA\x07") == "␛]52;c;AA␇"
    assert safe("a\rb\x08\x7f\x9b\u202e\ufeff") == "a␍b␈␡\ufffd\ufffd\ufffd"
    assert safe("line\n\ttab") == "line\n\ttab"
    assert safe_line("line\n\ttab") == "line␊␉tab"


def test_ordinary_text_stays_as_it_is() -> None:
    text = "Ünïcödé 漢字 e\u0301 [/bold] [ \\ 👍 🇫🇷 — “quotes”"
    assert safe(text) == text


@given(st.text())
def test_after_it_nothing_commands_a_terminal_and_all_can_be_encoded(text: str) -> None:
    shown = safe(text)
    assert all(unicodedata.category(one) not in ("Cc", "Cs", "Zl", "Zp") for one in shown if one not in "\n\t")
    assert all(unicodedata.bidirectional(one) not in ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI") for one in shown)
    shown.encode("utf-8")


@given(st.text())
def test_the_width_of_a_safe_line_is_the_sum_of_its_characters(text: str) -> None:
    shown = safe_line(text)
    assert "\n" not in shown
    assert cell_len(shown) == sum(map(get_character_cell_size, shown))


@given(st.lists(st.text(max_size=4)))
def test_a_sequence_split_across_tokens_is_as_harmless_as_a_whole_one(parts: list[str]) -> None:
    assert "".join(map(safe, parts)) == safe("".join(parts))


@given(st.text(alphabet="ab\u200d\ufe0f\U0001f3fd\x1b\n"))
def test_the_raw_text_behind_what_is_shown_is_found_again(raw: str) -> None:
    shown = safe(raw)
    for index, character in enumerate(shown):
        assert safe(raw[raw_index(raw, index)]) == character
    assert raw_index(raw, len(shown)) == len(raw)


@pytest.mark.parametrize(("limit", "shown"), [(0, "abcdef"), (6, "abcdef"), (4, "abc…")])
def test_a_line_is_cut_with_an_ellipsis(limit: int, shown: str) -> None:
    assert safe_line("abcdef", limit) == shown
