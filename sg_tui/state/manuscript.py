"""The text being written: one way through a tree of branches, and the steps on it that can be taken back."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sg_core.engine.commands import Scale
from sg_core.inference.token import Token
from sg_tui.state.piece import Author, Piece
from sg_tui.state.tree import START, Node, Place, Tree, new_node

__all__ = ["Author", "Manuscript", "Piece", "Turn"]

TITLE_LENGTH = 60


@dataclass(slots=True)
class Turn:
    """What one sending added: the pieces before the model wrote, then the model's own."""

    given: list[Piece]
    written: list[Piece] = field(default_factory=list)
    typed: str = ""  # what stood in the prompt
    seed: int = 0


class Manuscript:
    """The text that ends at `head`. `version` grows when what stood before changes, not when text comes."""

    def __init__(self, turns: Iterable[Turn] = (), tree: Tree | None = None, head: Place = START) -> None:
        self.tree = Tree() if tree is None else tree
        self.head = head
        self.pieces: list[Piece] = []
        self.version = 0
        self.model = ""  # that writes now
        self._past: list[Place] = []
        self._future: list[Place] = []
        self._way: list[tuple[Node, int]] = []
        self._starts: list[int] = []  # index of the first piece of each node on the way
        self._growing: Node | None = None  # the model's, to which its tokens are added
        self._seed = 0
        for turn in turns:
            for node in (new_node(self.head, "person", turn.given, turn.typed, turn.seed), *_written(turn)):
                if node.pieces:
                    self.head = self.tree.end(self.tree.add(replace(node, parent=self.head.node, at=self.head.length)))
        self._remade()

    def copy(self) -> Manuscript:
        """The text and its tree as they stand now, for another thread."""
        return Manuscript(tree=self.tree.copy(), head=self.head)

    # ------------------------------------------------------------ what is read of it

    @property
    def text(self) -> str:
        """The whole raw text: what the model continues, what is saved and exported."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def empty(self) -> bool:
        """Whether nothing stands in the text; other branches may hold something."""
        return not any(piece.text for piece in self.pieces)

    @property
    def blank(self) -> bool:
        """Whether nothing was ever written, on any branch."""
        return not self.tree.nodes

    @property
    def title(self) -> str:
        """The beginning of the text on one line, raw."""
        beginning = "".join(piece.text for piece in self.pieces[:TITLE_LENGTH])
        words = " ".join(beginning[:400].split())
        return words if len(words) <= TITLE_LENGTH else words[: TITLE_LENGTH - 1].rstrip() + "…"

    @property
    def turns(self) -> list[Turn]:
        """The text as turns: what a person gave, each with what the model wrote after it."""
        turns: list[Turn] = []
        for node, length in self._way:
            given = node.author in ("person", "edit")
            if given or not turns:
                turns.append(Turn([], typed=node.typed, seed=node.seed))
            turn = turns[-1]
            if node.author == "model" and not turn.written:
                turn.seed = node.seed
            (turn.given if given else turn.written).extend(node.pieces[:length])
        return turns

    @property
    def way(self) -> list[tuple[Node, int]]:
        """The nodes the text goes through, and how many pieces of each belong to it."""
        return list(self._way)

    def holds(self, node: Node) -> bool:
        """Whether the text goes through this node."""
        return any(one is node for one, _ in self._way)

    @property
    def last_given(self) -> Node | None:
        """The node that a person typed last."""
        return next((node for node, _ in reversed(self._way) if node.author == "person"), None)

    def place(self, index: int) -> Place:
        """Where the piece at `index` stands: behind the pieces before it."""
        if not self.pieces or index <= 0:
            return START
        step = bisect_right(self._starts, min(index, len(self.pieces)) - 1) - 1
        node, _ = self._way[step]
        return Place(node.id, min(index, len(self.pieces)) - self._starts[step])

    def node_at(self, index: int) -> Node:
        """The node of the piece at `index`."""
        return self._way[bisect_right(self._starts, index) - 1][0]

    def models(self) -> list[str]:
        """The model that wrote each piece, "" where none did."""
        return [node.model for node, length in self._way for _ in range(length)]

    def branches(self, index: int) -> list[Place]:
        """What stands at the place of the piece at `index`, as the places where those texts end; 1 if nothing else."""
        return self.tree.branches(self.place(index))

    # ------------------------------------------------------------ writing

    def begin(self, given: Iterable[Piece], typed: str = "", seed: int = 0) -> None:
        """What the person adds before the model goes on."""
        self._remember()
        pieces = [piece for piece in given if piece.text]
        if pieces:
            self._stand(new_node(self.head, "person", pieces, typed, seed))
        self._seed = seed

    def begin_again(self, seed: int) -> bool:
        """Go back to before what the model wrote last, for another branch; False when nothing is written."""
        if not self._way:
            return False
        self._remember()
        last = self._way[-1][0]
        if last.author == "model":
            self.head = last.place
            self._remade()
        self._seed = seed
        return True

    def write(self, token: Token, top_texts: tuple[str, ...] = (), changes: tuple[Scale, ...] = ()) -> None:
        """Append a token of the model, which was changed so."""
        self.add(Piece.written(token, top_texts, changes))

    def add(self, piece: Piece) -> None:
        """Append a piece of the model's."""
        if self._growing is None or self.head != Place(self._growing.id, len(self._growing.pieces)):
            self._growing = new_node(self.head, "model", (), seed=self._seed, model=self.model)
            self.tree.add(self._growing)
            self._way.append((self._growing, 0))
            self._starts.append(len(self.pieces))
        self.tree.append(self._growing, piece)
        self.pieces.append(piece)
        self.head = self.tree.end(self._growing)
        self._way[-1] = self._growing, self.head.length

    def complete(self, rest: str, cut: bool = False) -> None:
        """The model has written what it was asked for; add text that its last token had and that was held back.

        cut: a stop took away a part of what its tokens say: the text no longer stands for them.
        """
        node, self._growing = self._growing, None
        if cut and node is not None:
            node.model = ""
            self.tree.touch(node)
        if rest and node is not None:
            node.pieces[-1] = completed(node.pieces[-1], rest)
            node.kept = min(node.kept, len(node.pieces) - 1)
            self.tree.touch(node)
            self._remade()

    # ------------------------------------------------------------ other branches

    def take(self, index: int, number: int) -> bool:
        """Put alternative `number` of the token at `index` in its place: the text ends behind it.

        Where that branch is there already, the text is that one; returns whether it is a new one.
        """
        old = self.pieces[index]
        assert old.token is not None
        id, logprob = old.token.top[number]
        token = replace(old.token, id=id, text=old.top_texts[number], logprob=logprob, activations={})
        place = self.place(index)
        for node in self.tree.standing(place.node):
            first = node.pieces[0].token if node.at == place.length and node.pieces else None
            if first is not None and first.id == id and first.top == token.top:
                self.go(self.tree.leaf(node))
                return False
        self._remember()
        self.head = place
        model = self.node_at(index).model
        piece = replace(old, text=token.text, author="taken", token=token)
        self._stand(new_node(place, "taken", [piece], model=model))
        self._remade()
        return True

    def go(self, place: Place) -> None:
        """Let the text be the one that ends at `place`."""
        if place != self.head:
            self._remember()
            self.head = place
            self._remade()

    def begin_step(self) -> None:
        """What `set_head` does from now on, however often, is taken back as one."""
        self._remember()

    def set_head(self, place: Place) -> None:
        """Let the text be the one that ends at `place`; no step of its own."""
        self.head = place
        self._remade()

    def undo(self) -> bool:
        """Go back to before the last step, whatever it was; False when nothing is left."""
        if not self._past and self._way:
            self._past.append(self._before_the_last())
        return self._step(self._past, self._future)

    def redo(self) -> bool:
        """Take the step again that was taken back last; False when there is none."""
        return self._step(self._future, self._past)

    def _before_the_last(self) -> Place:
        """What the model wrote last, and what a person put before it, are no longer in the text."""
        last = self._way[-1][0]
        if last.author == "model" and len(self._way) > 1 and self._way[-2][0].author != "model":
            last = self._way[-2][0]
        return last.place

    def _step(self, source: list[Place], target: list[Place]) -> bool:
        if not source:
            return False
        target.append(self.head)
        self.head = source.pop()
        self._remade()
        return True

    def _stand(self, node: Node) -> None:
        """The text goes on with this node."""
        self.tree.add(node)
        self.head = self.tree.end(node)
        self._way.append((node, len(node.pieces)))
        self._starts.append(len(self.pieces))
        self.pieces.extend(node.pieces)

    def _remember(self) -> None:
        self._past.append(self.head)
        self._future.clear()
        self._growing = None

    def _remade(self) -> None:
        self._growing = None
        self._way = self.tree.way(self.head)
        if self._way:  # what a damaged library lacks is not waited for
            node, length = self._way[-1]
            self.head = Place(node.id, length)
        else:
            self.head = START
        self.pieces, self._starts = [], []
        for node, length in self._way:
            self._starts.append(len(self.pieces))
            self.pieces += node.pieces[:length]
        self.version += 1


def completed(piece: Piece, rest: str) -> Piece:
    """The piece with text that its token had and that was held back."""
    text = piece.text + rest
    token = None if piece.token is None else replace(piece.token, text=text)
    return replace(piece, text=text, token=token)


def _written(turn: Turn) -> list[Node]:
    return [new_node(START, "model", turn.written, seed=turn.seed)]
