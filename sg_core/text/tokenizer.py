"""Text to token ids and back, as a model folder's files say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sg_core.checks import quoted
from sg_core.errors import ModelFileError, SettingError
from sg_core.files import make_folder, replacing, shown
from sg_core.text.added_tokens import AddedTokens
from sg_core.text.byte_bpe import Merge, check_merges, check_vocabulary, peculiar
from sg_core.text.marked_text import MarkedText
from sg_core.text.plain_codec import PlainCodec
from sg_core.text.special_tokens import END_OF_TEXT, SpecialTokens, gather
from sg_core.text.tokenizer_files import Description, read_description


class TextDecoder(Protocol):
    """Turns tokens that come one after another into bytes that can be joined."""

    def push(self, id: int) -> bytes:
        """What is certain with the next token."""

    def finish(self) -> bytes:
        """What waited for more."""


class Codec(Protocol):
    """Ordinary text to ids and back; one for each kind of tokenizer."""

    def encode_pieces(self, text: str, special: bool) -> Iterator[tuple[int, list[int]]]:
        """How many characters, their ids."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of known ids."""

    def token_bytes(self, id: int) -> bytes:
        """Of one token. Raises KeyError."""

    def bytes_after(self, ids: Sequence[int]) -> TextDecoder:
        """For tokens that follow others."""


