"""The tokenizer files of a model folder in Hugging Face layout, and what kind of tokenizer they describe.

Which file counts is decided as transformers' AutoTokenizer does: tokenizer.json before vocab.json and merges.txt; with
the class of GPT-2, vocabulary and merges alone are taken from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sg_core.errors import ModelFileError
from sg_core.files import parse_json_object, read_bytes, shown
from sg_core.text import tokenizer_json
from sg_core.text.byte_bpe import Merge, check_merges, check_vocabulary, peculiar
from sg_core.text.file_names import SENTENCEPIECE, SETTINGS, TOKENIZERS, VOCABULARIES
from sg_core.text.special_tokens import END_OF_TEXT, SpecialTokens, gather
from sg_core.text.wordpiece import bert_content, parse_vocab_txt

LARGEST_FILE = 64 << 20  # GPT-2's own files have 1 MB and 0.5 MB; tokenizer.json of other models up to 30 MB
_CONFIG = "config.json"
_GPT2 = "GPT2Tokenizer"
_BERT = ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer")
_ANY = ("PreTrainedTokenizer", "TokenizersBackend")  # the file alone says what it is
_TURNS = "{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}"  # DialoGPT's
_SAVE_FAST = (
    "save a tokenizer.json beside it, with transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
)


@dataclass(frozen=True, slots=True)
class Description:
    """A tokenizer as its files describe it.

    vocabulary: the model's own tokens -> ids, without the added ones. library: "" for GPT-2's own kind, else why it is
    another one, which `content`, a tokenizer.json, describes. before, after: ids put around a text. files: as read, and
    what config.json alone tells added to them, so that the tokenizer can be saved by itself. chat_template: Jinja.
    """

    vocabulary: dict[str, int]
    merges: tuple[Merge, ...] = ()
    prefix_space: bool = False
    special: SpecialTokens = field(default_factory=SpecialTokens)
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    library: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    chat_template: str = ""


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder has any file of a tokenizer's vocabulary."""
    return any((folder / name).exists() for name in TOKENIZERS)


def read_description(folder: Path) -> Description:
    """Raises ModelFileError, naming file and field, for what is missing, malformed, contradictory or unknown."""
    data = {
        name: read_bytes(folder / name, LARGEST_FILE, ModelFileError)
        for name in (*VOCABULARIES, *SETTINGS)
        if (folder / name).exists()
    }
    parsed = {name: parse_json_object(data[name], name, ModelFileError) for name in _to_parse(data)}
    if (folder / _CONFIG).exists():
        config = read_bytes(folder / _CONFIG, LARGEST_FILE, ModelFileError)
        parsed[_CONFIG] = parse_json_object(config, _CONFIG, ModelFileError)
    reader = _Reader(folder, data, parsed)
    return reader.read()


def _to_parse(data: Mapping[str, bytes]) -> list[str]:
    unread = {"vocab.json", "merges.txt"} if "tokenizer.json" in data else set()
    return [name for name in data if name.endswith(".json") and name not in unread]


