"""GPT-2's byte-level BPE (Radford et al. 2019): text to token ids and back, from a model folder's files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tiktoken

from sg_core.checks import is_whole
from sg_core.errors import ModelFileError, SettingError
from sg_core.files import make_folder, read_bytes, read_json_object, replacing, shown

END_OF_TEXT = "<|endoftext|>"
# GPT-2's splitter, in the possessive form that never backtracks over letters, digits or signs
SPLIT_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
LARGEST_FILE = 64 << 20  # GPT-2's own files have 1 MB and 0.5 MB; tokenizer.json of other models up to 30 MB
LARGEST_ID = (1 << 24) - 1
PIECE = 1 << 20  # characters encoded at a time
LONGEST_RUN = 16 << 20  # characters without the end of a word

_BLANK = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # Unicode's White_Space
_WORD_END = re.compile(rf"(?<=[^{_BLANK}])(?=[{_BLANK}])")
_LONG_BLANKS = re.compile(rf"(?<![{_BLANK}])[{_BLANK}]{{1000,}}+")


def _byte_symbols() -> tuple[str, ...]:
    """The printable character that stands for each byte in a model's files (GPT-2's bytes_to_unicode)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return tuple(symbols[byte] for byte in range(256))


SYMBOLS = _byte_symbols()  # byte -> its character
_BYTES = {symbol: byte for byte, symbol in enumerate(SYMBOLS)}


class Tokenizer:
    """Text to ids and back.

    vocab_size: one more than the largest id. end_of_text: the id of "<|endoftext|>", None without it;
    `encode` never gives that id: inside text the same characters are plain text.
    """

    def __init__(self, vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> None:
        """vocabulary: token, in GPT-2's byte symbols, -> id. merges: the pairs to join, the first ones first.

        Raises ModelFileError when the two don't belong together.
        """
        self.vocabulary = dict(vocabulary)
        self.merges = tuple(merges)
        self._bytes_of_id = _bytes_of_ids(self.vocabulary)
        self.vocab_size = max(self._bytes_of_id) + 1
        self.end_of_text = self.vocabulary.get(END_OF_TEXT)
        # tiktoken's rank is both priority and id; ours is the priority: files may number tokens as they like
        ids = [*_ids_of_bytes(self.vocabulary), *_ids_of_merges(self.vocabulary, self.merges)]
        self._id_of_rank = None if ids == list(range(len(ids))) else ids
        ranks = {self._bytes_of_id[id]: rank for rank, id in enumerate(ids)}
        self._encoding = tiktoken.Encoding("sg", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens={})

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """Reads a folder in Hugging Face layout: vocab.json and merges.txt, or else tokenizer.json.

        Raises ModelFileError, naming the file, when they are missing or malformed.
        """
        folder = Path(folder)
        if (folder / "vocab.json").exists() and (folder / "merges.txt").exists():
            vocabulary = read_json_object(folder / "vocab.json", LARGEST_FILE, ModelFileError)
            merges = _parse_merges(read_bytes(folder / "merges.txt", LARGEST_FILE, ModelFileError))
        elif (folder / "tokenizer.json").exists():
            vocabulary, merges = _parse_tokenizer_json(
                read_json_object(folder / "tokenizer.json", LARGEST_FILE, ModelFileError)
            )
        else:
            raise ModelFileError(
                f"{shown(folder)} has no tokenizer: vocab.json and merges.txt, or tokenizer.json, are needed"
            )
        try:
            return cls(vocabulary, merges)
        except ModelFileError as problem:
            raise ModelFileError(f"tokenizer of {shown(folder)}: {problem}") from problem

    def encode(self, text: str) -> list[int]:
        """The ids of a text of any length. Lone surrogates, which are no text, are read as U+FFFD."""
        ids: list[int] = []
        for _, piece in self.encode_pieces(text):
            ids += piece
        return ids

    def encode_pieces(self, text: str) -> Iterator[tuple[int, list[int]]]:
        """The same ids, about a million characters at a time: how many characters, their ids."""
        table = self._id_of_rank
        for piece in _pieces(text):
            ranks = self._encoding.encode_ordinary(_without_surrogates(piece))
            yield len(piece), ranks if table is None else [table[rank] for rank in ranks]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids; what is not UTF-8 becomes U+FFFD. Raises SettingError for an unknown id."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def token_bytes(self, id: int) -> bytes:
        """The bytes of one token, maybe a part of a character. Raises SettingError for an unknown id."""
        try:
            return self._bytes_of_id[id]
        except KeyError:
            raise SettingError(
                f"token id {id} is not in the vocabulary; ids go from 0 to {self.vocab_size - 1}"
            ) from None

    def save(self, folder: Path) -> None:
        """Writes vocab.json, merges.txt and what transformers' AutoTokenizer needs. Raises ModelFileError."""
        folder = Path(folder)
        make_folder(folder, ModelFileError)
        merges = "".join(f"{first} {second}\n" for first, second in self.merges)
        files: dict[str, str] = {
            "vocab.json": json.dumps(self.vocabulary, ensure_ascii=False),
            "merges.txt": "#version: 0.2\n" + merges,
            "tokenizer_config.json": json.dumps(self._tokenizer_config(), indent=2) + "\n",
        }
        for name, text in files.items():
            with replacing(folder / name, ModelFileError) as file:
                file.write(text.encode("utf-8"))

    def _tokenizer_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False}
        if self.end_of_text is not None:
            config |= dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
        return config


