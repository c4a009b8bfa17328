"""Generation ends at every end token of a model, writes what its tokenizer names, and shows no mark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chain_model import chain, chain_model
from tokenizer_folders import VOCABULARY, added, fast, write_files

from sg_core.errors import ModelFileError
from sg_core.gpt2 import GPT2
from sg_core.inference.sampling import Sampling
from sg_core.inference.session import Session
from sg_core.network.optimizations import Optimizations
from sg_core.text.marked_text import MarkedText
from sg_core.text.tokenizer import Tokenizer

GREEDY = Sampling(temperature=0.0)
MARKS = {"<|user|>": 257, "<|assistant|>": 258, "<|end|>": 259}
FAST = fast(VOCABULARY, [], added(256, "<|endoftext|>"), *(added(id, content) for content, id in MARKS.items()))
NAMES = {"eos_token": "<|end|>", "additional_special_tokens": ["<|user|>", "<|assistant|>"]}
SLOW = {"vocab": VOCABULARY, "merges": [], "added_tokens": MARKS, "tokenizer_config": NAMES}


def written(session: Session, prompt: str, **settings: Any) -> str:
    return "".join(token.text for token in session.generate(prompt, 12, GREEDY, **settings))


def marked(text: str) -> str:
    return MarkedText([(text, True)])


def tokenizer_of(path: Path, **files: Any) -> Tokenizer:
    return Tokenizer.from_folder(write_files(path / "m", **files))


def test_the_end_token_in_a_prompt_separates_turns(tmp_path: Path) -> None:
    tokenizer = tokenizer_of(tmp_path, vocab=VOCABULARY, merges=[])
    session = chain_model(257, chain("Yes!", 256, 256), ord("."), tokenizer).session()
    assert written(session, marked("Hello<|endoftext|>")) == "Yes!"
    assert session.finish_reason == "end of text"
    assert written(session, "Hello<|endoftext|>", special=True) == "Yes!"
    assert written(session, "Hello<|endoftext|>") == "............"  # plain text


@pytest.mark.parametrize("files", [SLOW, {"tokenizer": FAST, "tokenizer_config": {"eos_token": "<|end|>"}}])
def test_tokens_behind_the_vocabulary_are_read_and_written(tmp_path: Path, files: dict[str, Any]) -> None:
    session = chain_model(260, chain("Ok", 258, 259), ord("."), tokenizer_of(tmp_path, **files)).session()
    tokens = list(session.generate(marked("<|user|>Hi<|assistant|>"), 12, GREEDY))
    assert [(token.id, token.text) for token in tokens] == [(ord("O"), "O"), (ord("k"), "k"), (259, "")]
    assert session.finish_reason == "end of text"


@pytest.mark.parametrize("end", [256, 259, 257])
def test_generation_ends_at_each_of_several_end_tokens(tmp_path: Path, end: int) -> None:
    files = {**SLOW, "generation_config": {"eos_token_id": [256, 257]}}
    session = chain_model(260, chain("Ok", ord(":"), end), ord("."), tokenizer_of(tmp_path, **files)).session()
    assert written(session, ":") == "Ok"
    assert session.finish_reason == "end of text"


def test_a_special_token_within_a_text_is_not_shown(tmp_path: Path) -> None:
    chained = {**chain("O", ord(":"), 257), 257: ord("k"), ord("k"): 259}
    session = chain_model(260, chained, ord("."), tokenizer_of(tmp_path, **SLOW)).session()
    assert written(session, ":") == "Ok"


def test_a_stop_that_is_a_special_token_stops_at_it(tmp_path: Path) -> None:
    chained = {**chain("O", ord(":"), 257), 257: ord("k"), ord("k"): 259}
    session = chain_model(260, chained, ord("."), tokenizer_of(tmp_path, **SLOW)).session()
    assert written(session, ":", stop=("<|user|>",)) == "O"
    assert session.finish_reason == "stop"


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=5.0), Sampling(repetition_penalty=1.5)])
def test_ids_that_nothing_names_are_never_chosen(tmp_path: Path, sampling: Sampling) -> None:
    # the likeliest successor, 262, is behind every name, the next one, 258, lies in a gap
    tokenizer = tokenizer_of(tmp_path, vocab=VOCABULARY, merges=[], added_tokens={"<x>": 260})
    model = chain_model(264, {}, 262, tokenizer)
    outer = model.parameters["transformer.h.0.mlp.c_proj.weight"]
    outer[:264, 258] = 5.0
    outer[:264, ord("y")] = 2.5
    tokens = list(model.session().generate("a", 40, sampling))
    assert {token.id for token in tokens} <= {*range(257), 260}
    assert all(id in {*range(257), 260} for token in tokens for id, _ in token.top)
    assert all(-80 < logprob <= 0 for token in tokens for _, logprob in token.top)
    if sampling is GREEDY:
        assert tokens[0].text == "y"


def test_a_padding_token_beyond_the_embedding_does_not_keep_a_model_from_loading(tmp_path: Path) -> None:
    files = {"vocab": VOCABULARY, "merges": [], "added_tokens": {"[PAD]": 257}}
    model = chain_model(257, chain("Ok", ord(":"), 256), ord("."), tokenizer_of(tmp_path, **files))
    assert written(model.session(), ":") == "Ok"


def test_a_vocabulary_larger_than_the_model_is_a_fault_of_the_folder(tmp_path: Path) -> None:
    chain_model(256, {}, 0).save_pretrained(tmp_path / "m")
    write_files(tmp_path / "m", vocab=VOCABULARY | {"ab": 257}, merges=[("a", "b")])
    with pytest.raises(ModelFileError, match=r"vocab_size is 256: 'ab' has the id 257"):
        GPT2.from_pretrained(tmp_path / "m")


@pytest.mark.parametrize("optimizations", [Optimizations(), Optimizations().with_("lookup")])
def test_several_continuations_and_lookups_end_there_too(tmp_path: Path, optimizations: Optimizations) -> None:
    files = {**SLOW, "generation_config": {"eos_token_id": [256, 257]}}
    model = chain_model(260, chain("Ok", ord(":"), 257), ord("."), tokenizer_of(tmp_path, **files))
    session = model.session(optimizations)
    texts = ["", ""]
    for number, token in session.generate_many(":", 2, 8, GREEDY):
        texts[number] += token.text
    assert texts == ["Ok", "Ok"]
    assert written(session, "Ok Ok :") == "Ok"


def test_pieces_of_words_are_joined_as_their_tokenizer_joins_them(tmp_path: Path) -> None:
    vocabulary = {"[UNK]": 0, "say": 1, "play": 2, "##ing": 3, "it": 4, "!": 5, "[SEP]": 6}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [added(0, "[UNK]"), added(6, "[SEP]")],
        "normalizer": None,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }
    files = {"tokenizer": tokenizer, "tokenizer_config": {"tokenizer_class": "PreTrainedTokenizerFast"}}
    read = tokenizer_of(tmp_path, **files, config={"eos_token_id": 6})
    model = chain_model(7, {1: 2, 2: 3, 3: 4, 4: 5, 5: 6}, 6, read)
    assert written(model.session(), "say") == " playing it!"


def test_a_saved_model_keeps_its_marks_and_its_ends(tmp_path: Path) -> None:
    files = {**SLOW, "generation_config": {"eos_token_id": [256, 257]}}
    chain_model(260, chain("Ok", 258, 257), ord("."), tokenizer_of(tmp_path, **files)).save_pretrained(tmp_path / "s")
    session = GPT2.from_pretrained(tmp_path / "s").session()
    assert written(session, marked("<|user|>Hi<|assistant|>")) == "Ok"
    assert session.finish_reason == "end of text"
