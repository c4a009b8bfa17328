"""Which tokens a model folder adds to its vocabulary, which of them are marks, and which end a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sg_core.checks import is_whole, quoted
from sg_core.errors import ModelFileError
from sg_core.text.added_tokens import AddedToken, parse_added_token
from sg_core.text.byte_bpe import LARGEST_ID

END_OF_TEXT = "<|endoftext|>"
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_GPT2_ROWS = 50257  # of a configuration that does not say
_LISTS = ("additional_special_tokens", "extra_special_tokens")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """added: all added tokens. roles: "eos_token" and the like -> id. end_ids: after any of these a text is over.

    disputed: id of an added token -> the one that the tokenizers library gives it, where that is another one.
    """

    added: tuple[AddedToken, ...] = ()
    roles: Mapping[str, int] | None = None
    end_ids: frozenset[int] = frozenset()
    disputed: Mapping[int, int] = field(default_factory=dict)

    @property
    def special_ids(self) -> frozenset[int]:
        """Tokens that are marks and no text."""
        marks = {token.id for token in self.added if token.special}
        return frozenset(marks | set((self.roles or {}).values()) | self.end_ids)


def gather(vocabulary: Mapping[str, int], files: Mapping[str, Json], gpt2: bool) -> SpecialTokens:
    """All that a folder's files say about them.

    vocabulary: the model's own tokens -> ids. files: name -> JSON object, those that exist. gpt2: a tokenizer of the
    class of GPT-2, whose roles are all "<|endoftext|>" unless they are told; where that token is nowhere, it is added
    if the model has room for it. Raises ModelFileError, also where two files contradict each other.
    """
    settings = files.get("tokenizer_config.json", {})
    if settings.get("split_special_tokens"):
        raise ModelFileError(
            "tokenizer_config.json: split_special_tokens is true, which takes special tokens in a text for plain "
            "words; only false is supported"
        )
    tokens = _Collector(vocabulary)
    for entry in _list(files.get("tokenizer.json", {}), "added_tokens", "tokenizer.json"):
        if not isinstance(entry, dict) or "id" not in entry:
            raise ModelFileError("tokenizer.json has an added token without content or id")
        tokens.add("tokenizer.json", entry["id"], entry)
    declared = settings.get("added_tokens_decoder") or {}
    if not isinstance(declared, dict):
        raise ModelFileError("tokenizer_config.json: added_tokens_decoder is not an object")
    for id, entry in declared.items():
        tokens.add("tokenizer_config.json", id, entry)
    named = _named(settings, files.get("special_tokens_map.json", {}), gpt2)
    marks = {_content(entry) for entries in named.values() for entry in entries}
    for content, id in files.get("added_tokens.json", {}).items():
        tokens.add("added_tokens.json", id, {"content": content, "special": content in marks})
    roles: dict[str, int] = {}
    for role, entries in named.items():
        for entry in entries:
            usual = gpt2 and _content(entry) == END_OF_TEXT
            found = tokens.mark(entry, room=_rows(files) if usual else None)
            if found is not None and role in ROLES:
                roles[role] = found
    ends = _end_ids(files)
    if "eos_token" in roles:
        ends.add(roles["eos_token"])
    elif not ends and END_OF_TEXT in vocabulary:
        ends.add(vocabulary[END_OF_TEXT])
    added = tuple(tokens.found.values())
    return SpecialTokens(added, roles, frozenset(ends), _disputed(vocabulary, added, gpt2))


def _rows(files: Mapping[str, Json]) -> int:
    """How many tokens the model has: none that is known without a configuration."""
    rows = files["config.json"].get("vocab_size", _GPT2_ROWS) if "config.json" in files else 0
    return rows if is_whole(rows, 0, LARGEST_ID) else 0


def _disputed(vocabulary: Mapping[str, int], added: Iterable[AddedToken], gpt2: bool) -> dict[int, int]:
    """The library numbers added tokens one after another, behind as many as the vocabulary has, whatever files say.

    In their order in tokenizer.json; for GPT-2's class transformers sorts them before.
    """
    disputed: dict[int, int] = {}
    highest = -1
    for token in sorted(added, key=lambda token: token.id) if gpt2 else added:
        given = vocabulary.get(token.content, max(highest + 1, len(vocabulary)))
        highest = max(highest, given)
        if given != token.id:
            disputed[token.id] = given
    return disputed


class _Collector:
    """Added tokens by content; each keeps the id and the flags that were told first."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self.found: dict[str, AddedToken] = {}
        self._vocabulary = vocabulary
        self._token_of_id = {id: token for token, id in vocabulary.items()}
        self._bare: set[str] = set()  # those that were named by a text alone, which tells no flags

    def add(self, where: str, id: object, given: object) -> None:
        token = parse_added_token(where, id, given)
        known = self.found.setdefault(token.content, token)
        has = self._vocabulary.get(token.content, known.id)
        other = self._token_of_id.setdefault(token.id, token.content)
        if has != token.id or known.id != token.id:
            has = has if has != token.id else known.id
            raise ModelFileError(f"{where}: the token {quoted(token.content)} has the id {token.id}, and {has} too")
        if other != token.content:
            raise ModelFileError(f"{where}: the token {quoted(token.content)} has the id {token.id} of {quoted(other)}")

    def mark(self, entry: object, room: int | None) -> int | None:
        """Make a token special; one that has no id yet gets the next one, as in transformers.

        room: tokens of the model, for a token that goes without saying: it is left out where no id is free.
        """
        content = _content(entry)
        token = self.found.get(content)
        if token is None or (isinstance(entry, dict) and content in self._bare):
            id = self._vocabulary.get(content) if token is None else token.id
            if id is None and (id := self._next(content, room)) is None:
                return None
            if not isinstance(entry, dict):
                self._bare.add(content)
            flags = entry if isinstance(entry, dict) else {"content": content}
            token = parse_added_token("special_tokens_map.json", id, {**flags, "special": True})
        self.found[content] = replace(token, special=True)
        return token.id

    def _next(self, content: str, room: int | None) -> int | None:
        id = max([len(self._vocabulary) - 1, *(token.id for token in self.found.values())]) + 1
        if room is not None and (id >= room or id in self._token_of_id):
            return None
        other = self._token_of_id.setdefault(id, content)
        if other != content:
            raise ModelFileError(
                f"the token {quoted(content)} has no id, and the next one, {id}, is that of {quoted(other)}; give it "
                "one in added_tokens.json"
            )
        return id


