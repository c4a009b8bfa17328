"""Writes the tokenizer files of model folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sg_core.text.byte_bpe import SYMBOLS

BYTES = {symbol: id for id, symbol in enumerate(SYMBOLS)}
VOCABULARY = BYTES | {"<|endoftext|>": 256}


def write_files(folder: Path, **files: Any) -> Path:
    """vocab, merges (pairs), vocab_txt (lines), and JSON files by their name without its end."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if name == "merges":
            text = "#version: 0.2\n" + "".join(f"{first} {second}\n" for first, second in content)
            (folder / "merges.txt").write_text(text, encoding="utf-8")
        elif name == "vocab_txt":
            (folder / "vocab.txt").write_text("".join(f"{line}\n" for line in content), encoding="utf-8")
        else:
            (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def byte_level(**changes: Any) -> dict[str, Any]:
    """A ByteLevel pre-tokenizer or decoder."""
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True, **changes}


def added(id: int, content: str, special: bool = True, **flags: bool) -> dict[str, Any]:
    """An added token as tokenizer.json has it."""
    usual = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special, "special": special}
    return {"id": id, "content": content, **usual, **flags}


def decoder_entry(content: str, special: bool = True, **flags: bool) -> dict[str, Any]:
    """An added token as added_tokens_decoder of tokenizer_config.json has it."""
    entry = added(0, content, special, **flags)
    del entry["id"]
    return entry


def fast(vocabulary: dict[str, int], merges: list[Any], *tokens: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A tokenizer.json of GPT-2's kind but for the changes."""
    return {
        "version": "1.0",
        "added_tokens": list(tokens),
        "normalizer": None,
        "pre_tokenizer": byte_level(),
        "post_processor": None,
        "decoder": byte_level(),
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
        **changes,
    }
