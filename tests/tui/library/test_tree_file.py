"""A text with its branches goes out as JSON and comes in again as it was; anything else is refused with a line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_core.engine.commands import Scale
from sg_core.errors import SettingError
from sg_core.inference.token import Token
from sg_tui.library.tree_file import dump_tree, load_tree
from sg_tui.library.tree_table import dump_pieces, load_pieces
from sg_tui.state.manuscript import Manuscript
from sg_tui.state.piece import Author, Piece
from sg_tui.state.tree import START, Place, Tree, new_node, rooted

TEXTS = st.text(st.characters(), max_size=6)  # lone surrogates too
AUTHORS: tuple[Author, ...] = ("person", "model", "cue", "taken", "edit")
LOGPROBS = st.floats(-60, 0)
SMALL = st.integers(0, 47)


@st.composite
def pieces(draw: st.DrawFn) -> Piece:
    text, author = draw(TEXTS), draw(st.sampled_from(AUTHORS))
    if author not in ("model", "taken"):
        return Piece(text, author)
    top = draw(st.lists(st.tuples(st.integers(0, 50_256), LOGPROBS), max_size=3))
    token = Token(draw(st.integers(0, 50_256)), text, draw(LOGPROBS), tuple(top), math.nan, {})
    changes = draw(st.lists(st.builds(Scale, SMALL, st.none() | SMALL, st.floats(0, 4)), max_size=2))
    return Piece(text, author, token, tuple(draw(TEXTS) for _ in top), tuple(changes))


@st.composite
def trees(draw: st.DrawFn) -> Manuscript:
    tree, places = Tree(), [START]
    for _ in range(draw(st.integers(0, 6))):
        node = new_node(
            draw(st.sampled_from(places)),
            draw(st.sampled_from(["person", "model", "taken", "edit"])),
            draw(st.lists(pieces(), min_size=1, max_size=3)),
            draw(TEXTS),
            draw(st.integers(0, 1 << 62)),
            draw(TEXTS),
        )
        node.marked, node.folded, node.removed = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
        tree.add(node)
        places += [Place(node.id, length) for length in range(1, node.length + 1)]
    return Manuscript(tree=tree, head=draw(st.sampled_from(places)))


@given(trees())
def test_any_tree_comes_back_as_it_was(manuscript: Manuscript) -> None:
    again = load_tree(dump_tree(manuscript))
    assert again.pieces == manuscript.pieces
    assert dump_tree(again) == dump_tree(manuscript)
    facts = ("pieces", "at", "author", "typed", "seed", "model", "made", "marked", "folded", "removed")
    for one, other in zip(again.tree.nodes.values(), manuscript.tree.nodes.values(), strict=True):
        assert [getattr(one, name) for name in facts] == [getattr(other, name) for name in facts]


def test_a_tree_whose_nodes_came_in_another_order_goes_out_and_comes_in() -> None:
    """As the library gives it where the clock was set back between two sessions; a circle is cut."""
    first, second = new_node(START, "person", [Piece("a", "person")]), new_node(START, "model", [Piece("b", "model")])
    second.parent, second.at = first.id, 1
    text = Manuscript(tree=Tree([second, first]), head=Place(second.id, 1))
    assert load_tree(dump_tree(text)).text == text.text == "ab"
    first.parent, first.at = second.id, 1
    assert [(node.id, node.parent) for node in rooted([second, first])] == [(first.id, 0), (second.id, first.id)]


@given(st.lists(pieces(), max_size=4))
def test_pieces_come_back_from_the_library_as_they_were(some: list[Piece]) -> None:
    assert load_pieces(dump_pieces(some)) == some


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.update(format="text"), "no tree of a text"),
        (lambda data: data.update(version=9), "version 9"),
        (lambda data: data["nodes"][0].update(parent=1), "does not come before it"),
        (lambda data: data["nodes"][0].update(id=5), "is called 5"),
        (lambda data: data["nodes"][0].pop("pieces"), "can't be read"),
        (lambda data: data["nodes"][0].update(pieces=[[]]), "can't be read"),
        (lambda data: data.update(nodes=3), "can't be read"),
        (lambda data: data.pop("head"), "can't be read"),
        (lambda data: data["nodes"][0].update(seed=1 << 70), "too large"),
        (lambda data: data["nodes"][0].update(made=math.nan), "at no time"),
    ],
)
def test_what_is_no_tree_is_refused_with_a_line(change: Callable[[dict[str, Any]], object], words: str) -> None:
    manuscript = Manuscript()
    manuscript.begin([Piece("a", "person")])
    data = json.loads(dump_tree(manuscript))
    change(data)
    with pytest.raises(SettingError, match=words):
        load_tree(json.dumps(data))


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff\xfe\x00", b"{" * 2000, b"[" * 200_000])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(SettingError):
        load_tree(data)
