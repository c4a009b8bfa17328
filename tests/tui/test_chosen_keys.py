"""Keys that a person chose: read as people write them, refused where they would mean two things."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_tui.keys import ACTIONS, actions, bindings, choose, chosen, first_key, footer, help_sections, key_text, name_of
from sg_tui.keys.chosen import parse, wrong


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    yield
    choose({}, ACTIONS)


def test_every_key_of_the_table_can_be_written_as_it_is_shown() -> None:
    for action in ACTIONS:
        for key in action.keys:
            assert parse(key_text(key)) == (key,) == parse(key)


def test_a_chosen_key_is_told_wherever_keys_are() -> None:
    assert choose({"write.retry": "Ctrl+E F11"}, ACTIONS) == []
    assert chosen() == {"write.retry": ("ctrl+e", "f11")}
    assert first_key("retry") == "ctrl+e"
    assert next(action for action in actions("write") if action.id == "retry").key_text == "Ctrl+E F11"
    assert any(action.keys == ("ctrl+e", "f11") for action in footer(["write"]))
    assert "Ctrl+E F11" in {keys for _, rows in help_sections() for keys, _ in rows}
    (usual,) = [one for one in bindings("write") if one.action == "retry"]
    assert (usual.key, usual.id) == ("ctrl+r", "write.retry")  # the keymap changes it


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("ctrl+z", "Ctrl+Z is taken: Take back the last part"),
        ("F1", "F1 is taken: What every key does"),
        ("enter", "Enter is taken: "),
        ("x", "x is typed there"),
        ("Ctrl+Nothing", "is no key"),
        ("strg+e", "is no key"),
        ("alt+f4", "Alt with a letter or a digit alone"),
        ("", "a key is missing"),
    ],
)
def test_what_can_not_be_is_told_and_the_usual_key_stays(keys: str, problem: str) -> None:
    (told,) = choose({"write.retry": keys}, ACTIONS)
    assert problem in told
    assert chosen() == {}
    assert first_key("retry") == "ctrl+r"


def test_a_key_that_was_given_up_is_free() -> None:
    assert choose({"write.undo": "ctrl+e", "write.retry": "ctrl+z"}, ACTIONS) == []


def test_the_same_key_may_mean_something_else_in_another_view() -> None:
    assert choose({"train.pause": "a"}, ACTIONS) == []
    assert choose({"train.pause": "s"}, ACTIONS) != []


def test_an_action_of_another_version_is_passed_over() -> None:
    assert choose({"write.dance": "ctrl+e"}, ACTIONS) == []


@given(st.text())
def test_any_words_are_keys_or_are_told(words: str) -> None:
    retry = next(action for action in ACTIONS if name_of(action) == "write.retry")
    problem = wrong(retry, words, ACTIONS)
    assert problem or parse(words)
