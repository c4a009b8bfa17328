"""Bytes of tokens in, text out that is safe to concatenate: no half characters, no part of a stop string."""

from __future__ import annotations

import codecs
import re
from typing import Final

from sg_core.checks import quoted
from sg_core.errors import SettingError

_WORD = "[A-Z][A-Za-z]*"
_NAME = f"{_WORD}(?: {_WORD}){{0,3}}"
_CUE = re.compile(f"\n{_NAME}:\n")
_CUE_BEGUN = re.compile(f"\n(?:{_NAME}[ :]?)?\\Z")


class Cue(str):
    """A stop string that stands for every line of a name and a colon, with which someone begins to speak in a play."""

    __slots__ = ()


CUE: Final = Cue("\n{a name}:\n")


class TextStream:
    """Turns the bytes of one token after another into text.

    Bytes of an unfinished UTF-8 character wait for the next token, and so does any end of the text that
    may begin a stop string. As soon as a stop string is complete (of several, the one that begins first),
    the text before it is given, `stopped` becomes True, and nothing more comes.
    """

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        """Raises SettingError for an empty stop string, which would stop everywhere."""
        if isinstance(stop, str) or not all(isinstance(word, str) and word for word in stop):
            raise SettingError(f"stop is {quoted(stop)}; it must be a tuple of strings that are not empty")
        self.stopped = False
        self._stop = stop
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def push(self, data: bytes) -> str:
        """The text that is now certain, "" once stopped. What is not UTF-8 becomes U+FFFD."""
        return self._release(self._decoder.decode(data))

    def finish(self) -> str:
        """What was held back; a character never finished is one U+FFFD. To be called once, at the end."""
        text = self._release(self._decoder.decode(b"", True))
        rest, self._held = self._held, ""
        return text + rest

    def _release(self, new: str) -> str:
        if self.stopped:
            return ""
        text = self._held + new
        places = [place for word in self._stop if (place := _find(word, text)) >= 0]
        if places:
            self.stopped = True
            self._held = ""
            return text[: min(places)]
        certain = len(text) - self._possible_beginning(text)
        self._held = text[certain:]
        return text[:certain]

    def _possible_beginning(self, text: str) -> int:
        """The length of the longest end of `text` with which some stop string begins."""
        longest = 0
        for word in self._stop:
            if isinstance(word, Cue):
                begun = _CUE_BEGUN.search(text)
                longest = max(longest, len(text) - begun.start() if begun else 0)
                continue
            for length in range(min(len(word) - 1, len(text)), longest, -1):
                if text.endswith(word[:length]):
                    longest = length
                    break
        return longest


def _find(word: str, text: str) -> int:
    """Where a stop string begins, -1 where it does not stand."""
    if isinstance(word, Cue):
        found = _CUE.search(text)
        return found.start() if found else -1
    return text.find(word)
