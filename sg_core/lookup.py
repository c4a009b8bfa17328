"""Prompt-lookup drafts (Saxena 2023): what followed the last few tokens where they stood before may follow again.

A draft costs nothing to make. The model computes its tokens in one pass with the next one; those it would have chosen
itself are kept, so the text is the same with and without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sg_core.parameters import FloatArray
    from sg_core.session import Session

MOST = 8  # tokens of a draft
_NGRAM = 3  # tokens that must have stood before
_LEARNING = 0.2  # weight of the newest draft in the confidence
_DOUBT = 0.3  # confidence below which only now and then a draft is tried
_PROBE = 24  # tokens between two such tries


class Lookup:
    """Finds drafts in one text, and learns how long they may be: `drafted` and `accepted` count tokens."""

    def __init__(self) -> None:
        self.drafted = 0
        self.accepted = 0
        self._seen: list[int] = []
        self._places: dict[tuple[int, ...], int] = {}  # n-gram -> the place after its newest occurrence
        self._confidence = 0.6
        self._waited = 0

    def draft(self, ids: Sequence[int], most: int) -> list[int]:
        """Up to `most` tokens that may follow `ids`."""
        place = self._find(list(ids))
        if place is None:
            return []
        self._waited += 1
        if self._confidence < _DOUBT and self._waited < _PROBE:
            return []
        self._waited = 0
        length = 2 if self._confidence < 0.5 else 4 if self._confidence < 0.75 else MOST
        text = list(ids)
        for step in range(min(length, most)):
            text.append(text[place + step])  # a short loop goes on through the draft itself
        return text[len(ids) :]

    def learn(self, drafted: int, accepted: int) -> None:
        """Tell how many tokens of a draft the model would have chosen itself."""
        self.drafted += drafted
        self.accepted += accepted
        self._confidence += _LEARNING * (accepted / drafted - self._confidence)

    def _find(self, ids: list[int]) -> int | None:
        """The place after the newest earlier occurrence of the last n-gram of `ids`; the n-grams are then entered."""
        if ids[: len(self._seen)] != self._seen:
            self._seen = []
            self._places.clear()
        for end in range(max(_NGRAM, len(self._seen) + 1), len(ids)):
            self._places[tuple(ids[end - _NGRAM : end])] = end
        place = self._places.get(tuple(ids[-_NGRAM:])) if len(ids) >= _NGRAM else None
        self._seen = ids[:-1]  # the last n-gram is entered when something follows it
        return place


class Ahead:
    """Logits of a session's next token; with a draft those of its tokens as well, kept while it comes true."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._draft: list[int] = []
        self._rows: FloatArray | None = None
        self._used = 0  # rows that have become tokens
        self._text: list[int] = []
        self._setting: tuple[object, ...] = ()

    def logits(self, left: int) -> FloatArray:
        """(V,) for the next token; `left`: how many more may follow it."""
        session = self._session
        setting = (session.optimizations, session.precision, session.model.version)
        if self._rows is not None and setting == self._setting and session.ids == self._text:
            session.times.fill(0)  # this token costs nothing but its choice
        else:
            self._close()
            lookup = session.optimizations.lookup and left > 0
            self._draft = session.lookup.draft(session.ids, left) if lookup else []
            self._rows, self._used, self._setting = session.decode(self._draft), 0, setting
        row: FloatArray = self._rows[self._used]
        return row

    def chosen(self, id: int) -> None:
        """The token that followed, which now ends the session's ids."""
        if self._used < len(self._draft) and self._draft[self._used] == id:
            self._used += 1
            self._session.accept()
            self._text = list(self._session.ids)
        else:
            self._close()

    def _close(self) -> None:
        if self._draft:
            self._session.lookup.learn(len(self._draft), self._used)
        self._rows, self._draft = None, []
