"""A text that is changed anywhere: a branch, with what was kept under its own authors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sg_core.inference.token import Token
from sg_tui.state.editing import Editing
from sg_tui.state.manuscript import Manuscript, Piece
from sg_tui.terminal.textsafe import safe


def written(*tokens: str) -> Manuscript:
    manuscript = Manuscript()
    manuscript.begin([Piece("ROMEO:", "person")], "ROMEO:")
    for text in tokens:
        manuscript.write(Token(5, text, -0.5, ((5, -0.5),), 1.0, {}), (text,))
    return manuscript


def authors(manuscript: Manuscript) -> list[tuple[str, str, bool]]:
    return [(piece.text, piece.author, piece.token is not None) for piece in manuscript.pieces]


def test_a_word_in_the_middle_is_changed_and_the_old_text_stays() -> None:
    manuscript = written(" What", " light", " is")
    editing = Editing(manuscript)
    for text in ("ROMEO: What ligh is", "ROMEO: What night is"):
        editing.update(text)
    assert authors(manuscript) == [
        ("ROMEO:", "person", False),
        (" What", "model", True),
        (" ", "model", False),
        ("n", "edit", False),
        ("ight", "model", False),
        (" is", "model", False),
    ]
    assert len(manuscript.tree.nodes) == 3
    assert manuscript.undo()
    assert manuscript.text == "ROMEO: What light is"
    assert manuscript.redo()
    assert manuscript.text == "ROMEO: What night is"


def test_a_text_that_is_only_cut_needs_no_node_of_its_own() -> None:
    manuscript = written(" What", " light", " is")
    Editing(manuscript).update("ROMEO: What")
    assert authors(manuscript)[1:] == [(" What", "model", True)]
    assert len(manuscript.tree.nodes) == 2


def test_what_is_changed_back_is_the_old_text() -> None:
    manuscript = written(" What")
    editing = Editing(manuscript)
    editing.update("ROMEO: Who")
    editing.update("ROMEO: What")
    assert authors(manuscript)[1:] == [(" What", "model", True)]
    assert [node.author for node, _ in manuscript.tree.walk()] == ["person", "model"]


TEXTS = st.text(st.sampled_from("ab \n\x1b\x07漢\ud800\u202e"), max_size=5)


@given(st.lists(TEXTS, max_size=4), TEXTS, st.integers(0, 20), st.integers(0, 20))
def test_any_change_gives_the_text_that_was_typed(tokens: list[str], typed: str, one: int, other: int) -> None:
    manuscript = written(*tokens)
    before = manuscript.text
    editing = Editing(manuscript)
    shown = editing.text
    low, high = sorted((min(one, len(shown)), min(other, len(shown))))
    changed = shown[:low] + safe(typed) + shown[high:]
    editing.update(changed)
    assert safe(manuscript.text) == changed
    if changed == shown:
        assert manuscript.text == before
    else:
        assert manuscript.undo()
        assert manuscript.text == before
