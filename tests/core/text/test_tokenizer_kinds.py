"""Every kind of tokenizer gives the ids, and the text, that transformers gives; or it is refused by name."""

from __future__ import annotations

import contextlib
import json
import random
import string
import sys
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_folders import BYTES, VOCABULARY, added, byte_level, fast, write_files
from tokenizers import decoders, models, normalizers, pre_tokenizers

from sg_core.errors import ModelFileError
from sg_core.text import library_codec
from sg_core.text.byte_bpe import SYMBOLS, ByteBPE, peculiar, symbol_bytes
from sg_core.text.library_codec import LibraryCodec
from sg_core.text.text_stream import TextStream
from sg_core.text.tokenizer import Tokenizer

GOLDEN = json.loads((Path(__file__).parents[2] / "reference" / "golden" / "tokenizer_kinds.json").read_text())
CASES: list[dict[str, Any]] = GOLDEN["cases"]
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}


def read(folder: Path, case: dict[str, Any]) -> Tokenizer:
    files = {}
    for name, content in case["files"].items():
        stem = name.removesuffix(".json").removesuffix(".txt") if name != "vocab.txt" else "vocab_txt"
        files[stem] = {**GOLDEN["base"], **content} if name == "tokenizer.json" and not case["own"] else content
    write_files(folder, **files, config={"model_type": "gpt2", "bos_token_id": None, "eos_token_id": None})
    return Tokenizer.from_folder(folder)


def streamed(tokenizer: Tokenizer, ids: list[int], start: int = 0) -> str:
    """The text of ids that come one after another, after the first `start` of them."""
    decoder, stream = tokenizer.decoder(ids[:start]), TextStream()
    text = "".join(stream.push(decoder.push(id)) for id in ids[start:])
    return text + stream.push(decoder.finish()) + stream.finish()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_ids_and_text_equal_transformers(tmp_path: Path, case: dict[str, Any]) -> None:
    tokenizer = read(tmp_path / "m", case)
    for text, expected in zip(GOLDEN["texts"], case["ids"], strict=True):
        assert tokenizer.encode(text, special=True) == expected["special"], text
        assert tokenizer.encode_part(text) == expected["plain"], text
        ids = tokenizer.encode_part(text, special=True)
        assert tokenizer.decode(ids) == expected["decoded"]
        assert streamed(tokenizer, ids) == expected["shown"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_follows_a_prompt_goes_on_its_text(tmp_path: Path, case: dict[str, Any]) -> None:
    tokenizer = read(tmp_path / "m", case)
    ids = [id for id in tokenizer.encode_part(" ".join(GOLDEN["texts"][:3])) if id not in tokenizer.special_ids]
    whole = tokenizer.decode(ids)
    for start in range(len(ids)):
        before = tokenizer.decode(ids[:start])
        if not before.endswith("\ufffd"):
            assert before + streamed(tokenizer, ids, start) == whole


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_kind_is_saved_as_it_was_read(tmp_path: Path, case: dict[str, Any]) -> None:
    tokenizer = read(tmp_path / "m", case)
    tokenizer.save(tmp_path / "saved")
    again = Tokenizer.from_folder(tmp_path / "saved")
    for text in GOLDEN["texts"]:
        assert again.encode(text, special=True) == tokenizer.encode(text, special=True)
    assert (again.end_ids, again.special_ids, again.roles) == (
        tokenizer.end_ids,
        tokenizer.special_ids,
        tokenizer.roles,
    )


# ---------------------------------------------------------------- generated ones

# assigned ones alone: what a letter of a later Unicode is, libraries learn at different times
ASSIGNED = st.characters(codec="utf-8", exclude_categories=["Cn"])
CHARACTERS = st.one_of(ASSIGNED, st.sampled_from("aab bcde \t\n\u3000é世ﬁ１'s12.,!"))
NORMALIZERS: dict[str, Any] = {
    "Lowercase": normalizers.Lowercase(),
    "NFKC": normalizers.NFKC(),
    "BertNormalizer": normalizers.BertNormalizer(),
    "Replace": normalizers.Replace("a", "bb"),
    "Strip": normalizers.Strip(),
}
SPLITTERS: dict[str, Any] = {
    "ByteLevel": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "ByteLevel with a blank": pre_tokenizers.ByteLevel(add_prefix_space=True),
    "ByteLevel alone": pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    "Digits": pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]),
    "Punctuation": pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
}


