"""GPT-2's byte-level BPE (Radford et al. 2019): ordinary text to token ids, by tiktoken."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tiktoken

from sg_core.checks import is_whole, quoted
from sg_core.errors import ModelFileError

# GPT-2's splitter, in the possessive form that never backtracks over letters, digits or signs
SPLIT_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
LARGEST_ID = (1 << 24) - 1
PIECE = 1 << 20  # characters encoded at a time
LONGEST_RUN = 16 << 20  # characters without the end of a word
BLANK = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # Unicode's White_Space
GPT2_MERGES = "04e3597d7996f292ca9b8b7285ca4d58a6ae171ac47d73fc7140ceb0c7a6bbc0"  # SHA-256 of GPT-2's own merges

_WORD_END = re.compile(rf"(?<=[^{BLANK}])(?=[{BLANK}])")
_LONG_BLANKS = re.compile(rf"(?<![{BLANK}])[{BLANK}]{{1000,}}+")

Merge = tuple[str, str]


def _byte_symbols() -> tuple[str, ...]:
    """The printable character that stands for each byte in a model's files (GPT-2's bytes_to_unicode)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return tuple(symbols[byte] for byte in range(256))


SYMBOLS = _byte_symbols()  # byte -> its character
BYTES = {symbol: byte for byte, symbol in enumerate(SYMBOLS)}


class ByteBPE:
    """Text to ids, for vocabularies that hold all 256 bytes and are not `peculiar`."""

    def __init__(
        self, vocabulary: Mapping[str, int], merges: Sequence[Merge], bytes_of_id: Mapping[int, bytes]
    ) -> None:
        """vocabulary: token, in GPT-2's byte symbols, -> id. merges: the pairs to join, the first ones first."""
        # sorted as most files number them, so that ranks and ids are the same numbers
        ids = sorted(vocabulary[symbol] for symbol in SYMBOLS)
        ids += [vocabulary[first + second] for first, second in merges]
        # tiktoken's rank is both priority and id; ours is the priority: files may number tokens as they like
        self._id_of_rank = None if ids == list(range(len(ids))) else ids
        ranks = {bytes_of_id[id]: rank for rank, id in enumerate(ids)}
        self._encoding = tiktoken.Encoding("sg", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens={})

    def encode_pieces(self, text: str) -> Iterator[tuple[int, list[int]]]:
        """A text's ids, about a million characters at a time: how many characters, their ids."""
        table = self._id_of_rank
        for piece in pieces(text):
            ranks = self._encoding.encode_ordinary(piece)
            yield len(piece), ranks if table is None else [table[rank] for rank in ranks]


def split(text: str) -> list[str]:
    """The words of a text as GPT-2 cuts it: no token is part of two of them; joined they are the text."""
    import regex

    return [word for piece in pieces(without_surrogates(text)) for word in regex.findall(SPLIT_PATTERN, piece)]


def without_surrogates(text: str) -> str:
    """The text, lone surrogates, which are no text, as U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def pieces(text: str) -> Iterator[str]:
    """Cuts a text, where GPT-2's splitter cuts it too, into pieces of about PIECE characters.

    Around each long run of blanks before a word: the splitter's `\\s+(?!\\S)` takes such a run but for its last blank,
    and its engine overflows on long ones. Elsewhere at the end of a word; only a run of more than LONGEST_RUN
    characters without such an end is cut anywhere.
    """
    start = 0
    for run in _LONG_BLANKS.finditer(text):
        if run.end() < len(text):
            yield from _parts(text, start, run.start())
            yield from _parts(text, run.start(), run.end() - 1)
            start = run.end() - 1
    yield from _parts(text, start, len(text))


def _parts(text: str, start: int, end: int) -> Iterator[str]:
    while end - start > PIECE:
        last = min(start + LONGEST_RUN, end)
        word_end = _WORD_END.search(text, start + PIECE, last)
        place = word_end.start() if word_end else last
        yield text[start:place]
        start = place
    yield text[start:end]


def symbol_bytes(token: str) -> bytes:
    """The bytes a token of a byte-level vocabulary stands for; one with other characters stands for itself."""
    try:
        return bytes([BYTES[symbol] for symbol in token])
    except KeyError:
        return token.encode("utf-8", "replace")


def check_vocabulary(vocabulary: Mapping[str, Any]) -> None:
    """Raises ModelFileError for ids that are none, and for two tokens of one id."""
    seen: set[int] = set()
    for token, id in vocabulary.items():
        if not is_whole(id, 0, LARGEST_ID):
            raise ModelFileError(f"token {quoted(token)} has the id {quoted(id)}; ids are 0 to {LARGEST_ID:,}")
        if id in seen:
            raise ModelFileError(f"token {quoted(token)} has the id {id}, which another token has")
        seen.add(id)
    if not seen:
        raise ModelFileError("the vocabulary is empty")


def check_merges(vocabulary: Mapping[str, int], merges: Sequence[Merge]) -> None:
    """Raises ModelFileError for a merge that needs a token the vocabulary does not have."""
    for number, (first, second) in enumerate(merges, 1):
        for part in (first, second, first + second):
            if not part or part not in vocabulary:
                raise ModelFileError(f"merge {number} needs the token {quoted(part)}, which is not in the vocabulary")


def peculiar(vocabulary: Mapping[str, int], merges: Sequence[Merge]) -> str:
    """Why `ByteBPE`, which joins by what two tokens make and not by the pair, could give other ids; "" if it can't.

    It can't where every merge follows those of its parts and, of all ways to its token, is the one that is taken: no
    pair astride the boundary of its two parts is joined before they are whole.
    """
    missing = [byte for byte, symbol in enumerate(SYMBOLS) if symbol not in vocabulary]
    if missing:
        return f"lacks {len(missing)} of the 256 single bytes, the first 0x{missing[0]:02x}"
    if merges_digest(merges) == GPT2_MERGES:  # looked at before: a quarter of a second less at every start
        return ""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    made: dict[str, int] = {}  # token -> rank of its merge
    for rank, (first, second) in enumerate(merges):
        token = first + second
        if not BYTES.keys() >= set(token):
            return f"joins to {quoted(token)}, which is not made of bytes"
        if token in made or token in BYTES:
            return f"has several ways to the token {quoted(token)}"
        if any(len(part) > 1 and part not in made for part in (first, second)):
            return f"joins to {quoted(token)} before its parts can be there"
        made[token] = rank
        if _joined_astride(merges, ranks, made, rank):
            return f"has a token, {quoted(token)}, that its own merge never makes"
    return ""


def merges_digest(merges: Sequence[Merge]) -> str:
    """SHA-256 of the merges as the lines of a merges.txt."""
    return hashlib.sha256("\n".join(f"{first} {second}" for first, second in merges).encode()).hexdigest()


def _joined_astride(merges: Sequence[Merge], ranks: Mapping[Merge, int], made: Mapping[str, int], rank: int) -> bool:
    """Whether an end of the first part and a beginning of the second are joined before merge `rank`."""
    left, right = merges[rank]
    ends = [(left, rank)]  # what stands left of the boundary, and the merge that takes it away
    while len(left) > 1:
        taken = made[left]
        left = merges[taken][1]
        ends.append((left, taken))
    while True:
        for left, taken in ends:
            found = ranks.get((left, right))
            # of two equal pairs the left one is joined first
            if found is not None and found < taken and found <= rank:
                return True
        if len(right) == 1:
            return False
        rank = made[right]
        right = merges[rank][0]
