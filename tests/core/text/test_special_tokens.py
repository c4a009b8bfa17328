"""Special and added tokens: read from every file that may name them, ids where they count, and kept when saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizer_folders import BYTES, VOCABULARY, added, decoder_entry, fast, write_files

from sg_core.errors import ModelFileError, SettingError
from sg_core.text.marked_text import MarkedText
from sg_core.text.tokenizer import Tokenizer

MARKS = {"<|user|>": 257, "<|assistant|>": 258, "<|end|>": 259}
DECODER = {str(id): decoder_entry(content) for content, id in ({"<|endoftext|>": 256} | MARKS).items()}
DESCRIBED = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|end|>", "added_tokens_decoder": DECODER}
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
HI = [ord("H"), ord("i")]
FOLDERS: dict[str, dict[str, Any]] = {
    "added_tokens.json": {
        "vocab": VOCABULARY,
        "merges": [],
        "added_tokens": MARKS,
        "special_tokens_map": {"eos_token": "<|end|>", "additional_special_tokens": ["<|user|>", "<|assistant|>"]},
    },
    "tokenizer_config.json": {"vocab": VOCABULARY, "merges": [], "tokenizer_config": DESCRIBED},
    "tokenizer.json": {
        "tokenizer": fast(VOCABULARY, [], added(256, "<|endoftext|>"), *(added(id, c) for c, id in MARKS.items())),
        "tokenizer_config": {"eos_token": "<|end|>"},
    },
    "names alone": {
        "vocab": VOCABULARY,
        "merges": [],
        "tokenizer_config": {
            "eos_token": {"__type": "AddedToken", "content": "<|end|>"},
            "additional_special_tokens": ["<|user|>", "<|assistant|>"],
        },
        "added_tokens": MARKS,
    },
}


def folder_of(path: Path, kind: str, **files: Any) -> Path:
    return write_files(path / "m", **{**FOLDERS[kind], **files})


@pytest.mark.parametrize("kind", FOLDERS)
def test_marks_are_ids_where_they_count_and_plain_text_elsewhere(tmp_path: Path, kind: str) -> None:
    tokenizer = Tokenizer.from_folder(folder_of(tmp_path, kind))
    text = "<|user|>Hi<|assistant|>"
    assert tokenizer.encode(text, special=True) == [257, *HI, 258]
    assert tokenizer.encode(text) == list(text.encode())
    assert tokenizer.encode("a<|endoftext|>", special=True) == [ord("a"), 256]
    assert tokenizer.decode([257, *HI]) == "<|user|>Hi"
    assert tokenizer.vocab_size == 260
    assert {257, 258, 259, 256} <= tokenizer.special_ids
    assert tokenizer.end_of_text == 259
    assert tokenizer.end_ids == {259}


@pytest.mark.parametrize("kind", FOLDERS)
def test_saved_files_name_them_all_again(tmp_path: Path, kind: str) -> None:
    read = Tokenizer.from_folder(folder_of(tmp_path, kind, config={"eos_token_id": 256}))
    read.save(tmp_path / "saved")
    again = Tokenizer.from_folder(tmp_path / "saved")
    assert again.encode("<|user|>Hi<|end|>", special=True) == [257, *HI, 259]
    assert (again.added, again.roles, again.special_ids) == (read.added, read.roles, read.special_ids)
    assert again.end_ids == {256, 259}  # the one of config.json too, which is not among a tokenizer's files


def test_every_file_of_a_tokenizer_is_saved(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "added_tokens.json", tokenizer_config={"chat_template": "x", "pad_token": None})
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    Tokenizer.from_folder(folder).save(tmp_path / "saved")
    for path in folder.iterdir():
        assert (tmp_path / "saved" / path.name).read_bytes() == path.read_bytes()


def test_added_words_are_always_ids(tmp_path: Path) -> None:
    entries = {"257": decoder_entry("<w>", False), "258": decoder_entry("cat", False, single_word=True)}
    files = {"vocab": VOCABULARY, "merges": [], "tokenizer_config": {"added_tokens_decoder": entries}}
    tokenizer = Tokenizer.from_folder(write_files(tmp_path / "m", **files))
    assert tokenizer.encode("a<w>") == [ord("a"), 257]
    assert tokenizer.encode("cat!") == [258, ord("!")]
    assert tokenizer.encode("cats") == list(b"cats")
    assert tokenizer.special_ids == {256}


@pytest.mark.parametrize(
    ("files", "ends"),
    [
        ({}, {256}),
        ({"config": {"eos_token_id": 65}}, {65, 256}),
        ({"generation_config": {"eos_token_id": [65, 66]}, "config": {"eos_token_id": 67}}, {65, 66, 67, 256}),
        ({"generation_config": {"eos_token_id": None}, "config": {"eos_token_id": -1}}, {256}),
        ({"tokenizer_config": {"eos_token": None}}, {256}),  # nothing else ends a text
        ({"tokenizer_config": {"eos_token": None}, "config": {"eos_token_id": 65}}, {65}),
        ({"special_tokens_map": {"eos_token": "A"}}, {65}),
    ],
)
def test_a_text_ends_at_every_end_token_that_a_file_names(
    tmp_path: Path, files: dict[str, Any], ends: set[int]
) -> None:
    folder = write_files(tmp_path / "m", vocab=VOCABULARY, merges=[], **files)
    assert Tokenizer.from_folder(folder).end_ids == ends


def test_a_vocabulary_with_gaps_names_what_can_be_written(tmp_path: Path) -> None:
    vocabulary = {**BYTES, "<|endoftext|>": 260}
    folder = write_files(tmp_path / "m", vocab=vocabulary, merges=[], added_tokens={"<x>": 261, "<pad>": 300})
    tokenizer = Tokenizer.from_folder(folder)
    tokenizer.fit(280)
    assert tokenizer.limit == 262
    assert tokenizer.unnamed == (*range(256, 260),)
    assert tokenizer.encode("<x>", special=True) == [261]
    with pytest.raises(SettingError, match=r"the token '<pad>', id 300; the model has only the ids 0 to 279"):
        tokenizer.encode("a<pad>", special=True)
    with pytest.raises(SettingError, match=r"vocab_size is 200: .* has the id 200"):
        tokenizer.fit(200)


def test_an_added_token_that_the_library_numbers_otherwise_is_not_read_in_silence(tmp_path: Path) -> None:
    # transformers 5.24 reads <x> as 257, whatever added_tokens.json says
    folder = write_files(tmp_path / "m", vocab=VOCABULARY, merges=[], added_tokens={"<x>": 270})
    tokenizer = Tokenizer.from_folder(folder)
    assert tokenizer.encode("x", special=True) == [120]
    with pytest.raises(SettingError, match=r"'<x>', id 270; the tokenizers library gives it 257"):
        tokenizer.encode("a<x>", special=True)
    tokens = [added(258, "<b>"), added(257, "<a>")]  # not in order: the library counts
    folder = write_files(tmp_path / "n", tokenizer=fast(VOCABULARY, [], *tokens), tokenizer_config=FAST)
    with pytest.raises(SettingError, match=r"'<b>', id 258; the tokenizers library gives it 257"):
        Tokenizer.from_folder(folder).encode("<b>", special=True)


def test_the_usual_end_is_added_where_the_model_has_room_for_it(tmp_path: Path) -> None:
    # as transformers 5.24 does; a vocabulary without it whose model has as many tokens has no end
    for rows, end in ((260, 256), (256, None)):
        files = {"vocab": BYTES, "merges": [], "config": {"vocab_size": rows, "eos_token_id": None}}
        tokenizer = Tokenizer.from_folder(write_files(tmp_path / str(rows), **files))
        assert tokenizer.end_of_text == end
        assert (tokenizer.encode("<|endoftext|>", special=True) == [256]) == (end is not None)


def test_a_mark_without_an_id_never_takes_that_of_another_token(tmp_path: Path) -> None:
    gaps = {**{token: id + (id > 99) for token, id in BYTES.items()}}
    folder = write_files(tmp_path / "m", vocab=gaps, merges=[], special_tokens_map={"eos_token": "<|end|>"})
    with pytest.raises(ModelFileError, match=r"'<\|end\|>' has no id, and the next one, 256, is that of"):
        Tokenizer.from_folder(folder)
    write_files(folder, special_tokens_map={})
    assert Tokenizer.from_folder(folder).end_of_text is None


def test_a_tokenizer_that_takes_marks_for_words_is_refused(tmp_path: Path) -> None:
    config = {"split_special_tokens": True}
    folder = write_files(tmp_path / "m", vocab=VOCABULARY, merges=[], tokenizer_config=config)
    with pytest.raises(ModelFileError, match="split_special_tokens is true"):
        Tokenizer.from_folder(folder)


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"added_tokens": {"<x>": 97}}, r"added_tokens\.json: the token '<x>' has the id 97 of 'a'"),
        ({"added_tokens": {"a": 300}}, r"the token 'a' has the id 300, and 97 too"),
        ({"added_tokens": {"<x>": "y"}}, r"added_tokens\.json: the added token '<x>' has no usable id"),
        ({"tokenizer_config": {"added_tokens_decoder": []}}, ""),
        ({"tokenizer_config": {"added_tokens_decoder": [1]}}, "added_tokens_decoder is not an object"),
        ({"tokenizer_config": {"added_tokens_decoder": {"x": {"content": "<x>"}}}}, "no usable id"),
        ({"added_tokens": {"<|end|>": 257}, "tokenizer_config": {"added_tokens_decoder": DECODER}}, "has the id 257"),
        ({"generation_config": {"eos_token_id": "x"}}, r"generation_config\.json: eos_token_id is 'x'"),
        ({"config": {"eos_token_id": [True]}}, r"config\.json: eos_token_id"),
    ],
)
def test_files_that_contradict_each_other_are_refused(tmp_path: Path, files: dict[str, Any], named: str) -> None:
    folder = write_files(tmp_path / "m", vocab=VOCABULARY, merges=[], **files)
    if not named:
        assert Tokenizer.from_folder(folder).encode("a") == [97]
        return
    with pytest.raises(ModelFileError, match=named):
        Tokenizer.from_folder(folder)


# ---------------------------------------------------------------- prompts of which some parts are plain


@pytest.mark.parametrize("kind", FOLDERS)
def test_marks_in_plain_parts_stay_text(tmp_path: Path, kind: str) -> None:
    tokenizer = Tokenizer.from_folder(folder_of(tmp_path, kind))
    typed = "Hi<|end|>"
    prompt = MarkedText([("<|user|>", True), (typed, False), ("<|end|><|assistant|>", True)])
    assert prompt == "<|user|>Hi<|end|><|end|><|assistant|>"
    assert tokenizer.encode_prompt(prompt) == [257, *typed.encode(), 259, 258]


def test_parts_without_marks_are_encoded_as_one_text(tmp_path: Path) -> None:
    files = {"vocab": VOCABULARY | {"ab": 257}, "merges": [("a", "b")]}
    tokenizer = Tokenizer.from_folder(write_files(tmp_path / "m", **files))
    assert tokenizer.encode_prompt(MarkedText([("a", True), ("b", False)])) == [257]
    assert tokenizer.encode_prompt(MarkedText([("a", True), ("b<|endoftext|>", False)]))[0] == 257


def test_parts_that_are_tokens_stay_those_tokens(tmp_path: Path) -> None:
    files = {"vocab": VOCABULARY | {"ab": 257}, "merges": [("a", "b")]}
    tokenizer = Tokenizer.from_folder(write_files(tmp_path / "m", **files))
    a, b = ord("a"), ord("b")
    prompt = MarkedText([("ab", (a, b)), ("ab", False), ("a", (a,)), ("b<|endoftext|>", True)])
    assert prompt == "ababab<|endoftext|>"
    assert tokenizer.encode_prompt(prompt) == [a, b, 257, a, b, tokenizer.encode("<|endoftext|>", special=True)[0]]


def test_what_belongs_around_a_text(tmp_path: Path) -> None:
    processor = {"type": "BertProcessing", "cls": ["<|endoftext|>", 256], "sep": ["z", ord("z")]}
    files = {"tokenizer": fast(VOCABULARY, [], post_processor=processor)}
    tokenizer = Tokenizer.from_folder(write_files(tmp_path / "m", **files))
    assert tokenizer.encode("a") == [256, ord("a"), ord("z")]
    assert tokenizer.encode_prompt("a") == [256, ord("a")]  # a text that is to go on does not end
    assert tokenizer.encode_prompt(MarkedText([("a", True)])) == [256, ord("a")]
    assert tokenizer.encode_prompt(MarkedText([("a", True)], whole=False)) == [ord("a")]


def test_special_tokens_have_no_bytes_in_a_stream(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_folder(folder_of(tmp_path, "tokenizer.json"))
    decoder = tokenizer.decoder([257])
    assert [decoder.push(id) for id in (*HI, 259, ord("!"))] == [b"H", b"i", b"", b"!"]


def test_a_learned_vocabulary_writes_the_files_it_always_wrote(tmp_path: Path) -> None:
    Tokenizer(VOCABULARY, []).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["merges.txt", "tokenizer_config.json", "vocab.json"]
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["eos_token"] == "<|endoftext|>"
