"""The text being written: pieces by the person and by the model, and the turns that can be taken back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from sg_core.inference.token import Token

Author = Literal["person", "model", "cue"]
TITLE_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the text with one author: a token of the model, what a person typed, or a cue of the play."""

    text: str  # raw, as the model or the person wrote it
    author: Author
    token: Token | None = None  # the model's own; nothing else has one
    top_texts: tuple[str, ...] = ()  # of the token's alternatives, in the order of its `top`

    @classmethod
    def written(cls, token: Token, top_texts: tuple[str, ...] = ()) -> Piece:
        """The piece that a token of the model is."""
        return cls(token.text, "model", token, top_texts)


@dataclass(slots=True)
class Turn:
    """What one sending added: the pieces before the model wrote, then the model's own."""

    given: list[Piece]
    written: list[Piece] = field(default_factory=list)
    typed: str = ""  # what stood in the prompt
    seed: int = 0

    @property
    def pieces(self) -> list[Piece]:
        """All of them, in the order of the text."""
        return [*self.given, *self.written]


class Manuscript:
    """A text as a list of turns. `version` grows when what stood before changes, not when text comes."""

    def __init__(self, turns: Iterable[Turn] = ()) -> None:
        self.turns: list[Turn] = list(turns)
        self.pieces: list[Piece] = []
        self.version = 0
        self._past: list[tuple[Turn, ...]] = []
        self._future: list[tuple[Turn, ...]] = []
        self._remade()

    def copy(self) -> Manuscript:
        """The text as it stands now, for another thread."""
        return Manuscript(Turn(list(one.given), list(one.written), one.typed, one.seed) for one in self.turns)

    @property
    def text(self) -> str:
        """The whole raw text: what the model continues, what is saved and exported."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def empty(self) -> bool:
        """Whether nothing is written."""
        return not any(piece.text for piece in self.pieces)

    @property
    def title(self) -> str:
        """The beginning of the text on one line, raw."""
        beginning = "".join(piece.text for piece in self.pieces[:TITLE_LENGTH])
        words = " ".join(beginning[:400].split())
        return words if len(words) <= TITLE_LENGTH else words[: TITLE_LENGTH - 1].rstrip() + "…"

    def begin(self, given: Iterable[Piece], typed: str = "", seed: int = 0) -> Turn:
        """A new turn: what the person adds before the model goes on."""
        self._remember()
        turn = Turn([piece for piece in given if piece.text], typed=typed, seed=seed)
        self.turns.append(turn)
        self.pieces.extend(turn.given)
        return turn

    def begin_again(self, seed: int) -> Turn | None:
        """The last turn without what the model wrote, to be written anew; None when there is no turn."""
        if not self.turns:
            return None
        self._remember()
        old = self.turns[-1]
        self.turns[-1] = Turn(list(old.given), typed=old.typed, seed=seed)
        self._remade()
        return self.turns[-1]

    def write(self, token: Token, top_texts: tuple[str, ...] = ()) -> None:
        """Append a token of the model to the last turn."""
        self.add(Piece.written(token, top_texts))

    def add(self, piece: Piece) -> None:
        """Append a piece of the model's to the last turn."""
        self.turns[-1].written.append(piece)
        self.pieces.append(piece)

    def complete(self, rest: str) -> None:
        """Add text that the model's last token had and that was held back."""
        written = self.turns[-1].written if self.turns else []
        if rest and written:
            last, text = written[-1], written[-1].text + rest
            token = None if last.token is None else replace(last.token, text=text)
            written[-1] = replace(last, text=text, token=token)
            self._remade()

    def undo(self) -> bool:
        """Go back to before the last turn, or before it was written again; False when nothing is left."""
        if not self._past and self.turns:
            self._past.append(tuple(self.turns[:-1]))
        return self._go(self._past, self._future)

    def redo(self) -> bool:
        """Put what was taken back last in its place again; False when there is nothing."""
        return self._go(self._future, self._past)

    def _go(self, source: list[tuple[Turn, ...]], target: list[tuple[Turn, ...]]) -> bool:
        if not source:
            return False
        target.append(tuple(self.turns))
        self.turns = list(source.pop())
        self._remade()
        return True

    def _remember(self) -> None:
        self._past.append(tuple(self.turns))
        self._future.clear()

    def _remade(self) -> None:
        self.pieces = [piece for turn in self.turns for piece in turn.pieces]
        self.version += 1
