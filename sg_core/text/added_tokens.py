"""Tokens beside a vocabulary's own: special ones, and words added later. They are cut out of a text before the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sg_core.checks import is_whole, quoted
from sg_core.errors import ModelFileError
from sg_core.text.byte_bpe import BLANK, LARGEST_ID

_FLAGS = ("special", "single_word", "lstrip", "rstrip", "normalized")
_BLANK = re.compile(f"[{BLANK}]")
_WORD = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]"  # Unicode's definition (UTS 18)


@dataclass(frozen=True, slots=True)
class AddedToken:
    """special: a mark, never shown; in a text it counts only where marks are read. single_word: not inside a word.

    lstrip, rstrip: takes the blanks before, after it along. normalized: looked for after those that are not.
    """

    id: int
    content: str
    special: bool = True
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False


def parse_added_token(where: str, id: object, given: object) -> AddedToken:
    """An added token as a model's files describe it, a text or an object. Raises ModelFileError."""
    fields: Mapping[str, Any] = given if isinstance(given, dict) else {"content": given, "special": True}
    content = fields.get("content")
    if not isinstance(content, str) or not content:
        raise ModelFileError(f"{where} has an added token without content")
    if isinstance(id, str) and id.isascii() and id.isdigit():
        id = int(id[:9])
    if not is_whole(id, 0, LARGEST_ID):
        raise ModelFileError(f"{where}: the added token {quoted(content)} has no usable id")
    flags = {flag: fields[flag] for flag in _FLAGS if flag in fields}
    for flag, value in flags.items():
        if not isinstance(value, bool):
            raise ModelFileError(f"{where}: {flag} of the added token {quoted(content)} is not true or false")
    flags.setdefault("special", False)
    flags.setdefault("normalized", not flags["special"])
    return AddedToken(id, content, **flags)


class AddedTokens:
    """Finds added tokens in a text as the tokenizers library does: leftmost, then longest; normalized ones last."""

    def __init__(self, tokens: Iterable[AddedToken]) -> None:
        known = list(tokens)
        self._first = _Finder(token for token in known if not token.normalized)
        self._last = _Finder(token for token in known if token.normalized)

    def split(self, text: str, special: bool) -> Iterator[str | int]:
        """The parts of a text: an added token's id, or the text between two. special: whether special ones count."""
        for part in self._first.split(text, special):
            if isinstance(part, str):
                yield from self._last.split(part, special)
            else:
                yield part


class _Finder:
    def __init__(self, tokens: Iterable[AddedToken]) -> None:
        self._tokens = {token.content: token for token in tokens}
        longest_first = sorted(self._tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def split(self, text: str, special: bool) -> Iterator[str | int]:
        start = 0
        for match in self._pattern.finditer(text) if self._pattern is not None else ():
            token = self._tokens[match.group()]
            begin, end = match.span()
            if (token.special and not special) or (token.single_word and _inside_word(text, begin, end)):
                continue
            while token.lstrip and begin > start and _BLANK.match(text, begin - 1):
                begin -= 1
            while token.rstrip and _BLANK.match(text, end):
                end += 1
            if start < begin:
                yield text[start:begin]
            yield token.id
            start = end
        if start < len(text):
            yield text[start:]


def _inside_word(text: str, begin: int, end: int) -> bool:
    import regex

    return any(regex.match(_WORD, text[place : place + 1]) for place in (begin - 1, end) if place >= 0)