def _named(settings: Json, special_map: Json, gpt2: bool) -> dict[str, list[Any]]:
    """Role or list -> tokens that are special by name, each a text or an object."""
    named: dict[str, list[Any]] = {}
    told = {**special_map, **{key: value for key, value in settings.items() if value is not None}}
    if "added_tokens_decoder" not in settings:
        told |= special_map  # the older of the two layouts, whose map has the last word
    for role in ROLES:
        usual = END_OF_TEXT if gpt2 and role in ROLES[:3] and role not in settings else None
        entry = told.get(role, usual)
        if _content(entry):
            named[role] = [entry]
    for key in _LISTS:
        value = told.get(key) or []
        entries = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        named[key] = [entry for entry in entries if _content(entry)]
    return named


def _content(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _list(content: Json, key: str, where: str) -> list[Any]:
    value = content.get(key) or []
    if not isinstance(value, list):
        raise ModelFileError(f"{where}: {key} is not a list")
    return value


def _end_ids(files: Mapping[str, Json]) -> set[int]:
    """eos_token_id, a number or a list of them, of generation_config.json and config.json."""
    ends: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        value = files.get(name, {}).get("eos_token_id")
        ids = value if isinstance(value, list) else [value]
        for id in ids:
            if id is None or id == -1:
                continue
            if not is_whole(id, 0, LARGEST_ID):
                raise ModelFileError(f"{name}: eos_token_id is {quoted(value)}; token ids are 0 to {LARGEST_ID:,}")
            ends.add(id)
    return ends
