"""A text with everything that the library keeps of one, and everything that the screens ask of it."""

from __future__ import annotations

import math

from sg_core.engine.commands import Scale
from sg_core.inference.token import Token
from sg_tui.library.tree_file import dump_tree, load_tree
from sg_tui.state.manuscript import Manuscript, Piece


def token(id: int, text: str) -> Token:
    return Token(id, text, -0.5, ((id, -0.5), (6, -1.5)), math.nan, {})


def manuscript(words: str) -> Manuscript:
    """With branches, an alternative that was taken, and tokens of a model that was changed."""
    text = Manuscript()
    text.begin([Piece("ROMEO:\n", "cue"), Piece(words, "person")], words, seed=7)
    for number in range(5):
        text.write(token(number, f" or {number}"), (" or", "!"), (Scale(1, 2, 0.5),))
    text.take(4, 1)
    text.begin_again(8)
    text.write(token(5, "!"), ("!", "?"))
    return text


def walk(text: Manuscript) -> None:
    """Everything that the screens ask of a text."""
    text.turns  # noqa: B018
    for node, _ in list(text.tree.walk()):
        for place in (text.tree.end(node), node.place, text.tree.leaf(node)):
            text.tree.branches(place)
            text.go(place)
            assert len(text.title) < 100
    text.undo()
    assert load_tree(dump_tree(text)).text == text.text
