"""A prompt in which some parts may hold special tokens, others are plain whatever they hold, and others are tokens."""

from __future__ import annotations

from collections.abc import Iterable

# Text, and whether special tokens in it are ids; or the ids it stands for, which need not be those of the text.
Part = tuple[str, bool | tuple[int, ...]]


class MarkedText(str):
    """The whole text, and its `parts`; whole: whether what belongs around a text (a first token) is put before it."""

    parts: tuple[Part, ...]
    whole: bool

    def __new__(cls, parts: Iterable[Part], whole: bool = True) -> MarkedText:
        kept = tuple(parts)
        text = super().__new__(cls, "".join(part for part, _ in kept))
        text.parts, text.whole = kept, whole
        return text
