"""The codec of every other kind of tokenizer.json, by the tokenizers library: an extra, imported only here."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sg_core.checks import quoted
from sg_core.errors import ModelFileError
from sg_core.files import shown
from sg_core.text.added_tokens import AddedToken
from sg_core.text.byte_bpe import without_surrogates

INSTALL = "pip install 'sg-tui[tokenizers]'"
PIECE = 1 << 20  # characters encoded at a time
AROUND = 2000  # characters on both sides of a cut by which it is checked
CUTS = 200  # places that are tried
CONTEXT = 16  # tokens before, by which a token's text is found
UNFINISHED = "\N{REPLACEMENT CHARACTER}"  # at the end of a decoded text: the character may go on
LONGEST_CHARACTER = 4  # tokens, each of a byte
MOST_WAITING = 16  # tokens without a certain text, until their text is given as it is

_CUT = re.compile(r"(?<=[^\s])(?=\s)|(?<=\n)(?=\S)")

T = TypeVar("T")


class LibraryCodec:
    """Text to ids and back as a tokenizer.json says. Its post-processor is not applied: see `Tokenizer.encode`."""

    def __init__(self, content: Mapping[str, Any], added: Collection[AddedToken], because: str) -> None:
        """content: of a tokenizer.json; added: all added tokens, its own too. because: why the library is needed.

        Raises ModelFileError without the library, for a content that it refuses, and for added tokens that it would
        give other ids than they have.
        """
        try:
            import tokenizers
        except ImportError:
            raise ModelFileError(f"{because}, which needs the tokenizers library: {INSTALL}") from None
        tokens = [_added_json(token) for token in sorted(added, key=lambda token: token.id)]
        text = json.dumps({**content, "added_tokens": tokens, "post_processor": None})
        self._library = _guarded(lambda: tokenizers.Tokenizer.from_str(text), "tokenizer.json can't be used")
        self._library.no_truncation()
        self._library.no_padding()
        self._lock = threading.Lock()
        for token in added:
            if (given := self._library.token_to_id(token.content)) != token.id:
                raise ModelFileError(
                    f"the added token {quoted(token.content)} has the id {token.id}, but stands at {given}; "
                    "ids of added tokens must go on where the vocabulary ends"
                )

    def encode_pieces(self, text: str, special: bool) -> Iterator[tuple[int, list[int]]]:
        """How many characters, their ids; a million characters at a time or, where no cut is safe, more."""
        text = without_surrogates(text)
        start = 0
        while start < len(text):
            end = self._cut(text, start + PIECE, special)
            yield end - start, self._encode(text[start:end], special)
            start = end

    def _cut(self, text: str, start: int, special: bool) -> int:
        """The first place from `start` on where both sides, read alone, give the ids that they give together."""
        for number, match in enumerate(_CUT.finditer(text, start)):
            place = match.start()
            before, after = text[max(0, place - AROUND) : place], text[place : place + AROUND]
            if self._encode(before + after, special) == self._encode(before, special) + self._encode(after, special):
                return place
            if number == CUTS:
                break
        return len(text)

    def _encode(self, text: str, special: bool) -> list[int]:
        with self._lock:  # the library keeps this choice as a state
            self._library.encode_special_tokens = not special
            encoding = _guarded(
                lambda: self._library.encode(text, add_special_tokens=False), "the tokenizer can't read the text"
            )
        ids: list[int] = encoding.ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of known ids."""
        text: str = _guarded(
            lambda: self._library.decode(list(ids), skip_special_tokens=False), "the tokenizer can't write the ids"
        )
        return text

    def token_bytes(self, id: int) -> bytes:
        """The text, as UTF-8, of one token inside a text. Raises KeyError."""
        if self._library.id_to_token(id) is None:
            raise KeyError(id)
        alone, twice = self.decode([id]), self.decode([id, id])
        return (twice.removeprefix(alone) if twice.startswith(alone) and twice != alone else alone).encode("utf-8")

    def bytes_after(self, ids: Sequence[int]) -> LibraryDecoder:
        """For the tokens that follow `ids`: the first one of a text may look otherwise than one inside it."""
        return LibraryDecoder(self, ids)


class LibraryDecoder:
    """The bytes of one token after another: what a token adds to the text of those before it."""

    def __init__(self, codec: LibraryCodec, before: Sequence[int]) -> None:
        self._codec = codec
        self._waiting = 0  # tokens at the end of ids whose text has not been given
        self._ids, self._given = self._recent(list(before))

    def push(self, id: int) -> bytes:
        """What is certain now; an unfinished character, or what the decoder may still change, waits."""
        self._ids.append(id)
        self._waiting += 1
        text = self._codec.decode(self._ids)
        uncertain = text.endswith(UNFINISHED) or not text.startswith(self._given)
        if uncertain and self._waiting < MOST_WAITING:
            return b""
        return self._give(text)

    def finish(self) -> bytes:
        """What waited."""
        return self._give(self._codec.decode(self._ids)) if self._waiting else b""

    def _give(self, text: str) -> bytes:
        common = len(self._given) if text.startswith(self._given) else _common_length(text, self._given)
        new = text[common:]
        self._ids, self._given = self._recent(self._ids)
        self._waiting = 0
        return new.encode("utf-8")

    def _recent(self, ids: list[int]) -> tuple[list[int], str]:
        """The last tokens and their text, cut where a character begins: the rest of one would spoil those after it."""
        length = max(CONTEXT, self._waiting)
        cuts = [ids[-length - more :] for more in range(LONGEST_CHARACTER)]
        texts = [self._codec.decode(cut) for cut in cuts]
        best = min(range(LONGEST_CHARACTER), key=lambda number: texts[number].count(UNFINISHED))
        return cuts[best], texts[best]


def _common_length(one: str, other: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _added_json(token: AddedToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "content": token.content,
        "single_word": token.single_word,
        "lstrip": token.lstrip,
        "rstrip": token.rstrip,
        "normalized": token.normalized,
        "special": token.special,
    }


def _guarded(work: Callable[[], T], what: str) -> T:
    """Raises ModelFileError for whatever the library raises: its errors are plain Exceptions, its panics not even."""
    try:
        return work()
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as problem:
        reason = shown((str(problem).strip() or type(problem).__name__).splitlines()[0])[:200]
        raise ModelFileError(f"{what}: {reason}") from problem