class _Reader:
    def __init__(self, folder: Path, data: Mapping[str, bytes], parsed: Mapping[str, Mapping[str, Any]]) -> None:
        self._folder, self._data, self._parsed = folder, data, parsed
        self._settings = parsed.get("tokenizer_config.json", {})
        named = self._settings.get("tokenizer_class") or parsed.get(_CONFIG, {}).get("tokenizer_class")
        self._is_named = bool(named)
        self._class = shown(named or _GPT2)[:60].removesuffix("Fast")

    def read(self) -> Description:
        content = self._parsed.get("tokenizer.json")
        if self._class in _BERT and (content or "vocab.txt" in self._data):
            own = tokenizer_json.vocabulary_of(content) if content else parse_vocab_txt(self._data["vocab.txt"])
            added = {"added_tokens": content.get("added_tokens")} if content else {}
            return self._described_by({**bert_content(own, self._settings), **added})
        if content is not None:
            if self._class == _GPT2 and tokenizer_json.model_of(content)["type"] == "BPE":
                self._require_gpt2(content)
                return self._gpt2(
                    tokenizer_json.vocabulary_of(content),
                    tokenizer_json.merges_of(content),
                    tokenizer_json.surrounding(content.get("post_processor")),
                )
            return self._described_by({"pre_tokenizer": None, "decoder": None, **content})
        if "vocab.json" in self._data and "merges.txt" in self._data:
            if self._class not in (_GPT2, *_ANY):
                raise ModelFileError(
                    f"{shown(self._folder)}: tokenizer_class is {self._class}, which can't be made of vocab.json and "
                    f"merges.txt here; {_SAVE_FAST}"
                )
            return self._gpt2(dict(self._parsed["vocab.json"]), parse_merges(self._data["merges.txt"]))
        for name in (*SENTENCEPIECE, "vocab.txt"):
            if (self._folder / name).exists():
                raise ModelFileError(f"{shown(self._folder)} has {name}{self._whose(name)}")
        raise ModelFileError(
            f"{shown(self._folder)} has no tokenizer: vocab.json and merges.txt, or tokenizer.json, are needed"
        )

    def _whose(self, name: str) -> str:
        if not self._is_named and name == "vocab.txt":
            return (
                ", and no file names its tokenizer_class; if it is BERT's, as with most Chinese GPT-2s, write "
                '{"tokenizer_class": "BertTokenizer"} into tokenizer_config.json'
            )
        return f" of {f'a {self._class}' if self._is_named else 'a class that no file names'}; {_SAVE_FAST}"

    def _require_gpt2(self, content: Mapping[str, Any]) -> None:
        if unlike := tokenizer_json.unlike_gpt2(content):
            raise ModelFileError(
                f"tokenizer.json: {unlike}; with tokenizer_class {_GPT2} transformers 5 ignores that, and older ones "
                f"obey it; for it to be obeyed, set tokenizer_class to PreTrainedTokenizerFast in tokenizer_config.json"
            )

    def _gpt2(
        self,
        vocabulary: dict[str, Any],
        merges: list[Merge],
        around: tuple[list[int], list[int]] = ([], []),
    ) -> Description:
        """A tokenizer of GPT-2's class: the settings say whether a text gets a blank before it."""
        prefix_space = bool(self._settings.get("add_prefix_space", False))
        check_vocabulary(vocabulary)
        check_merges(vocabulary, merges)
        own = {token: token for token in vocabulary}  # the very strings: those of 50,000 merges take 8 MB
        merges = [(own[first], own[second]) for first, second in merges]
        special = gather(vocabulary, self._parsed, gpt2=True)
        if "tokenizer.json" not in self._data:
            around = self._added_around(special)
        why = peculiar(vocabulary, merges)
        return Description(
            vocabulary,
            tuple(merges),
            prefix_space,
            special,
            tuple(around[0]),
            tuple(around[1]),
            f"the vocabulary {why}" if why else "",
            _gpt2_content(vocabulary, merges, prefix_space) if why else {},
            self._files(vocabulary, special),
            self._chat_template(),
        )

    def _added_around(self, special: SpecialTokens) -> tuple[list[int], list[int]]:
        roles = special.roles or {}
        sides = (("add_bos_token", "bos_token"), ("add_eos_token", "eos_token"))
        before, after = ([roles[role]] if self._settings.get(flag) and role in roles else [] for flag, role in sides)
        return before, after

    def _described_by(self, content: Mapping[str, Any]) -> Description:
        """A tokenizer that is all its tokenizer.json says."""
        vocabulary = tokenizer_json.vocabulary_of(content)
        check_vocabulary(vocabulary)
        special = gather(vocabulary, {**self._parsed, "tokenizer.json": content}, gpt2=False)
        before, after = tokenizer_json.surrounding(content.get("post_processor"))
        why = tokenizer_json.unlike_gpt2(content)
        merges: list[Merge] = []
        if tokenizer_json.model_of(content)["type"] == "BPE":
            merges = tokenizer_json.merges_of(content)
            check_merges(vocabulary, merges)
            why = why or (f"the vocabulary {reason}" if (reason := peculiar(vocabulary, merges)) else "")
        prefix = tokenizer_json.prefix_space(content)
        return Description(
            vocabulary,
            tuple(merges),
            prefix,
            special,
            tuple(before),
            tuple(after),
            why,
            content if why else {},
            self._files(vocabulary, special),
            self._chat_template(),
        )

    def _chat_template(self) -> str:
        """Files of its own have the last word; of several templates the default one counts."""
        if "chat_template.jinja" in self._data:
            return self._data["chat_template.jinja"].decode("utf-8", "replace")
        given = self._parsed.get("chat_template.json", {}).get("chat_template") or self._settings.get("chat_template")
        if isinstance(given, list):
            given = {entry.get("name"): entry.get("template") for entry in given if isinstance(entry, dict)}.get(
                "default"
            )
        if isinstance(given, str):
            return given
        tasks = self._parsed.get(_CONFIG, {}).get("task_specific_params")
        return _TURNS if isinstance(tasks, dict) and "conversational" in tasks else ""

    def _files(self, vocabulary: Mapping[str, int], special: SpecialTokens) -> dict[str, bytes]:
        files = dict(self._data)
        usual = [token.id for token in special.added if token.content == END_OF_TEXT]
        if usual and END_OF_TEXT not in vocabulary and not any(END_OF_TEXT.encode() in data for data in files.values()):
            told_ids = self._parsed.get("added_tokens.json", {})
            files["added_tokens.json"] = _json({**told_ids, END_OF_TEXT: usual[0]})
        lacking: dict[str, str] = {}
        if self._class != _GPT2 and not self._settings.get("tokenizer_class"):
            lacking["tokenizer_class"] = self._class
        if self._chat_template() is _TURNS:
            lacking["chat_template"] = _TURNS
        if lacking:
            files["tokenizer_config.json"] = _json({**self._settings, **lacking})
        told = self._parsed.get("generation_config.json", {})
        ends = sorted(special.end_ids)
        if ends and (told or ends != [(special.roles or {}).get("eos_token")]):
            generation = {**told, "eos_token_id": ends if len(ends) > 1 else ends[0]}
            files["generation_config.json"] = _json(generation)
        return files


def _json(content: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(content, indent=2)}\n".encode()


def _gpt2_content(vocabulary: Mapping[str, int], merges: list[Merge], prefix_space: bool) -> dict[str, Any]:
    """A tokenizer.json of what vocab.json and merges.txt mean."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [list(merge) for merge in merges]},
    }


def parse_merges(data: bytes) -> list[Merge]:
    """The pairs of a merges.txt. Raises ModelFileError."""
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as problem:
        raise ModelFileError(f"merges.txt is not UTF-8 text (byte {problem.start})") from problem
    merges: list[Merge] = []
    for number, line in enumerate(lines, 1):
        line = line.removesuffix("\r")
        if line and not line.startswith("#version"):
            merges.append(tokenizer_json.pair(line.split(" "), f"merges.txt, line {number}"))
    return merges
