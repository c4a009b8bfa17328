"""A prompt in which some parts may hold special tokens, and the others are plain whatever they hold."""

from __future__ import annotations

from collections.abc import Iterable

Part = tuple[str, bool]  # text, and whether special tokens in it are ids


class MarkedText(str):
    """The whole text, and its `parts`; whole: whether what belongs around a text (a first token) is put before it."""

    parts: tuple[Part, ...]
    whole: bool

    def __new__(cls, parts: Iterable[Part], whole: bool = True) -> MarkedText:
        kept = tuple(parts)
        text = super().__new__(cls, "".join(part for part, _ in kept))
        text.parts, text.whole = kept, whole
        return text
