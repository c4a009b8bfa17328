"""Streaming text: whatever the tokens cut apart, the pieces join to what the whole would have been."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_core.errors import SettingError
from sg_core.text.text_stream import CUE, TextStream


def run(pieces: list[bytes], stop: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    stream = TextStream(stop)
    texts = [stream.push(piece) for piece in pieces]
    return [*texts, stream.finish()], stream.stopped


def test_the_bytes_of_a_character_wait_until_it_is_whole() -> None:
    emoji = "😀".encode()
    assert run([b"a", emoji[:1], emoji[1:3], emoji[3:] + b"b"])[0] == ["a", "", "", "😀b", ""]


@pytest.mark.parametrize(
    ("pieces", "texts"),
    [
        ([b"a\x80b"], ["a\ufffdb", ""]),
        ([b"\xf0\x9f\x98"], ["", "\ufffd"]),
        ([b"\xf0", b"\x9f", b"A"], ["", "", "\ufffdA", ""]),
        ([b"\xff", b"\xfe"], ["\ufffd", "\ufffd", ""]),
        ([b"\xed\xa0\x80"], ["\ufffd\ufffd\ufffd", ""]),
        ([], [""]),
    ],
    ids=[
        "lone continuation",
        "end inside a character",
        "broken character",
        "never UTF-8",
        "surrogate",
        "nothing",
    ],
)
def test_what_is_no_utf_8_becomes_the_replacement_character(pieces: list[bytes], texts: list[str]) -> None:
    assert run(pieces)[0] == texts


@pytest.mark.parametrize(
    ("pieces", "stop", "text", "stopped"),
    [
        (["one\n", "\n", "two"], ("\n\n",), "one", True),
        (["one\n", "two\n"], ("\n\n",), "one\ntwo\n", False),
        (["a", "b", "a", "b", "c", "d"], ("abc",), "ab", True),
        (["xSTO", "PxSTOP", "y"], ("STOP",), "x", True),
        (["a😀", "😀b"], ("😀😀",), "a", True),
        (["hello world"], ("world", "o w", "wor"), "hell", True),
        (["STOP"], ("STOP",), "", True),
        (["STO"], ("STOP",), "STO", False),
        (["aaa", "aab"], ("aaaab",), "a", True),
        (["Ay me.\nNur", "se:", "\nMadam!"], (CUE,), "Ay me.", True),
        (["Ay.\nKING RICH", "ARD II:\n"], ("x", CUE), "Ay.", True),
        (["Ay.\nThus: and", "\nHear", " me:\nO\nHe"], (CUE,), "Ay.\nThus: and\nHear me:\nO\nHe", False),
    ],
)
def test_a_stop_string_ends_the_text_before_it(
    pieces: list[str], stop: tuple[str, ...], text: str, stopped: bool
) -> None:
    texts, ended = run([piece.encode() for piece in pieces], stop)
    assert ("".join(texts), ended) == (text, stopped)


def test_text_that_cannot_begin_a_stop_string_is_not_held() -> None:
    assert run([b"ab", b"x", b"aby"], ("abz",))[0] == ["", "abx", "aby", ""]


def test_nothing_comes_after_the_stop() -> None:
    stream = TextStream(("!",))
    assert stream.push(b"a!b") == "a"
    assert stream.push(b"c") == ""
    assert stream.finish() == ""


@pytest.mark.parametrize("stop", [("",), ("a", ""), "ab", (3,)])
def test_an_empty_stop_string_is_refused(stop: tuple[str, ...]) -> None:
    with pytest.raises(SettingError, match="stop is"):
        TextStream(stop)


@given(text=st.text(st.sampled_from("Ab :\n")), cuts=st.lists(st.integers(0, 30)))
def test_where_another_one_begins_to_speak_does_not_depend_on_the_pieces(text: str, cuts: list[int]) -> None:
    whole = run([text.encode()], (CUE,))
    ends = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[first:end].encode() for first, end in itertools.pairwise(ends)]
    texts, stopped = run(pieces, (CUE,))
    assert ("".join(texts), stopped) == ("".join(whole[0]), whole[1])


@given(
    text=st.text(st.sampled_from("abé😀\n")),
    cuts=st.lists(st.integers(1, 4), min_size=1),
    stop=st.lists(st.text(st.sampled_from("ab\n😀"), min_size=1, max_size=4), max_size=3).map(tuple),
)
def test_cutting_the_bytes_anywhere_changes_nothing(text: str, cuts: list[int], stop: tuple[str, ...]) -> None:
    data, place = text.encode(), 0
    pieces: list[bytes] = []
    while place < len(data):
        step = cuts[len(pieces) % len(cuts)]
        pieces.append(data[place : place + step])
        place += step
    texts, stopped = run(pieces, stop)
    if stopped:
        # the first stop string to be complete ends the text; it lies right after what was given
        given_text = "".join(texts)
        assert any(text.startswith(given_text + word) for word in stop)
        assert not any(word in given_text for word in stop)
    else:
        assert "".join(texts) == text
        assert not any(word in text for word in stop)


@given(data=st.lists(st.binary(max_size=5)))
def test_any_bytes_decode_as_the_whole_does(data: list[bytes]) -> None:
    assert "".join(run(data)[0]) == b"".join(data).decode("utf-8", "replace")
