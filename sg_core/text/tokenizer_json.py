"""What a tokenizer.json asks for: whether it is GPT-2's own kind, and what its post-processor puts around a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sg_core.checks import is_whole, quoted
from sg_core.errors import ModelFileError
from sg_core.files import shown
from sg_core.text.byte_bpe import LARGEST_ID, Merge

NAME = "tokenizer.json"

Content = Mapping[str, Any]


def model_of(content: Content) -> dict[str, Any]:
    """The field `model`, its kind filled in. Raises ModelFileError without one, and for what is drawn at random."""
    model = content.get("model")
    if not isinstance(model, dict):
        raise ModelFileError(f"{NAME} lacks the field model")
    if model.get("dropout"):
        raise ModelFileError(
            f"{NAME}: model.dropout is {shown(model['dropout'])[:40]}; ids drawn at random can't be used"
        )
    kind = model.get("type") or ("BPE" if "merges" in model else None)
    if kind not in ("BPE", "WordPiece", "WordLevel", "Unigram"):
        raise ModelFileError(f"{NAME}: model.type is {quoted(kind)}; BPE, WordPiece, WordLevel or Unigram is needed")
    return {**model, "type": kind}


def vocabulary_of(content: Content) -> dict[str, Any]:
    """Token -> id, as the file has it, without the added tokens. Raises ModelFileError."""
    model = model_of(content)
    vocabulary = model.get("vocab")
    if model["type"] == "Unigram" and isinstance(vocabulary, list):  # pairs of a token and its score, in order
        tokens = [entry[0] if isinstance(entry, list) and entry else entry for entry in vocabulary]
        if not all(isinstance(token, str) for token in tokens):
            raise ModelFileError(f"{NAME}: model.vocab has something that is no token")
        vocabulary = {token: id for id, token in enumerate(tokens)}  # of a token that stands twice, the last counts
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise ModelFileError(f"{NAME} lacks model.vocab")
    return vocabulary


def merges_of(content: Content) -> list[Merge]:
    """The merges of a BPE. Raises ModelFileError."""
    merges = model_of(content).get("merges")
    if not isinstance(merges, list):
        raise ModelFileError(f"{NAME} lacks model.merges")
    return [
        pair(merge.split(" ") if isinstance(merge, str) else merge, f"{NAME}, merge {number}")
        for number, merge in enumerate(merges, 1)
    ]


def pair(parts: object, where: str) -> Merge:
    """A merge. Raises ModelFileError, saying where it stands."""
    if isinstance(parts, list) and len(parts) == 2:
        first, second = parts
        if isinstance(first, str) and isinstance(second, str):
            return first, second
    raise ModelFileError(f"{where}, is not a pair of tokens")


def unlike_gpt2(content: Content) -> str:
    """The first thing in which it is not byte-level BPE as GPT-2's, named; "" if there is none.

    Vocabulary, merges and add_prefix_space are looked at elsewhere; the post-processor is applied to every kind.
    """
    model = model_of(content)
    if model["type"] != "BPE":
        return f"model.type is {model['type']}"
    for field in ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"):
        if model.get(field):
            return f"model.{field} is {shown(model[field])[:40]}"
    if content.get("normalizer") is not None:
        return f"its normalizer is {_kind(content['normalizer'])}"
    splitter = content.get("pre_tokenizer", {"type": "ByteLevel"})
    if _kind(splitter) != "ByteLevel":
        return f"its pre_tokenizer is {_kind(splitter)}"
    if not splitter.get("use_regex", True):
        return "use_regex of its pre_tokenizer is false"
    decoder = content.get("decoder", {"type": "ByteLevel"})
    if _kind(decoder) != "ByteLevel":
        return f"its decoder is {_kind(decoder)}"
    return ""


def prefix_space(content: Content) -> bool:
    """add_prefix_space of a ByteLevel pre-tokenizer."""
    splitter = content.get("pre_tokenizer")
    return isinstance(splitter, dict) and bool(splitter.get("add_prefix_space", True))


def _kind(part: object) -> str:
    if not isinstance(part, dict):
        return "null" if part is None else shown(part)[:40]
    return shown(part.get("type"))[:40]


def surrounding(processor: object) -> tuple[list[int], list[int]]:
    """The ids that a post_processor puts before and after a text. Raises ModelFileError for one that does else."""
    before: list[int] = []
    after: list[int] = []
    kind = _kind(processor)
    match processor:
        case None | {"type": "ByteLevel"}:  # moves offsets alone
            pass
        case {"type": "Sequence", "processors": list(parts)}:
            for part in parts:
                first, last = surrounding(part)
                before, after = [*first, *before], [*after, *last]
        case {"type": "BertProcessing" | "RobertaProcessing", "cls": [_, first], "sep": [_, last]}:
            before, after = [_id(first, kind)], [_id(last, kind)]
        case {"type": "TemplateProcessing", "single": list(single), "special_tokens": dict(tokens)}:
            before, after = _template(single, tokens, kind)
        case _:
            raise ModelFileError(f"{NAME}: its post_processor is {kind}, which can't be used")
    return before, after


def _template(single: list[Any], tokens: Mapping[str, Any], kind: str) -> tuple[list[int], list[int]]:
    sides: list[list[int]] = [[]]
    for part in single:
        match part:
            case {"Sequence": {"id": "A"}}:
                sides.append([])
            case {"SpecialToken": {"id": str(name)}} if isinstance(tokens.get(name), dict):
                sides[-1] += [_id(id, kind) for id in tokens[name].get("ids") or []]
            case _:
                raise ModelFileError(f"{NAME}: its post_processor {kind} has a part that can't be used")
    if len(sides) != 2:
        raise ModelFileError(f"{NAME}: its post_processor {kind} takes a text {len(sides) - 1} times; once is needed")
    return sides[0], sides[1]


def _id(id: object, kind: str) -> int:
    if not is_whole(id, 0, LARGEST_ID):
        raise ModelFileError(f"{NAME}: its post_processor {kind} has the token id {shown(id)[:40]}")
    return id
