"""Writes golden/tokenizer_kinds.json: tokenizers of many kinds as files, with the ids that transformers gives.

Run where transformers and tokenizers are installed: python tests/reference/make_tokenizer_kinds.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

TEXTS = [
    "Hello world! It's 2024, we'll see 1,234.56.",
    "don't DON'T  a   b\n\n\tx ",
    "Größe schön: „Zitat“ – ja…",
    "Съешь же ещё",
    "你好,世界!",
    "नमस्ते दुनिया",
    "مرحبا",
    "😀👍🏽 ａｂ Ａ１ ﬁ ½ e\u0301",
    "   lead and trail   ",
    "",
    "<|user|>Hi <|end|> there<|user|>x",
    "x <w> y<w>z  <w>there lowly low",
    "\u00a0nb\u2003em\u3000id",
    "🏳\ufe0f\u200d🌈\u200d\ufeffBOM",
    "a<|endoftext|> b",
]
CORPUS = [
    *TEXTS[:9],
    TEXTS[12],
    "the quick brown fox jumps over the lazy dog again and again",
    "low lower lowest",
] * 3
MARKS = ["<|endoftext|>", "<|user|>", "<|end|>"]
CONFIG = {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 1, "bos_token_id": None, "eos_token_id": None}
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}


def byte_level(**changes: Any) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True, **changes}


def added(id: int, content: str, special: bool = True, **flags: bool) -> dict[str, Any]:
    usual = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special, "special": special}
    return {"id": id, "content": content, **usual, **flags}


def template(*single: str) -> dict[str, Any]:
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    tokens = {name: {"id": name, "ids": [MARKS.index(name)], "tokens": [name]} for name in single if name != "$A"}
    parts = [sequence if name == "$A" else {"SpecialToken": {"id": name, "type_id": 0}} for name in single]
    return {"type": "TemplateProcessing", "single": parts, "pair": [sequence, sequence], "special_tokens": tokens}


def variants(base: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Name -> file -> content; a tokenizer.json holds what differs from `base`."""
    size = len(base["model"]["vocab"])
    cut = {
        "type": "Split",
        "pattern": {"Regex": r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"},
        "behavior": "Isolated",
        "invert": False,
    }
    digits = {"type": "Digits", "individual_digits": True}
    nfkc = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "StripAccents"}]}
    more = [
        *base["added_tokens"],
        added(size, "<w>", False, lstrip=True),
        added(size + 1, "low", False, single_word=True),
    ]
    stripping = [*base["added_tokens"][:2], added(2, "<|end|>", rstrip=True, lstrip=True), added(size, "there", False)]
    tokenizers: dict[str, dict[str, Any]] = {
        "as GPT-2's": {},
        "with a blank before": {"pre_tokenizer": byte_level(add_prefix_space=True)},
        "with added words": {"added_tokens": more},
        "with added words and a blank before": {
            "added_tokens": more,
            "pre_tokenizer": byte_level(add_prefix_space=True),
        },
        "with marks that take blanks along": {"added_tokens": stripping},
        "without the splitter": {"pre_tokenizer": byte_level(use_regex=False)},
        "in lower case": {"normalizer": {"type": "Lowercase"}, "added_tokens": more},
        "normalized": {"normalizer": nfkc},
        "digits one by one": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level()]}},
        "split as newer models do": {
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [cut, byte_level(use_regex=False)]}
        },
        "with a first token": {"post_processor": template("<|endoftext|>", "$A")},
        "with tokens around": {
            "post_processor": {
                "type": "Sequence",
                "processors": [byte_level(), template("<|endoftext|>", "<|user|>", "$A", "<|end|>")],
            }
        },
        "words without merges": {"model": {**base["model"], "ignore_merges": True}},
    }
    return {
        name: {"tokenizer.json": changes, "tokenizer_config.json": {**FAST, "eos_token": "<|end|>"}}
        for name, changes in tokenizers.items()
    }


