"""A text and all its branches: nodes that only ever grow. What is shown is the way from the beginning to one place."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from sg_tui.state.piece import Piece

Origin = Literal["person", "model", "taken", "edit"]
BEGINNING = 0  # the parent of nodes that stand at the beginning of the text


class Place(NamedTuple):
    """Behind the first `length` pieces of a node."""

    node: int
    length: int


START = Place(BEGINNING, 0)


@dataclass(slots=True)
class Node:
    """What one origin wrote in one go, behind the first `at` pieces of its parent.

    author: a person who typed, the model, a person who took one of the model's alternatives, or who edited. words: the
    text of the pieces. load: reads the pieces when they are first wanted; None: they are here.
    """

    id: int
    parent: int
    at: int
    author: Origin
    typed: str = ""  # what stood in the prompt
    seed: int = 0
    model: str = ""  # whose tokens the pieces are; "" where they are to be taken as a text
    made: float = 0.0  # seconds since 1970
    marked: bool = False
    folded: bool = False
    removed: bool = False  # out of sight, with all that stands on it
    load: Callable[[], list[Piece]] | None = None
    kept: int = 0  # so many of its pieces were handed to the library
    _pieces: list[Piece] | None = None
    _words: str | None = None
    _length: int = 0

    @property
    def length(self) -> int:
        """How many pieces it has."""
        return self._length if self._pieces is None else len(self._pieces)

    @property
    def pieces(self) -> list[Piece]:
        """All of them."""
        if self._pieces is None:
            self._pieces = self.load() if self.load is not None else []
            self.load, self.kept = None, len(self._pieces)
        return self._pieces

    @property
    def words(self) -> str:
        """The text of the pieces; lone surrogates of a node that was not looked into may be replaced."""
        if self._pieces is None and self._words is not None:
            return self._words
        return "".join(piece.text for piece in self.pieces)

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.parent, self.at)

    def copy(self) -> Node:
        """For another thread."""
        return replace(self, _pieces=None if self._pieces is None else list(self._pieces))


def new_node(
    place: Place, author: Origin, pieces: Iterable[Piece], typed: str = "", seed: int = 0, model: str = ""
) -> Node:
    """A node with an id that no other session gives either."""
    id = uuid.uuid4().int >> 65
    return Node(id, *place, author, typed, seed, model, made=time.time(), _pieces=list(pieces))


def kept_node(id: int, place: Place, author: Origin, words: str, length: int, load: Callable[[], list[Piece]]) -> Node:
    """A node as the library knows it: its pieces are read when they are wanted."""
    return Node(id, *place, author, load=load, _words=words, _length=length)


def rooted(nodes: Iterable[Node]) -> list[Node]:
    """Each node behind the one it stands on; one on a node that is not there, or on itself, stands at the beginning."""
    by_id = {node.id: node for node in nodes}
    ordered: dict[int, Node] = {}
    for first in by_id.values():
        way: dict[int, Node] = {}
        node: Node | None = first
        while node is not None and node.id not in ordered and node.id not in way:
            way[node.id] = node
            node = by_id.get(node.parent)
        for one in reversed(way.values()):
            if one.parent not in ordered:
                one.parent, one.at = START
            ordered[one.id] = one
    return list(ordered.values())


class Tree:
    """Nodes by id, and those that stand on each, in the order in which they were made.

    changed: ids of the nodes that have grown, or were added or marked, since the library looked.
    """

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.nodes: dict[int, Node] = {}
        self.changed: set[int] = set()
        self.version = 0  # grows with every node and every mark
        self._standing: dict[int, list[Node]] = {}
        for node in nodes:
            self.nodes[node.id] = node
            self._standing.setdefault(node.parent, []).append(node)

    def copy(self) -> Tree:
        """The tree as it stands now, for another thread."""
        return Tree(node.copy() for node in self.nodes.values())

    def add(self, node: Node) -> Node:
        """Let it stand where it says."""
        self.nodes[node.id] = node
        self._standing.setdefault(node.parent, []).append(node)
        self.touch(node)
        return node

    def touch(self, node: Node) -> None:
        """The library does not know yet how this node is now."""
        self.changed.add(node.id)
        self.version += 1

    def append(self, node: Node, piece: Piece) -> None:
        """Let the node grow."""
        node.pieces.append(piece)
        self.changed.add(node.id)

    def length(self, id: int) -> int:
        """How many pieces a node has; 0 for the beginning."""
        node = self.nodes.get(id)
        return 0 if node is None else node.length

    def standing(self, id: int) -> list[Node]:
        """The nodes on this one that are in sight, in the order in which they were made."""
        return [node for node in self._standing.get(id, ()) if not node.removed]

    def way(self, place: Place) -> list[tuple[Node, int]]:
        """The nodes from the beginning to a place, and how many pieces of each lie on the way."""
        steps: list[tuple[Node, int]] = []
        id, length = place
        seen: set[int] = set()
        while (node := self.nodes.get(id)) is not None and id not in seen:
            seen.add(id)
            steps.append((node, max(0, min(length, len(node.pieces)))))
            id, length = node.place
        return steps[::-1]

    def end(self, node: Node) -> Place:
        """Behind all of a node."""
        return Place(node.id, node.length)

    def leaf(self, node: Node) -> Place:
        """Where the text that holds all of this node ends, along what was made last."""
        seen: set[int] = set()
        while node.id not in seen:
            seen.add(node.id)
            on = [one for one in self.standing(node.id) if one.at >= node.length]
            if not on:
                break
            node = on[-1]
        return self.end(node)

    def branches(self, place: Place) -> list[Place]:
        """What stands at a fork, each as the place where its text ends; first what the node itself goes on with."""
        node = self.nodes.get(place.node)
        ways = [self.leaf(node)] if node is not None and place.length < node.length else []
        return ways + [self.leaf(one) for one in self.standing(place.node) if one.at == place.length]

    def rewrite(self, node: Node, place: Place, pieces: Iterable[Piece]) -> None:
        """Let a node on which nothing stands yet be another one: what is still being edited."""
        self._standing[node.parent].remove(node)
        node.parent, node.at = place
        node.pieces[:] = pieces
        node.kept, node.removed = 0, False
        self._standing.setdefault(node.parent, []).append(node)
        self.touch(node)

    def remove(self, node: Node, removed: bool = True) -> None:
        """Put a node and what stands on it out of sight, or back into it."""
        node.removed = removed
        self.touch(node)

    def walk(self) -> Iterator[tuple[Node, int]]:
        """Every node in sight, each before what stands on it, and its depth: how many nodes it stands on."""
        stack = [(node, 0) for node in reversed(self.standing(BEGINNING))]
        while stack:
            node, depth = stack.pop()
            yield node, depth
            stack.extend((one, depth + 1) for one in reversed(self.standing(node.id)))
