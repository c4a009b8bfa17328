"""Several ways on from one place of a text, written at once: each is a branch of its tree from its first token on."""

from __future__ import annotations

import math

from sg_tui.state.manuscript import Manuscript, completed
from sg_tui.state.piece import Piece
from sg_tui.state.tree import Node, Place, new_node


class Continuations:
    """What stands at `place`, the piece at `index`, is left as it is; number i has the seed raised by i."""

    def __init__(self, manuscript: Manuscript, index: int, count: int, seed: int, model: str) -> None:
        self.manuscript = manuscript
        self.index = index
        self.place: Place = manuscript.place(index)
        self.seed = seed
        self.model = model
        self.nodes: list[Node | None] = [None] * count
        self.reasons: list[str] = [""] * count  # why each ended
        self.version = 0

    def write(self, number: int, piece: Piece) -> None:
        """Append a token to one of them."""
        tree, node = self.manuscript.tree, self.nodes[number]
        if node is None:
            node = new_node(self.place, "model", (), seed=self.seed + number, model=self.model)
            self.nodes[number] = tree.add(node)
        tree.append(node, piece)
        self.version += 1

    def end(self, number: int, reason: str, rest: str = "") -> None:
        """One of them has ended; `rest` is text that its last token had and that was held back."""
        node = self.nodes[number]
        if rest and node is not None:
            node.pieces[-1] = completed(node.pieces[-1], rest)
            node.kept = 0
            self.manuscript.tree.touch(node)
        if reason == "stop" and node is not None:  # a part of what its tokens say was taken away
            node.model = ""
            self.manuscript.tree.touch(node)
        self.reasons[number] = reason
        self.version += 1

    def take(self, number: int) -> bool:
        """Let the text go on with one of them; False when nothing of it was written."""
        node = self.nodes[number]
        if node is None:
            return False
        self.manuscript.go(self.manuscript.tree.end(node))
        return True

    def bits(self, number: int) -> float:
        """The mean surprise of its tokens, in bits; NaN before the first."""
        node = self.nodes[number]
        tokens = [piece.token for piece in node.pieces if piece.token] if node is not None else []
        if not tokens:
            return math.nan
        return sum(-token.logprob for token in tokens) / math.log(2) / len(tokens)