class Tokenizer:
    """Text to ids and back.

    vocabulary: token -> id, the added ones too. vocab_size: one more than the largest id. end_of_text: the id that ends
    a document, None without one; end_ids: after any of these a text is over. special_ids: marks, which are no text.
    added: the added tokens. before, after: ids that belong around a whole text. chat_template: Jinja, or "".
    """

    def __init__(self, vocabulary: Mapping[str, int], merges: Sequence[Merge]) -> None:
        """GPT-2's own kind. vocabulary: token, in GPT-2's byte symbols, -> id. merges: the first ones first.

        Raises ModelFileError when the two don't belong together.
        """
        check_vocabulary(vocabulary)
        check_merges(vocabulary, merges)
        if reason := peculiar(vocabulary, merges):
            raise ModelFileError(f"the vocabulary {reason}; it is not one of GPT-2's kind")
        special = gather(vocabulary, {}, gpt2=True)
        self._set(Description(dict(vocabulary), tuple(merges), special=special))

    @classmethod
    def from_folder(cls, folder: Path | str) -> Tokenizer:
        """Reads a folder in Hugging Face layout, deciding as transformers' AutoTokenizer which of its files count.

        Raises ModelFileError, naming file and field, for what is missing or malformed, or can't be obeyed.
        """
        tokenizer = cls.__new__(cls)
        try:
            tokenizer._set(read_description(Path(folder)))
        except ModelFileError as problem:
            where = shown(folder)
            if str(problem).startswith(where):
                raise
            raise ModelFileError(f"tokenizer of {where}: {problem}") from problem
        return tokenizer

    def _set(self, description: Description) -> None:
        special = description.special
        self.merges = description.merges
        self.added = special.added
        self._marks = [token for token in self.added if token.special]
        self._finder = AddedTokens(self._marks)
        self.vocabulary = description.vocabulary | {token.content: token.id for token in self.added}
        self.special_ids = special.special_ids
        self._disputed = special.disputed
        self.end_ids = special.end_ids
        self.roles = dict(special.roles or {})
        self.end_of_text = _end_of_text(self.vocabulary, special)
        self.before, self.after = description.before, description.after
        self.vocab_size = max(self.vocabulary.values()) + 1
        self.chat_template = description.chat_template
        self._files = description.files
        self._ids = frozenset(self.vocabulary.values())
        self.fit(self.vocab_size)
        if description.library:
            from sg_core.text.library_codec import LibraryCodec

            self._codec: Codec = LibraryCodec(description.content, self.added, description.library)
        else:
            self._codec = PlainCodec(description.vocabulary, self.merges, self.added, description.prefix_space)

    def fit(self, rows: int) -> None:
        """Set how many tokens the model has. Raises SettingError for an ordinary token that it does not have.

        An added token may lie beyond, as a padding token often does; a text that contains it is refused. What a model
        may write are the ids below `limit` but for the `unnamed`, for which there is no token.
        """
        added = {token.id for token in self.added}
        for token, id in self.vocabulary.items():
            if id >= rows and id not in added:
                raise SettingError(
                    f"the tokenizer has {self.vocab_size} tokens, the model's vocab_size is {rows}: "
                    f"{quoted(token)} has the id {id}"
                )
        self._rows = rows
        writable = {id for id in self._ids | self.end_ids if id < rows}
        self.limit = max(writable, default=0) + 1
        self.unnamed = tuple(sorted(set(range(self.limit)) - writable))

    def encode(self, text: str, special: bool = False) -> list[int]:
        """The ids of a whole text of any length, with those that belong around it.

        special: whether special tokens in the text are ids, or plain text. Lone surrogates are read as U+FFFD.
        Raises SettingError for a text with a token that the model does not have.
        """
        return [*self.before, *self.encode_part(text, special), *self.after]

    def encode_prompt(self, text: str) -> list[int]:
        """The ids of a text that is to go on: as `encode`, without what would end it.

        In the marked parts of a MarkedText special tokens are ids; of parts that are tokens the ids are taken.
        """
        if not isinstance(text, MarkedText):
            return [*self.before, *self.encode_part(text)]
        ids = list(self.before) if text.whole else []
        runs: list[str | int] = [""]
        for part, marked in text.parts:
            if isinstance(marked, tuple):
                runs += [*marked, ""]
                continue
            for piece in self._finder.split(part, True) if marked else (part,):
                if isinstance(piece, str) and isinstance(runs[-1], str):
                    runs[-1] += piece
                else:
                    runs.append(piece)
        runs = [run for run in runs if run != ""]
        if runs == list(self._finder.split(text, True)):  # nothing that is plain looks like a special token
            return ids + self.encode_part(text, special=True)
        for run in runs:
            ids += [run] if isinstance(run, int) else self.encode_part(run)
        return ids

    def encode_part(self, text: str, special: bool = False) -> list[int]:
        """The ids of a part of a text, with nothing around it."""
        return [id for _, ids in self.encode_pieces(text, special) for id in ids]

    def special_among(self, texts: Sequence[str]) -> frozenset[int]:
        """The ids of those texts that are special tokens."""
        return frozenset(token.id for token in self._marks if token.content in texts)

    def encode_pieces(self, text: str, special: bool = False) -> Iterator[tuple[int, list[int]]]:
        """The same ids, about a million characters at a time: how many characters, their ids."""
        for characters, ids in self._codec.encode_pieces(text, special):
            if self._rows < self.vocab_size and max(ids, default=0) >= self._rows:
                self._refuse(max(ids), f"the model has only the ids 0 to {self._rows - 1}")
            if self._disputed and (disputed := next((id for id in ids if id in self._disputed), None)) is not None:
                given = self._disputed[disputed]
                self._refuse(
                    disputed, f"the tokenizers library gives it {given}; leave it out, or renumber it in its file"
                )
            yield characters, ids

    def _refuse(self, id: int, why: str) -> None:
        token = next(token.content for token in self.added if token.id == id)
        raise SettingError(f"the text has the token {quoted(token)}, id {id}; {why}")

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids, special ones too; what is not UTF-8 becomes U+FFFD. Raises SettingError."""
        for id in ids:
            self._require(id)
        return self._codec.decode(ids)

    def token_bytes(self, id: int) -> bytes:
        """The bytes of one token, maybe a part of a character. Raises SettingError for an unknown id."""
        self._require(id)
        return self._codec.token_bytes(id)

    def decoder(self, before: Sequence[int] = ()) -> TextDecoder:
        """For tokens that follow the ids `before`, one after another; special ones have no bytes."""
        shown_ids = [id for id in before if id in self._ids and id not in self.special_ids]
        return _WithoutMarks(self._codec.bytes_after(shown_ids), self.special_ids)

    def _require(self, id: int) -> None:
        if id not in self._ids:
            raise SettingError(f"token id {id} is not in the vocabulary; ids go from 0 to {self.vocab_size - 1}")

    def save(self, folder: Path | str) -> None:
        """Writes the files it was read from, or vocab.json, merges.txt and what transformers' AutoTokenizer needs.

        Raises ModelFileError.
        """
        folder = Path(folder)
        make_folder(folder, ModelFileError)
        for name, data in (self._files or self._own_files()).items():
            with replacing(folder / name, ModelFileError) as file:
                file.write(data)

    def _own_files(self) -> dict[str, bytes]:
        merges = "".join(f"{first} {second}\n" for first, second in self.merges)
        config: dict[str, Any] = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False}
        if self.end_of_text is not None:
            config |= dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
        files = {
            "vocab.json": json.dumps(self.vocabulary, ensure_ascii=False),
            "merges.txt": "#version: 0.2\n" + merges,
            "tokenizer_config.json": json.dumps(config, indent=2) + "\n",
        }
        return {name: text.encode("utf-8") for name, text in files.items()}


def _end_of_text(vocabulary: Mapping[str, int], special: SpecialTokens) -> int | None:
    usual = vocabulary.get(END_OF_TEXT, min(special.end_ids, default=None))
    return (special.roles or {}).get("eos_token", usual)


class _WithoutMarks:
    """A decoder for which special tokens have no bytes."""

    def __init__(self, decoder: TextDecoder, marks: frozenset[int]) -> None:
        self._decoder, self._marks = decoder, marks

    def push(self, id: int) -> bytes:
        return b"" if id in self._marks else self._decoder.push(id)

    def finish(self) -> bytes:
        return self._decoder.finish()
