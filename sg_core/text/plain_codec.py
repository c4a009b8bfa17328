"""The codec of GPT-2's own kind: added tokens cut out of a text, byte-level BPE between them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from sg_core.text.added_tokens import AddedToken, AddedTokens
from sg_core.text.byte_bpe import ByteBPE, Merge, symbol_bytes, without_surrogates


class PlainCodec:
    """Text to ids and ids to bytes.

    vocabulary: token, in GPT-2's byte symbols, -> id, with the added tokens. prefix_space: a text, and what follows an
    added token, begins with a blank, put there where there is none.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        merges: Sequence[Merge],
        added: Collection[AddedToken] = (),
        prefix_space: bool = False,
    ) -> None:
        self._bytes_of_id = {id: symbol_bytes(token) for token, id in vocabulary.items()}
        self._bpe = ByteBPE(vocabulary, merges, self._bytes_of_id)
        self._bytes_of_id |= {token.id: token.content.encode("utf-8", "replace") for token in added}
        self._added = AddedTokens(added)
        self._prefix_space = prefix_space

    def encode_pieces(self, text: str, special: bool) -> Iterator[tuple[int, list[int]]]:
        """How many characters, their ids; about a million characters at a time. special: whether special ones count."""
        done = 0
        text = without_surrogates(text)
        for part in self._added.split(text, special):
            if isinstance(part, int):
                yield 0, [part]
                continue
            if self._prefix_space and not part.startswith(" "):
                part = f" {part}"
            for characters, ids in self._bpe.encode_pieces(part):
                characters = min(characters, len(text) - done)
                done += characters
                yield characters, ids
        if done < len(text):
            yield len(text) - done, []

    def decode(self, ids: Sequence[int]) -> str:
        """The text of known ids; what is not UTF-8 becomes U+FFFD."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def token_bytes(self, id: int) -> bytes:
        """The bytes of one token, maybe a part of a character. Raises KeyError."""
        return self._bytes_of_id[id]

    def bytes_after(self, ids: Sequence[int]) -> PlainDecoder:
        """For the tokens that follow `ids`: their bytes do not depend on it."""
        return PlainDecoder(self)


class PlainDecoder:
    """The bytes of one token after another."""

    def __init__(self, codec: PlainCodec) -> None:
        self._codec = codec

    def push(self, id: int) -> bytes:
        """The bytes of the next token."""
        return self._codec.token_bytes(id)

    def finish(self) -> bytes:
        """Nothing waits."""
        return b""
