"""Which tokens a model folder adds to its vocabulary, which of them are marks, and which end a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sg_core.checks import is_whole, quoted
from sg_core.errors import ModelFileError
from sg_core.files import shown
from sg_core.text.added_tokens import AddedToken, parse_added_token
from sg_core.text.byte_bpe import LARGEST_ID

END_OF_TEXT = "<|endoftext|>"
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_LISTS = ("additional_special_tokens", "extra_special_tokens")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """added: all added tokens. roles: "eos_token" and the like -> id. end_ids: after any of these a text is over."""

    added: tuple[AddedToken, ...] = ()
    roles: Mapping[str, int] | None = None
    end_ids: frozenset[int] = frozenset()

    @property
    def special_ids(self) -> frozenset[int]:
        """Tokens that are marks and no text."""
        marks = {token.id for token in self.added if token.special}
        return frozenset(marks | set((self.roles or {}).values()) | self.end_ids)


def gather(vocabulary: Mapping[str, int], files: Mapping[str, Json], gpt2: bool) -> SpecialTokens:
    """All that a folder's files say about them.

    vocabulary: the model's own tokens -> ids. files: name -> JSON object, those that exist. gpt2: a tokenizer of the
    class of GPT-2, whose roles are all "<|endoftext|>" unless they are told. Raises ModelFileError, also where two
    files contradict each other.
    """
    settings = files.get("tokenizer_config.json", {})
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
            found = tokens.mark(entry, needed=not (gpt2 and _content(entry) == END_OF_TEXT))
            if found is not None and role in ROLES:
                roles[role] = found
    ends = _end_ids(files)
    if "eos_token" in roles:
        ends.add(roles["eos_token"])
    elif not ends and END_OF_TEXT in vocabulary:
        ends.add(vocabulary[END_OF_TEXT])
    return SpecialTokens(tuple(tokens.found.values()), roles, frozenset(ends))


class _Collector:
    """Added tokens by content; each keeps the id and the flags that were told first."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self.found: dict[str, AddedToken] = {}
        self._vocabulary = vocabulary
        self._token_of_id = {id: token for token, id in vocabulary.items()}

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

    def mark(self, entry: object, needed: bool) -> int | None:
        """Make a token special; one that has no id yet gets the next one, as in transformers, if it is needed."""
        content = _content(entry)
        token = self.found.get(content)
        if token is None:
            id = self._vocabulary.get(content)
            if id is None:
                if not needed:
                    return None
                added = [token.id for token in self.found.values()]
                id = max([len(self._vocabulary) - 1, *added]) + 1
                self._token_of_id[id] = content
            flags = entry if isinstance(entry, dict) else {"content": content}
            token = parse_added_token("special_tokens_map.json", id, {**flags, "special": True})
        self.found[content] = replace(token, special=True)
        return token.id


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
                raise ModelFileError(f"{name}: eos_token_id is {shown(value)[:60]}; token ids are 0 to {LARGEST_ID:,}")
            ends.add(id)
    return ends
