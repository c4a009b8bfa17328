"""The tokenizer of BERT, which many Chinese GPT-2s use: vocab.txt, one word piece a line, as a tokenizer.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sg_core.errors import ModelFileError
from sg_core.files import shown

_ROLES = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
}


def parse_vocab_txt(data: bytes) -> dict[str, int]:
    """Word piece -> id, the number of its line; of two equal lines the last one counts. Raises ModelFileError."""
    try:
        lines = data.decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as problem:
        raise ModelFileError(f"vocab.txt is not UTF-8 text (byte {problem.start})") from problem
    return {line.removesuffix("\r"): id for id, line in enumerate(lines)}


def bert_content(vocabulary: Mapping[str, int], settings: Mapping[str, Any]) -> dict[str, Any]:
    """settings: of tokenizer_config.json, where they differ from BERT's. Raises ModelFileError."""
    names = {role: _content(settings.get(role), usual) for role, usual in _ROLES.items()}
    missing = [names[role] for role in ("cls_token", "sep_token", "unk_token") if names[role] not in vocabulary]
    if missing:
        raise ModelFileError(f"the vocabulary lacks {', '.join(shown(name)[:40] for name in missing)}")
    first, last = names["cls_token"], names["sep_token"]
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": vocabulary[name], "content": name, "special": True} for name in names.values() if name in vocabulary
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": settings.get("tokenize_chinese_chars", True),
            "strip_accents": settings.get("strip_accents"),
            "lowercase": settings.get("do_lower_case", True),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "BertProcessing",
            "cls": [first, vocabulary[first]],
            "sep": [last, vocabulary[last]],
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": names["unk_token"],
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }


def _content(value: object, usual: str) -> str:
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else usual