def slow(base: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> file -> content, of folders with vocab.json and merges.txt ("merges": pairs)."""
    model = base["model"]
    vocabulary, merges, size = model["vocab"], model["merges"], len(model["vocab"])
    gpt2 = {"tokenizer_class": "GPT2Tokenizer"}
    lacking = {token: id for token, id in vocabulary.items() if token not in ("Q", "Ð", "ä")}
    kept = [pair for pair in merges if all(token in lacking for token in (*pair, "".join(pair)))]
    two_ways = [["a", "b"], ["b", "c"], ["ab", "c"], ["a", "bc"]]
    plain = {"vocab.json": vocabulary, "merges.txt": merges}
    return {
        "slow": plain,
        "slow, with added tokens": {
            **plain,
            "added_tokens.json": {"<w>": size, "there": size + 1},
            "special_tokens_map.json": {"eos_token": "<|end|>"},
        },
        "slow, with added tokens described": {
            **plain,
            "tokenizer_config.json": {
                **gpt2,
                "eos_token": "<|end|>",
                "added_tokens_decoder": {
                    str(entry.pop("id")): entry
                    for entry in (added(2, "<|end|>", rstrip=True), added(size, "<w>", False))
                },
            },
        },
        "slow, with a blank before": {**plain, "tokenizer_config.json": {**gpt2, "add_prefix_space": True}},
        "slow, with a first token": {**plain, "tokenizer_config.json": {**gpt2, "add_bos_token": True}},
        "slow, without the usual end": {
            "vocab.json": {token: id - 1 for token, id in vocabulary.items() if id},
            "merges.txt": merges,
            "special_tokens_map.json": {"eos_token": "<|end|>", "additional_special_tokens": ["<w>"]},
        },
        "slow, with flags in the map": {
            **plain,
            "special_tokens_map.json": {
                "bos_token": "<|endoftext|>",
                "eos_token": {"content": "<|endoftext|>", "lstrip": False, "rstrip": True},
            },
        },
        "slow, without all bytes": {"vocab.json": lacking, "merges.txt": kept},
        "slow, two ways to a token": {
            "vocab.json": {**vocabulary, **{a + b: size + n for n, (a, b) in enumerate(two_ways[:3])}},
            "merges.txt": [*merges, *two_ways],
        },
        "both, which differ": {**plain, "merges.txt": [], "tokenizer.json": {}},
    }


def others() -> dict[str, dict[str, Any]]:
    """Name -> files, of tokenizers that are no byte-level BPE."""
    import tokenizers
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

    def trained(model: Any, trainer: Any, **parts: Any) -> dict[str, Any]:
        tokenizer = tokenizers.Tokenizer(model)
        for name, part in parts.items():
            setattr(tokenizer, name, part)
        tokenizer.train_from_iterator(CORPUS, trainer)
        content: dict[str, Any] = json.loads(tokenizer.to_str())
        return content

    metaspace = {"pre_tokenizer": pre_tokenizers.Metaspace(), "decoder": decoders.Metaspace()}
    quiet: dict[str, Any] = {"show_progress": False, "special_tokens": ["<unk>", *MARKS]}
    bytes_too = {**quiet, "special_tokens": ["<unk>", *MARKS, *(f"<0x{byte:02X}>" for byte in range(256))]}
    llama_decoder = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    llama = trained(
        models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True),
        trainers.BpeTrainer(vocab_size=400, limit_alphabet=40, **bytes_too),
        normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        decoder=decoders.Sequence(llama_decoder),
    )
    llama["added_tokens"] = llama["added_tokens"][: 1 + len(MARKS)]
    pieces = {**quiet, "special_tokens": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]}
    wordpiece = trained(
        models.WordPiece(unk_token="[UNK]"),
        trainers.WordPieceTrainer(vocab_size=200, **pieces),
        normalizer=normalizers.BertNormalizer(),
        pre_tokenizer=pre_tokenizers.BertPreTokenizer(),
        decoder=decoders.WordPiece(),
        post_processor=processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)),
    )
    lines = sorted(wordpiece["model"]["vocab"], key=wordpiece["model"]["vocab"].get)
    bert = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    words = trained(
        models.WordLevel(unk_token="<unk>"),
        trainers.WordLevelTrainer(vocab_size=60, **quiet),
        pre_tokenizer=pre_tokenizers.Whitespace(),
    )
    suffixed = trained(
        models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"),
        trainers.BpeTrainer(vocab_size=150, end_of_word_suffix="</w>", **quiet),
        pre_tokenizer=pre_tokenizers.Whitespace(),
        decoder=decoders.BPEDecoder(),
    )
    unigram = trained(
        models.Unigram(),
        trainers.UnigramTrainer(vocab_size=150, unk_token="<unk>", **quiet),
        normalizer=normalizers.NFKC(),
        **metaspace,
    )
    sentence = trained(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=170, **quiet), **metaspace)
    kinds = {
        "Metaspace": sentence,
        "bytes as a last resort": llama,
        "WordPiece": wordpiece,
        "WordLevel": words,
        "ends of words": suffixed,
        "Unigram": unigram,
    }
    files: dict[str, dict[str, Any]] = {
        name: {"tokenizer.json": content, "tokenizer_config.json": FAST} for name, content in kinds.items()
    }
    files["vocab.txt"] = {"vocab.txt": lines, "tokenizer_config.json": bert}
    return files


def base_tokenizer() -> dict[str, Any]:
    """A small byte-level BPE."""
    import tokenizers
    from tokenizers import models, pre_tokenizers, trainers

    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=MARKS, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    return {**content, "pre_tokenizer": byte_level(), "decoder": byte_level()}


def write_folder(folder: Path, files: dict[str, Any], base: dict[str, Any], own: bool) -> None:
    """own: a tokenizer.json is whole; else it holds what differs from `base`."""
    folder.mkdir()
    for name, content in files.items():
        if name == "merges.txt":
            text = "#version: 0.2\n" + "".join(f"{first} {second}\n" for first, second in content)
        elif name == "vocab.txt":
            text = "".join(f"{line}\n" for line in content)
        else:
            text = json.dumps({**base, **content} if name == "tokenizer.json" and not own else content)
        (folder / name).write_text(text, encoding="utf-8")


def main() -> None:
    from transformers import AutoTokenizer

    base = base_tokenizer()
    kinds = {**variants(base), **slow(base)}
    cases = []
    with tempfile.TemporaryDirectory() as root:
        for name, files in {**kinds, **others()}.items():
            folder = Path(root) / name
            write_folder(folder, files, base, own=name not in kinds)
            (folder / "config.json").write_text(json.dumps(CONFIG))
            tokenizer = AutoTokenizer.from_pretrained(folder)
            case: dict[str, Any] = {"name": name, "own": name not in kinds, "files": files, "ids": []}
            for text in TEXTS:
                inner = tokenizer(text, add_special_tokens=False)["input_ids"]
                case["ids"].append(
                    {
                        "special": tokenizer(text)["input_ids"],
                        "plain": tokenizer(text, split_special_tokens=True, add_special_tokens=False)["input_ids"],
                        "decoded": tokenizer.decode(inner),
                        "shown": tokenizer.decode(inner, skip_special_tokens=True),
                    }
                )
            cases.append(case)
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    head = f'"texts":{json.dumps(TEXTS)},\n"base":{json.dumps(base, separators=(",", ":"))}'
    target = Path(__file__).parent / "golden" / "tokenizer_kinds.json"
    target.write_text(f'{{{head},\n"cases":[\n{lines}\n]}}\n', encoding="ascii")


if __name__ == "__main__":
    main()
