"""A tree as rows: forks are indented, what goes straight on stands beneath."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sg_tui.state.tree import BEGINNING, Node, Tree

DEEPEST = 12  # forks that are indented; what forks again stands at that depth


@dataclass(frozen=True, slots=True)
class Row:
    """A node, how many forks it stands behind, whether it begins a branch, and how many nodes it hides."""

    node: Node
    depth: int
    forks: bool
    hidden: int


def rows(tree: Tree) -> list[Row]:
    """Every node in sight that no folded one hides, each before what stands on it."""
    found: list[Row] = []
    stack = _on(tree, BEGINNING, -1, 0)
    while stack:
        node, depth, forks = stack.pop()
        found.append(Row(node, min(depth, DEEPEST), forks, _count(tree, node) if node.folded else 0))
        if not node.folded:
            stack += _on(tree, node.id, node.length, depth)
    return found


def _on(tree: Tree, id: int, length: int, depth: int) -> list[tuple[Node, int, bool]]:
    """What stands on a node, in reverse: its forks by their places, then the one that goes straight on."""
    standing = tree.standing(id)
    if len(standing) < 2:  # nearly all nodes of a large tree
        return [(node, depth + (node.at < length), node.at < length) for node in standing]
    straight = [node for node in standing if node.at >= length]
    last = straight if len(straight) == 1 else []
    forks = sorted((node for node in standing if node not in last), key=lambda node: node.at)
    return [*((node, depth, False) for node in last), *((node, depth + 1, True) for node in reversed(forks))]


def _count(tree: Tree, node: Node) -> int:
    """How many nodes stand on this one, one upon another."""
    return sum(1 for _ in _above(tree, node))


def _above(tree: Tree, node: Node) -> Iterator[Node]:
    stack = tree.standing(node.id)
    while stack:
        one = stack.pop()
        yield one
        stack += tree.standing(one.id)


def unfold_to(tree: Tree, node: Node) -> None:
    """Nothing hides this node any more."""
    for one, _ in tree.way(node.place):
        if one.folded:
            one.folded = False
            tree.touch(one)