def generated(seed: int) -> tokenizers.Tokenizer:
    """A byte-level BPE with merges drawn at random, some of which never happen or lead to one token twice."""
    draw = random.Random(seed)
    tokens, merges = ["a", "b", "c", "d", "Ġ", "Ã", "©"], []
    for _ in range(draw.randint(0, 12)):
        pair = (draw.choice(tokens), draw.choice(tokens))
        if pair not in merges and len("".join(pair)) < 8:
            merges.append(pair)
            tokens.append("".join(pair))
    vocabulary = {token: id for id, token in enumerate(dict.fromkeys([*SYMBOLS, *tokens]))}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=draw.random() < 0.2))
    tokenizer.pre_tokenizer = SPLITTERS[draw.choice(list(SPLITTERS))]
    tokenizer.decoder = decoders.ByteLevel()
    if draw.random() < 0.4:
        tokenizer.normalizer = NORMALIZERS[draw.choice(list(NORMALIZERS))]
    words = draw.sample(["<x>", "ab", " c", "<|y|>", "AB", "é"], draw.randint(0, 4))
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    tokenizer.add_tokens(
        [tokenizers.AddedToken(word, **{flag: draw.random() < 0.3 for flag in flags}) for word in words]
    )
    return tokenizer


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[tokenizers.Tokenizer, Tokenizer]]:
    """Generated tokenizers, and what is read from their files."""
    found = []
    for seed in range(60):
        reference = generated(seed)
        content = json.loads(reference.to_str())
        folder = write_files(tmp_path_factory.mktemp("m"), tokenizer=content, tokenizer_config=FAST)
        found.append((reference, Tokenizer.from_folder(folder)))
    return found


def test_both_codecs_are_among_the_generated_ones(pairs: list[tuple[tokenizers.Tokenizer, Tokenizer]]) -> None:
    by_library = sum(isinstance(read._codec, LibraryCodec) for _, read in pairs)
    assert 10 < by_library < 50


@settings(max_examples=60, deadline=None)
@given(text=st.lists(st.one_of(st.text(CHARACTERS, max_size=12), st.sampled_from(["<x>", "ab", " c", "<|y|>"]))))
def test_ids_equal_those_of_generated_tokenizers(
    pairs: list[tuple[tokenizers.Tokenizer, Tokenizer]], text: list[str]
) -> None:
    joined = "".join(text)
    for reference, mine in pairs:
        for special in (True, False):
            reference.encode_special_tokens = not special
            assert mine.encode(joined, special) == reference.encode(joined).ids


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 10**6), text=st.text(st.sampled_from("abc"), max_size=14))
def test_ids_without_the_library_are_given_only_where_they_are_the_same(seed: int, text: str) -> None:
    draw = random.Random(seed)
    tokens, merges = ["a", "b", "c"], []
    for _ in range(draw.randint(1, 9)):
        pair = (draw.choice(tokens), draw.choice(tokens))
        if "".join(pair) not in tokens:
            merges.append(pair)
            tokens.append("".join(pair))
    vocabulary = {token: id for id, token in enumerate(dict.fromkeys([*SYMBOLS, *tokens]))}
    if not peculiar(vocabulary, merges):
        reference = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        bytes_of_id = {id: symbol_bytes(token) for token, id in vocabulary.items()}
        ids = [id for _, piece in ByteBPE(vocabulary, merges, bytes_of_id).encode_pieces(text) for id in piece]
        assert ids == reference.encode(text).ids


def test_merges_that_tiktoken_would_do_otherwise_are_seen() -> None:
    alphabet = {symbol: id for id, symbol in enumerate(SYMBOLS)}
    # "abb": bb is joined first, so that a+bb, which is no merge, stays; joining by what two tokens make gives abb
    merges = [("b", "b"), ("a", "b"), ("ab", "b")]
    assert "its own merge never makes" in peculiar(alphabet | {"bb": 256, "ab": 257, "abb": 258}, merges)
    assert "before its parts" in peculiar(alphabet | {"ab": 256, "abc": 257}, [("ab", "c"), ("a", "b")])
    assert "several ways" in peculiar(alphabet | {"ab": 256, "abc": 257, "bc": 258}, [
        ("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc"),
    ])  # fmt: skip
    assert peculiar(alphabet | {"aa": 256, "aaa": 257}, [("a", "a"), ("aa", "a")]) == ""


# ---------------------------------------------------------------- long texts


# no place is safe where every piece gets a blank of its own, or blanks belong to the words around them
WHOLE = ("bytes as a last resort", "without the splitter")


def test_cutting_a_long_text_changes_no_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_codec, "PIECE", 100)
    text = "The quick brown Fox, 1234 jumps\n\nover <w> the  lazy dog. Größe 世界 " * 40
    for case in CASES:
        tokenizer = read(tmp_path / case["name"], case)
        pieces = list(tokenizer.encode_pieces(text))
        if isinstance(tokenizer._codec, LibraryCodec):
            assert [id for _, ids in pieces for id in ids] == tokenizer._codec._encode(text, False), case["name"]
            assert case["name"] in WHOLE or len(pieces) > 20
        assert sum(characters for characters, _ in pieces) == len(text)


