"""One text being written: by completion or as a play, under an id of its own."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from sg_core.engine.commands import Generate
from sg_core.inference.sampling import Sampling
from sg_core.text.marked_text import MarkedText, Part
from sg_tui.state.manuscript import Manuscript, Piece
from sg_tui.state.play import Cast, completion, speech


@dataclass(slots=True)
class Writing:
    """chat: what is typed is spoken by `cast.person`, and `cast.model` answers; else it goes on the text."""

    chat: bool = False
    cast: Cast = field(default_factory=Cast)
    manuscript: Manuscript = field(default_factory=Manuscript)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    plain: bool = False  # special tokens in what is typed are plain text

    @property
    def mode(self) -> str:
        """As it is kept: "complete" or "chat"."""
        return "chat" if self.chat else "complete"

    @property
    def spoken(self) -> bool:
        """Whether the text has turns of a chat in it."""
        return any(piece.author == "cue" for piece in self.manuscript.pieces)

    def begin(self, typed: str, seed: int) -> None:
        """Put what was typed on the text; the model's turn follows."""
        given = speech(self.manuscript, typed, self.cast) if self.chat else completion(typed)
        self.manuscript.begin(given, typed, seed)

    def command(
        self, request: int, max_tokens: int, sampling: Sampling, end: int | None = None, count: int = 1
    ) -> Generate:
        """What the engine is asked: to continue the text as it stands, or its first `end` pieces, in `count` ways."""
        stop = self.cast.form.stop if self.chat else ()
        return Generate(request, self.prompt(end), max_tokens, sampling, stop, n=count)

    def prompt(self, end: int | None = None) -> MarkedText:
        """The text, or its first `end` pieces, as the engine takes it.


        What the model that is loaded wrote is handed over in its own tokens. In a chat the cues alone may hold special
        tokens, else what the person typed may too, unless it is `plain`.
        """
        form, models = self.cast.form, self.manuscript.models()
        pieces = self.manuscript.pieces[:end]
        parts = [self._part(piece, model) for piece, model in zip(pieces, models, strict=False)]
        return MarkedText(parts, whole=form.whole if self.chat else True)

    def _part(self, piece: Piece, model: str) -> Part:
        if piece.token is not None:
            return piece.text, (piece.token.id,) if model and model == self.manuscript.model else False
        return piece.text, piece.author == "cue" or (
            piece.author in ("person", "edit") and not self.chat and not self.plain
        )
