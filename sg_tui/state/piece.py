"""A part of a text with one author."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sg_core.engine.commands import Scale
from sg_core.inference.token import Token

Author = Literal["person", "model", "cue", "taken", "edit"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A token of the model, an alternative of it that was taken, what a person typed or put in its place, or a cue."""

    text: str  # raw, as the model or the person wrote it
    author: Author
    token: Token | None = None  # the model's own, also of an alternative; nothing else has one
    top_texts: tuple[str, ...] = ()  # of the token's alternatives, in the order of its `top`
    changes: tuple[Scale, ...] = ()  # of the model's values, with which the token was computed

    @classmethod
    def written(cls, token: Token, top_texts: tuple[str, ...] = (), changes: tuple[Scale, ...] = ()) -> Piece:
        """The piece that a token of the model is."""
        return cls(token.text, "model", token, top_texts, changes)

    @property
    def style(self) -> str:
        """What it is shown as: its author, or "changed" where the model was not as it is when it wrote."""
        return "changed" if self.changes and self.author == "model" else self.author