def split(text: str) -> list[str]:
    """The words of a text as GPT-2 cuts it: no token is part of two of them; joined they are the text."""
    import regex

    return [word for piece in _pieces(_without_surrogates(text)) for word in regex.findall(SPLIT_PATTERN, piece)]


def _without_surrogates(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _pieces(text: str) -> Iterator[str]:
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


def _symbol_bytes(token: str) -> bytes:
    """The bytes a token of vocab.json stands for; one with other characters stands for itself."""
    try:
        return bytes([_BYTES[symbol] for symbol in token])
    except KeyError:
        return token.encode("utf-8", "replace")


def _bytes_of_ids(vocabulary: Mapping[str, Any]) -> dict[int, bytes]:
    result: dict[int, bytes] = {}
    for token, id in vocabulary.items():
        if not is_whole(id, 0, LARGEST_ID):
            raise ModelFileError(f"token {shown(token)!r} has the id {id!r}; ids are 0 to {LARGEST_ID:,}")
        if id in result:
            raise ModelFileError(f"token {shown(token)!r} has the id {id}, which another token has")
        result[id] = _symbol_bytes(token)
    if not result:
        raise ModelFileError("the vocabulary is empty")
    return result


def _ids_of_bytes(vocabulary: Mapping[str, int]) -> Iterator[int]:
    missing = [byte for byte, symbol in enumerate(SYMBOLS) if symbol not in vocabulary]
    if missing:
        raise ModelFileError(
            f"the vocabulary lacks {len(missing)} of the 256 single bytes, the first 0x{missing[0]:02x}; "
            "it is not a GPT-2 vocabulary"
        )
    # sorted as most files number them, so that ranks and ids are the same numbers
    yield from sorted(vocabulary[symbol] for symbol in SYMBOLS)


def _ids_of_merges(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> Iterator[int]:
    made: set[str] = set()
    for number, (first, second) in enumerate(merges, 1):
        token = first + second
        for part in (first, second, token):
            if not part or part not in vocabulary or not _BYTES.keys() >= set(part):
                raise ModelFileError(f"merge {number} needs the token {shown(part)!r}, which is not in the vocabulary")
        if token in made or token in _BYTES:
            raise ModelFileError(f"merge {number} makes the token {shown(token)!r} a second time")
        made.add(token)
        yield vocabulary[token]


def _parse_merges(data: bytes) -> list[tuple[str, str]]:
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as problem:
        raise ModelFileError(f"merges.txt is not UTF-8 text (byte {problem.start})") from problem
    merges: list[tuple[str, str]] = []
    for number, line in enumerate(lines, 1):
        line = line.removesuffix("\r")
        if not line or (number == 1 and line.startswith("#version")):
            continue
        merges.append(_pair(line.split(" "), f"merges.txt, line {number}"))
    return merges


def _parse_tokenizer_json(content: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Vocabulary and merges out of a tokenizer.json of the byte-level BPE kind."""
    model = content.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        raise ModelFileError("tokenizer.json does not describe a BPE tokenizer; GPT-2's is one")
    vocabulary, merges = model.get("vocab"), model.get("merges")
    added = content.get("added_tokens") or []
    if not isinstance(vocabulary, dict) or not isinstance(merges, list) or not isinstance(added, list):
        raise ModelFileError("tokenizer.json lacks model.vocab or model.merges")
    vocabulary = dict(vocabulary)
    for token in added:
        if not isinstance(token, dict) or not isinstance(token.get("content"), str) or "id" not in token:
            raise ModelFileError("tokenizer.json has an added token without content or id")
        vocabulary.setdefault(token["content"], token["id"])
    pairs = [
        _pair(merge.split(" ") if isinstance(merge, str) else merge, f"tokenizer.json, merge {number}")
        for number, merge in enumerate(merges, 1)
    ]
    return vocabulary, pairs


def _pair(parts: object, where: str) -> tuple[str, str]:
    if isinstance(parts, list) and len(parts) == 2:
        first, second = parts
        if isinstance(first, str) and isinstance(second, str):
            return first, second
    raise ModelFileError(f"{where}, is not a pair of tokens")
