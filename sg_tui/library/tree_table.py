"""How a tree of branches lies in SQLite: a row a node, its pieces in chunks as they came, and where the text ends."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any, Protocol

from sg_core.checks import quoted
from sg_core.engine.commands import Scale
from sg_core.inference.token import Token
from sg_tui.state.piece import Author, Piece
from sg_tui.state.tree import Node, Origin, Place, Tree, kept_node, rooted

TABLES = """
CREATE TABLE IF NOT EXISTS trees (text TEXT PRIMARY KEY, node INTEGER NOT NULL, length INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS nodes (
    text TEXT NOT NULL, id INTEGER NOT NULL, parent INTEGER NOT NULL, at INTEGER NOT NULL, author TEXT NOT NULL,
    typed TEXT NOT NULL, seed INTEGER NOT NULL, model TEXT NOT NULL, made REAL NOT NULL, marked INTEGER NOT NULL,
    folded INTEGER NOT NULL, removed INTEGER NOT NULL, length INTEGER NOT NULL, words TEXT NOT NULL,
    PRIMARY KEY (text, id));
CREATE TABLE IF NOT EXISTS chunks (
    text TEXT NOT NULL, node INTEGER NOT NULL, start INTEGER NOT NULL, pieces BLOB NOT NULL,
    PRIMARY KEY (text, node, start));
"""
MOST_BYTES = 1 << 28  # of the pieces of one chunk: far more than any has
# What reading raises where something else stands than was written.
WRONG = (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, zlib.error)
_OF_SAME = "other.text = chunks.text AND other.node = chunks.node"
# What a library beside this one has: of a text it has newer, its nodes as they are there, else those that are new.
ADOPT = (
    "INSERT OR REPLACE INTO trees SELECT * FROM aside.trees WHERE text IN ({newer})",
    "INSERT OR REPLACE INTO nodes SELECT * FROM aside.nodes WHERE text IN ({newer})",
    "INSERT OR IGNORE INTO chunks SELECT * FROM aside.chunks AS other WHERE NOT EXISTS "
    f"(SELECT 1 FROM chunks WHERE {_OF_SAME})",
    "DELETE FROM chunks WHERE text IN ({newer}) AND EXISTS "
    f"(SELECT 1 FROM aside.chunks AS other WHERE {_OF_SAME} AND other.start <= chunks.start)",
    "INSERT OR REPLACE INTO chunks SELECT * FROM aside.chunks WHERE text IN ({newer})",
    "INSERT OR IGNORE INTO nodes SELECT * FROM aside.nodes",
)
_NODE = f"INSERT OR REPLACE INTO nodes VALUES ({', '.join('?' * 14)})"
_FORGET = "DELETE FROM chunks WHERE text = ? AND node = ? AND start >= ?"
_CHUNK = "INSERT INTO chunks VALUES (?, ?, ?, ?)"
_TREE = "INSERT OR REPLACE INTO trees VALUES (?, ?, ?)"
_CHUNKS = "SELECT node, start, pieces FROM chunks WHERE text = ? ORDER BY start"
_NODES = """
SELECT id, parent, at, author, typed, seed, model, made, marked, folded, removed, length, words
FROM nodes WHERE text = ? ORDER BY made, rowid
"""


@dataclass(frozen=True, slots=True)
class Growth:
    """What is new of a node: all it is but the pieces before `start`. node: a copy, of which nobody else knows."""

    node: Node
    start: int
    pieces: tuple[Piece, ...]


class Library(Protocol):
    """What is needed of the store."""

    def query(self, command: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]: ...


def growths(tree: Tree) -> list[Growth]:
    """What the library does not know of the tree yet, which counts as known from now on."""
    news = []
    for id in sorted(tree.changed):
        node = tree.nodes[id]
        pieces = tuple(node.pieces[node.kept :])
        news.append(Growth(node.copy(), node.kept, pieces))
        node.kept = len(node.pieces)
    tree.changed.clear()
    return news


def save(library: Library, text: str, news: Iterable[Growth], head: Place) -> None:
    """Keep what is new of a text's tree. Raises sqlite3.Error."""
    for one in news:
        node = one.node
        row = (text, node.id, node.parent, node.at, node.author, dumped(node.typed), node.seed, dumped(node.model))
        flags = (node.made, node.marked, node.folded, node.removed, node.length, dumped(node.words))
        library.query(_NODE, (*row, *flags))
        if one.pieces:
            library.query(_FORGET, (text, node.id, one.start))
            library.query(_CHUNK, (text, node.id, one.start, dump_pieces(one.pieces)))
    library.query(_TREE, (text, *head))


def load(library: Library, text: str) -> tuple[Tree, Place] | None:
    """The tree of a text, and where the text ends; None where there is none.

    Where that is not known, the text is the way to what was made last. Only the nodes are read; their pieces are read
    when they are wanted. Raises sqlite3.Error, or one of WRONG.
    """
    rows = library.query("SELECT node, length FROM trees WHERE text = ?", (text,))
    chunks: dict[int, list[tuple[int, bytes]]] = {}
    for id, start, data in library.query(_CHUNKS, (text,)):
        chunks.setdefault(id, []).append((start, data))
    nodes = [_node(row, chunks.get(row[0], [])) for row in library.query(_NODES, (text,))]
    tree = Tree(rooted(nodes))
    if rows:
        return tree, Place(int(rows[0][0]), int(rows[0][1]))
    return (tree, tree.end(nodes[-1])) if nodes else None


def _node(row: tuple[Any, ...], chunks: list[tuple[int, bytes]]) -> Node:
    id, parent, at, author, typed, seed, model, made, marked, folded, removed, length, words = row
    origin = read_origin(author)
    load = partial(_pieces, chunks, str(words), origin)
    node = kept_node(int(id), Place(int(parent), int(at)), origin, str(words), int(length), load)
    node.typed, node.seed, node.model, node.made = str(typed), int(seed), str(model), float(made)
    node.marked, node.folded, node.removed = bool(marked), bool(folded), bool(removed)
    return node


def _pieces(chunks: list[tuple[int, bytes]], words: str, author: Origin) -> list[Piece]:
    """The pieces of a node; where they can't be read, its words as one piece."""
    pieces: list[Piece] = []
    try:
        for start, data in chunks:
            del pieces[start:]
            pieces += load_pieces(data)
    except WRONG:
        return [Piece(words, author)] if words else []
    return pieces


def dump_pieces(pieces: Sequence[Piece]) -> bytes:
    """Pieces as JSON, ASCII only, so that any character survives; made small, so that large trees open fast."""
    data = json.dumps([[piece.author, *written(piece)] for piece in pieces], separators=(",", ":"))
    return zlib.compress(data.encode("ascii"), 1)


def load_pieces(data: bytes) -> list[Piece]:
    """The inverse of `dump_pieces`.

    Raises one of WRONG for anything else.
    """
    unpacking = zlib.decompressobj()
    found = json.loads(unpacking.decompress(data, MOST_BYTES))
    if unpacking.unconsumed_tail:
        raise ValueError("too large")
    return [read(*rest, author=read_author(author)) for author, *rest in found]


def written(piece: Piece) -> list[object]:
    """Text, id, logprob and alternatives of a piece, as version 0.1 wrote what the model had written.

    Then what its token was computed with, where anything was changed.
    """
    token = piece.token
    if token is None:
        return [piece.text, -1, None, []]
    top = [(*one, text) for one, text in zip(token.top, piece.top_texts, strict=True)]
    told: list[object] = [piece.text, token.id, token.logprob if math.isfinite(token.logprob) else None, top]
    return [*told, [astuple(one) for one in piece.changes]] if piece.changes else told


def read(text: object, id: Any, logprob: Any, top: Any, changes: Any = (), *, author: Author = "model") -> Piece:
    """A piece as it was written; how long a token took is not kept: NaN."""
    if author in ("person", "cue", "edit") or int(id) < 0:
        return Piece(str(text), author)
    token = Token(
        int(id),
        str(text),
        math.nan if logprob is None else float(logprob),
        tuple((int(other), float(value)) for other, value, _ in top),
        math.nan,
        {},
    )
    return Piece(str(text), author, token, tuple(str(shown) for _, _, shown in top), read_changes(changes))


def read_changes(rows: Iterable[tuple[Any, Any, Any]]) -> tuple[Scale, ...]:
    """What heads and MLPs were multiplied by. Raises ValueError or TypeError for anything else."""
    return tuple(Scale(int(layer), None if head is None else int(head), float(by)) for layer, head, by in rows)


def whole(number: Any) -> int:
    """A whole number that SQLite can hold. Raises ValueError, TypeError or OverflowError for anything else."""
    found = int(number)
    if not -(1 << 63) <= found < 1 << 63:
        raise ValueError(f"{quoted(found)} is too large")
    return found


def read_author(name: object) -> Author:
    """One of the authors, whatever stands in a file."""
    return "cue" if name == "cue" else read_origin(name)


def read_origin(name: object) -> Origin:
    """Whose a node is, whatever stands in a file."""
    match name:
        case "model" | "taken" | "edit":
            return name
        case _:
            return "person"


def dumped(text: str) -> str:
    """Text that SQLite can hold: lone surrogates replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")
