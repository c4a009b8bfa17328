"""A text as a tree of branches: what is shown is one way through it, and nothing is ever lost."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

from sg_core.inference.token import Token
from sg_tui.state.manuscript import Manuscript, Piece
from sg_tui.state.tree import START, Place, Tree, new_node


def token(text: str, *others: str) -> Token:
    top = tuple((sum(map(ord, one)), -0.5 - number) for number, one in enumerate((text, *others)))
    return Token(top[0][0], text, -0.5, top, 1.0, {})


def written() -> Manuscript:
    """ROMEO: What light is"""
    manuscript = Manuscript()
    manuscript.begin([Piece("ROMEO:", "person")], "ROMEO:")
    for text, other in ((" What", " Who"), (" light", " night"), (" is", " was")):
        manuscript.write(token(text, other), (text, other))
    manuscript.complete("")
    return manuscript


def test_an_alternative_that_is_taken_ends_the_text_there_and_the_old_text_stays_a_branch() -> None:
    manuscript = written()
    assert manuscript.take(2, 1)
    assert manuscript.text == "ROMEO: What night"
    assert [piece.author for piece in manuscript.pieces] == ["person", "model", "taken"]
    taken = manuscript.pieces[-1].token
    assert taken is not None
    assert (taken.text, taken.logprob) == (" night", -1.5)
    manuscript.write(token(" now"), (" now",))
    assert {manuscript.tree.way(place)[-1][0].words for place in manuscript.branches(2)} == {" What light is", " now"}
    assert manuscript.undo()
    assert manuscript.text == "ROMEO: What light is"
    assert manuscript.redo()
    assert manuscript.text == "ROMEO: What night now"


def test_an_alternative_that_was_taken_before_is_gone_back_to() -> None:
    manuscript = written()
    manuscript.take(1, 1)
    manuscript.write(token(" goes"), (" goes",))
    manuscript.undo()
    count = len(manuscript.tree.nodes)
    assert not manuscript.take(1, 1)
    assert manuscript.text == "ROMEO: Who goes"
    assert len(manuscript.tree.nodes) == count


def test_every_piece_has_its_place_and_a_fork_is_the_same_from_both_sides() -> None:
    manuscript = written()
    assert manuscript.place(0) == START
    manuscript.take(3, 1)
    manuscript.write(token(" it"), (" it",))
    fork = manuscript.place(3)
    assert manuscript.place(3).length == 2
    manuscript.undo()
    assert manuscript.place(3) == fork
    assert len(manuscript.branches(3)) == 2
    assert len(manuscript.branches(2)) == 1


def test_what_is_written_after_going_back_is_another_branch() -> None:
    manuscript = written()
    manuscript.go(manuscript.place(2))
    manuscript.begin([])
    manuscript.write(token(" news"), (" news",))
    assert manuscript.text == "ROMEO: What news"
    assert sorted(node.words for node, _ in manuscript.tree.walk()) == [" What light is", " news", "ROMEO:"]


def test_what_is_removed_is_out_of_sight_and_comes_back() -> None:
    manuscript = written()
    manuscript.take(2, 1)
    node = manuscript.way[-1][0]
    manuscript.tree.remove(node)
    assert node not in [one for one, _ in manuscript.tree.walk()]
    assert len(manuscript.branches(2)) == 1
    manuscript.tree.remove(node, removed=False)
    assert len(manuscript.branches(2)) == 2


def test_a_place_that_a_damaged_library_made_up_is_no_trap() -> None:
    tree = Tree()
    first = tree.add(new_node(START, "person", [Piece("a", "person")]))
    first.parent = first.id  # stands on itself
    assert Manuscript(tree=tree, head=Place(first.id, 99)).text == "a"
    assert Manuscript(tree=tree, head=Place(12345, 3)).text == ""
    assert tree.leaf(first) == Place(first.id, 1)


def calls_of(work: Callable[[], object]) -> int:
    """The Python functions that are called: what takes time, without the noise of a clock."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


def a_long_line(nodes: int) -> tuple[Tree, Place]:
    tree, place = Tree(), START
    for number in range(nodes):
        place = tree.end(tree.add(new_node(place, "model", [Piece(f" {number}", "model")])))
    return tree, place


def test_ten_thousand_nodes_are_walked_at_once() -> None:
    tree, place = a_long_line(10_000)
    assert sum(1 for _ in tree.walk()) == 10_000  # a recursion would end here
    assert len(Manuscript(tree=tree, head=place).pieces) == 10_000


def test_the_walk_through_a_tree_grows_with_its_nodes_and_no_faster() -> None:
    def walk(nodes: int) -> int:
        tree, place = a_long_line(nodes)
        return calls_of(lambda: (list(tree.walk()), Manuscript(tree=tree, head=place).pieces))

    assert walk(400) < 2.5 * walk(200)  # 4 times as many if each node looked at all