# ---------------------------------------------------------------- refused


def test_without_the_library_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    content = fast(VOCABULARY, [], normalizer={"type": "Lowercase"})
    folder = write_files(tmp_path / "m", tokenizer=content, tokenizer_config=FAST)
    with pytest.raises(ModelFileError) as caught:
        Tokenizer.from_folder(folder)
    line = str(caught.value)
    assert "its normalizer is Lowercase" in line
    assert "pip install 'sg-tui[tokenizers]'" in line
    assert "\n" not in line
    write_files(folder, tokenizer=fast(VOCABULARY, []))
    assert Tokenizer.from_folder(folder).encode("ab") == [BYTES["a"], BYTES["b"]]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"normalizer": {"type": "Lowercase"}}, "its normalizer is Lowercase"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "its pre_tokenizer is Whitespace"),
        ({"pre_tokenizer": None}, "its pre_tokenizer is null"),
        ({"pre_tokenizer": byte_level(use_regex=False)}, "use_regex"),
        ({"decoder": {"type": "Metaspace"}}, "its decoder is Metaspace"),
        ({"model": {"type": "BPE", "vocab": VOCABULARY, "merges": [], "ignore_merges": True}}, "model.ignore_merges"),
    ],
)
def test_a_class_that_contradicts_the_file_is_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    for config in ({}, {"tokenizer_config": {"tokenizer_class": "GPT2TokenizerFast"}}):
        folder = write_files(tmp_path / f"m{len(config)}", tokenizer=fast(VOCABULARY, [], **changes), **config)
        with pytest.raises(ModelFileError, match=named) as caught:
            Tokenizer.from_folder(folder)
        assert "PreTrainedTokenizerFast" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": {"type": "BPE", "vocab": VOCABULARY, "merges": [], "dropout": 0.1}}, r"model\.dropout is 0\.1"),
        ({"model": {"type": "Other", "vocab": VOCABULARY}}, r"model\.type is 'Other'"),
        ({"post_processor": {"type": "Other"}}, "post_processor is Other"),
        ({"post_processor": {"type": "TemplateProcessing", "single": [], "special_tokens": {}}}, "TemplateProcessing"),
        ({"normalizer": {"type": "Evil\x1b[31m"}}, r"tokenizer\.json can't be used"),
        ({"added_tokens": [added(300, "<x>")], "normalizer": {"type": "Lowercase"}}, "stands at 257"),
        ({"added_tokens": [added(97, "<x>")]}, "id 97 of 'a'"),
        ({"added_tokens": [added(300, "a")]}, "the token 'a' has the id 300, and 97 too"),
        ({"added_tokens": [{"id": 257, "content": ""}]}, "without content"),
        ({"added_tokens": [added(257, "<x>", lstrip="yes")]}, "lstrip of the added token"),  # type: ignore[arg-type]
    ],
)
def test_what_can_not_be_obeyed_is_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    content = fast(VOCABULARY, [], **changes)
    folder = write_files(tmp_path / "m", tokenizer=content, tokenizer_config=FAST)
    with pytest.raises(ModelFileError, match=named) as caught:
        Tokenizer.from_folder(folder)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("name", "kind"), [("spiece.model", "T5Tokenizer"), ("tokenizer.model", "LlamaTokenizer")])
def test_a_sentencepiece_file_alone_says_how_to_convert_it(tmp_path: Path, name: str, kind: str) -> None:
    folder = write_files(tmp_path / "m", tokenizer_config={"tokenizer_class": kind})
    (folder / name).write_bytes(b"\n")
    with pytest.raises(ModelFileError, match=rf"{name} of a {kind}; save a tokenizer\.json"):
        Tokenizer.from_folder(folder)


def test_another_class_of_slow_tokenizer_is_named(tmp_path: Path) -> None:
    files = {"vocab": VOCABULARY, "merges": [], "tokenizer_config": {"tokenizer_class": "CTRLTokenizer"}}
    with pytest.raises(ModelFileError, match="tokenizer_class is CTRLTokenizer"):
        Tokenizer.from_folder(write_files(tmp_path / "m", **files))


KEYS = ["type", "id", "content", "vocab", "merges", "single", "special_tokens", "processors"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.text(string.ascii_letters, max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=8,
)
FIELDS = ["model", "normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens"]


@settings(max_examples=100, deadline=None)
@given(data=JSON, field=st.sampled_from(FIELDS))
def test_any_content_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: Any, field: str) -> None:
    content = fast(VOCABULARY, [], **{field: data})
    folder = write_files(tmp_path_factory.mktemp("m"), tokenizer=content, tokenizer_config=FAST)
    with contextlib.suppress(ModelFileError):
        Tokenizer.from_folder(folder).encode("ab 12", special=True)
