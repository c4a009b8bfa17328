"""A text with all its branches as JSON, out and in. docs/tree-format.md tells the form."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from sg_core.checks import quoted
from sg_core.errors import SettingError
from sg_core.inference.token import Token
from sg_tui.library.tree_table import read_author, read_changes, read_origin, whole
from sg_tui.state.manuscript import Manuscript
from sg_tui.state.piece import Piece
from sg_tui.state.tree import BEGINNING, Node, Place, Tree, rooted

FORMAT, VERSION = "sg-tui tree", 1


def dump_tree(manuscript: Manuscript) -> str:
    """All branches, those out of sight too; ASCII only, so that any character survives."""
    nodes = rooted(manuscript.tree.nodes.values())
    numbers = {node.id: number for number, node in enumerate(nodes, 1)}
    head = manuscript.head
    data = {
        "format": FORMAT,
        "version": VERSION,
        "head": {"node": numbers.get(head.node, BEGINNING), "length": head.length},
        "nodes": [_node(node, numbers) for node in nodes],
    }
    return json.dumps(data, indent=1)


def _node(node: Node, numbers: dict[int, int]) -> dict[str, object]:
    return {
        "id": numbers[node.id],
        "parent": numbers.get(node.parent, BEGINNING),
        "at": node.at,
        "author": node.author,
        "typed": node.typed,
        "seed": node.seed,
        "model": node.model,
        "made": node.made,
        "bookmark": node.marked,
        "folded": node.folded,
        "removed": node.removed,
        "pieces": [_piece(piece) for piece in node.pieces],
    }


def _piece(piece: Piece) -> dict[str, object]:
    if (token := piece.token) is None:
        return {"text": piece.text, "author": piece.author}
    top = [[*one, text] for one, text in zip(token.top, piece.top_texts, strict=True)]
    logprob = token.logprob if math.isfinite(token.logprob) else None
    told = {"text": piece.text, "author": piece.author, "id": token.id, "logprob": logprob, "top": top}
    return told | ({"changes": [asdict(one) for one in piece.changes]} if piece.changes else {})


def load_tree(data: str | bytes) -> Manuscript:
    """The inverse of `dump_tree`. Raises SettingError with one line for anything else."""
    try:
        found = json.loads(data)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise SettingError(f'this is no tree of a text: its "format" is not "{FORMAT}"')
        if found.get("version") != VERSION:
            raise SettingError(f"this tree has version {quoted(found.get('version'))}, known is {VERSION}")
        tree = Tree()
        for number, one in enumerate(found["nodes"], 1):
            tree.add(_read_node(number, one, tree))
        return Manuscript(tree=tree, head=Place(whole(found["head"]["node"]), whole(found["head"]["length"])))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as problem:
        raise SettingError(f"this tree can't be read: {type(problem).__name__} {problem}") from problem


def _read_node(number: int, data: dict[str, Any], tree: Tree) -> Node:
    parent, at, pieces = whole(data["parent"]), whole(data["at"]), [_read_piece(one) for one in data["pieces"]]
    if int(data["id"]) != number:
        raise ValueError(f"node {number} is called {data['id']}")
    if parent not in tree.nodes and parent != BEGINNING:
        raise ValueError(f"node {number} stands on {parent}, which does not come before it")
    node = Node(
        number, parent, at, read_origin(data["author"]), str(data["typed"]), whole(data["seed"]), _pieces=pieces
    )
    node.model, node.made = str(data["model"]), float(data["made"])
    if not math.isfinite(node.made):
        raise ValueError(f"node {number} was made at no time")
    node.marked, node.folded, node.removed = bool(data["bookmark"]), bool(data["folded"]), bool(data["removed"])
    return node


def _read_piece(data: dict[str, Any]) -> Piece:
    text, author = str(data["text"]), read_author(data["author"])
    if "id" not in data:
        return Piece(text, author)
    logprob = math.nan if data["logprob"] is None else float(data["logprob"])
    top = tuple((int(id), float(value)) for id, value, _ in data["top"])
    token = Token(int(data["id"]), text, logprob, top, math.nan, {})
    changes = read_changes([(one["layer"], one["head"], one["factor"]) for one in data.get("changes", ())])
    return Piece(text, author, token, tuple(str(t) for _, _, t in data["top"]), changes)
