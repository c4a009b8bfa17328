"""What every token of the text is tinted by: surprise, rank, entropy or author; as runs of text with a level each."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from sg_core.engine.events import Event, Scored
from sg_core.inference.token import Token
from sg_tui.state.piece import Piece

Kind = Literal["none", "surprise", "rank", "entropy", "author"]
KINDS: tuple[Kind, ...] = ("none", "surprise", "rank", "entropy", "author")
BITS = (1.0, 3.0, 6.0)  # of surprise, or of entropy, from which a token is tinted more
RANKS = (10, 100, 1000)  # up to which a token is tinted less
PLAIN = "plain"  # of what nothing is known
LN2 = math.log(2)


@dataclass
class Runs:
    """Where a run of the text begins (ascending, the first at 0), and the name of its level: "0" to "3", an author."""

    starts: list[int] = field(default_factory=list)
    levels: list[str] = field(default_factory=list)

    def add(self, start: int, level: str) -> None:
        """A run from `start` on; one of the same level goes on."""
        if not self.levels or self.levels[-1] != level:
            self.starts.append(start)
            self.levels.append(level)


class Tint:
    """What is tinted by, and what the model thinks of a text as far as that was asked."""

    def __init__(self) -> None:
        self.kind: Kind = "none"
        self.request = 0  # of the scores that are waited for
        self.scored: Scored | None = None
        self.version = 0
        self._asked_text = self._text = ""  # asked for; scored

    @property
    def needs_scores(self) -> bool:
        """Whether the kind is one that a model tells."""
        return self.kind in ("surprise", "rank", "entropy")

    def next(self) -> None:
        """The next kind."""
        self.kind = KINDS[(KINDS.index(self.kind) + 1) % len(KINDS)]
        self.version += 1

    def forget(self) -> None:
        """Another model is there: what the one before thought is nothing any more."""
        self.scored, self._text, self._asked_text, self.request = None, "", "", 0
        self.version += 1

    def wants(self, text: str) -> bool:
        """Whether scores of this text are to be asked for."""
        return self.needs_scores and bool(text) and text not in (self._asked_text, self._text)

    def asked(self, request: int, text: str) -> None:
        """Scores of the text are about to be asked for."""
        self.request, self._asked_text = request, text

    def take(self, event: Event) -> bool:
        """Take the scores that are waited for; False when nothing changed."""
        if not isinstance(event, Scored) or event.request != self.request or not self.request:
            return False
        self.scored, self._text, self._asked_text, self.request = event, self._asked_text, "", 0
        self.version += 1
        return True

    def given_up(self) -> None:
        """What was asked for does not come: something else was wanted."""
        self._asked_text, self.request = "", 0

    # ------------------------------------------------------------ what it means for a text

    def known(self, text: str) -> int:
        """Up to which character the scores are of this text."""
        if text.startswith(self._text):
            return len(self._text)
        differ = (at for at, (one, other) in enumerate(zip(text, self._text, strict=False)) if one != other)
        return next(differ, min(len(text), len(self._text)))

    def runs(self, pieces: Sequence[Piece]) -> Runs | None:
        """The runs of the text that these pieces are, in characters; None without a tint."""
        if self.kind == "none":
            return None
        runs, place = Runs(), 0
        known = self._scored_runs(runs, pieces) if self.needs_scores else 0
        for piece in pieces:
            if place >= known and piece.text:
                runs.add(place, self.level_of(piece))
            place += len(piece.text)
        return runs

    def level_of(self, piece: Piece) -> str:
        """The level of a piece that no scores are known of: what its token tells."""
        if self.kind == "author":
            return piece.style
        token = piece.token
        if token is None or self.kind == "entropy":
            return PLAIN
        return bits_level(token.logprob) if self.kind == "surprise" else _rank_in_top(token)

    def _scored_runs(self, runs: Runs, pieces: Sequence[Piece]) -> int:
        """Add the runs of what is scored; returns where that ends, at a token and a piece."""
        scored = self.scored
        if scored is None:
            return 0
        text = "".join(piece.text for piece in pieces)
        known = self.known(text)
        count = len(scored.starts) if known == len(self._text) else max(0, bisect_left(scored.starts, known) - 1)
        for number in range(count):
            runs.add(scored.starts[number], self._level(scored, number))
        return known if count == len(scored.starts) else scored.starts[count]

    def _level(self, scored: Scored, number: int) -> str:
        if number == 0 or not math.isfinite(scored.logprobs[number]):
            return PLAIN
        if self.kind == "surprise":
            return bits_level(scored.logprobs[number])
        if self.kind == "entropy":
            return bits_level(-scored.entropies[number])
        return str(bisect_left(RANKS, scored.ranks[number]))

    def at(self, character: int, text: str) -> int | None:
        """Number of the scored token at a character of the text; None where nothing is known."""
        if self.scored is None or not 0 <= character < self.known(text):
            return None
        return bisect_right(self.scored.starts, character) - 1


def bits_level(nats: float) -> str:
    """From "0", expected, to "3", of a log-probability or a negative entropy."""
    return str(bisect_right(BITS, -nats / LN2))


def _rank_in_top(token: Token) -> str:
    """A token among the likeliest is of the first level; of others the rank is not known."""
    return "0" if token.id in [id for id, _ in token.top] else PLAIN
