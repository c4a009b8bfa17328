"""Scores of texts equal transformers', whatever their length; words and lines are put together of them."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_recipe import SHAPES, golden, recipe, reference_model

from sg_core import GPT2, GPT2Config, Interventions
from sg_core.errors import SettingError
from sg_core.inference.score import Scores
from sg_core.inference.spans import lines, words
from sg_core.text.special_tokens import END_OF_TEXT
from sg_core.text.vocabulary import learn_vocabulary

TOLERANCE = 1e-4  # nats, promised by the design
TEXT = "ROMEO:\nWhat light through  yonder window breaks?\r\n\nIt is the caf\u00e9 \N{GRINNING FACE}, and the sun.\n"


@pytest.fixture(scope="module")
def model() -> GPT2:
    return GPT2.from_pretrained("tinyshakespeare")


@pytest.fixture(scope="module")
def scores(model: GPT2) -> Scores:
    return model.score(TEXT)


def log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    wide = logits.astype(np.float64)
    wide -= wide.max(-1, keepdims=True)
    wide -= np.log(np.exp(wide).sum(-1, keepdims=True))
    return wide


# ---------------------------------------------------------------- beside transformers


@pytest.mark.parametrize("name", list(recipe.SCORE_LENGTHS))
def test_every_value_is_that_of_transformers_in_texts_of_many_windows(name: str) -> None:
    shape, expected = SHAPES[name], golden("score")
    scored = reference_model(name).score(recipe.score_ids(shape), overlap=shape.n_ctx // 2)
    assert scored.tokens == recipe.SCORE_LENGTHS[name] - 1
    rows = scored.rows
    assert np.abs(rows.logprobs[1:] - expected[f"{name}:logprobs"]).max() < TOLERANCE
    assert np.abs(rows.entropies[1:] - expected[f"{name}:entropies"]).max() < TOLERANCE
    low, high = expected[f"{name}:ranks"].T
    assert ((low <= rows.ranks[1:]) & (rows.ranks[1:] <= high)).all()
    top = expected[f"{name}:top"]
    assert np.abs(rows.top_logprobs[-len(top) :] - top).max() < TOLERANCE


# ---------------------------------------------------------------- tokens


def test_a_token_has_what_the_logits_say(model: GPT2, scores: Scores) -> None:
    ids = model.tokenizer.encode(TEXT) if model.tokenizer else []
    logprobs = log_softmax(model.logits(ids))
    assert [token.id for token in scores] == ids
    for row, token in zip(logprobs, scores[1:], strict=False):
        order = np.argsort(-row, kind="stable")
        assert token.logprob == pytest.approx(row[token.id], abs=1e-6)
        assert token.entropy == pytest.approx(-(np.exp(row) * row).sum(), abs=1e-6)
        assert token.rank == 1 + order.tolist().index(token.id)
        assert [id for id, _ in token.top] == order[: len(token.top)].tolist()
        assert [logprob for _, logprob in token.top] == pytest.approx(row[order[: len(token.top)]], abs=1e-6)


def test_the_first_token_has_no_probability_as_nothing_is_put_before_it(scores: Scores) -> None:
    first = scores[0]
    assert (first.text, first.start) == (TEXT[: len(first.text)], 0)
    assert (first.logprob, first.rank, first.entropy, first.top) == (None, None, None, ())
    assert scores[-1] == list(scores)[-1]
    with pytest.raises(IndexError):
        scores[len(scores)]


def test_texts_and_places_of_tokens_are_those_of_the_text(scores: Scores) -> None:
    assert "".join(token.text for token in scores) == TEXT
    assert [TEXT[token.start :][: len(token.text)] for token in scores] == [token.text for token in scores]
    assert all(one.start <= next.start for one, next in pairwise(scores))


def test_totals_are_over_the_tokens_that_have_a_probability(model: GPT2, scores: Scores) -> None:
    nats = -sum(token.logprob or 0 for token in scores)
    rest = TEXT[len(scores[0].text) :]
    assert (scores.tokens, scores.characters, scores.bytes) == (len(scores) - 1, len(rest), len(rest.encode()))
    assert scores.nats == pytest.approx(nats)
    assert scores.perplexity == pytest.approx(math.exp(nats / scores.tokens))
    assert scores.nats_per_character == pytest.approx(nats / len(rest))
    assert scores.bits_per_byte == pytest.approx(nats / math.log(2) / len(rest.encode()))
    alone = model.score("R")
    assert (alone.tokens, alone.nats, alone.perplexity, alone.bits_per_byte) == (0, 0, None, None)


def test_equal_logits_rank_by_id() -> None:
    model = GPT2.random(GPT2Config(vocab_size=6, n_ctx=4, n_layer=1, n_head=1, n_embd=8))
    model.parameters["wte.weight"][:] = 0
    scored = model.score([3, 0, 5, 2])
    assert [token.rank for token in scored[1:]] == [1, 6, 3]
    assert [token.entropy for token in scored[1:]] == pytest.approx([math.log(6)] * 3)
    assert [id for id, _ in scored[1].top] == [0, 1, 2, 3, 4, 5]
    assert (scored.characters, scored.nats_per_character) == (0, None)  # without a tokenizer there is no text


def test_what_is_not_finite_is_no_number() -> None:
    model = GPT2.random(GPT2Config(vocab_size=6, n_ctx=4, n_layer=1, n_head=1, n_embd=8))
    model.parameters["ln_f.bias"][0] = np.nan
    token = model.score([1, 2])[1]
    assert (token.logprob, token.rank, token.entropy) == (None, None, None)


def test_the_end_of_a_document_is_read_only_when_asked_for(model: GPT2) -> None:
    assert model.tokenizer is not None
    end, text = model.tokenizer.end_of_text, f"a b{END_OF_TEXT}The"
    assert end not in [token.id for token in model.score(text)]
    scored = model.score(text, special=True)
    [mark] = [token for token in scored if token.id == end]
    assert (mark.text, mark.start) == ("", 3)
    after = scored[-1]
    assert text[after.start :] == after.text or text.endswith(after.text)
    assert scored.characters == len("a bThe") - 1


def small_tokenizer_model(vocab_size: int) -> GPT2:
    tokenizer = learn_vocabulary("the cat sat on the mat. " * 50, 270)
    shape = GPT2Config(vocab_size=vocab_size, n_ctx=16, n_layer=1, n_head=2, n_embd=16)
    return GPT2.random(shape, tokenizer=tokenizer)


def test_ids_that_the_tokenizer_does_not_name_have_no_text() -> None:
    scored = small_tokenizer_model(300).score([299, 101, 295, 102])
    assert [token.text for token in scored] == ["", "e", "", "f"]
    assert all(token.logprob is not None for token in scored[1:])


@pytest.mark.parametrize("setting", ["add_bos_token", "add_prefix_space"])
def test_tokens_start_in_the_text_that_was_given_whatever_a_tokenizer_puts_before_it(
    tmp_path: Path, setting: str
) -> None:
    small_tokenizer_model(270).save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {setting: True}), "utf-8")
    text = "the cat sat"
    scored = GPT2.from_pretrained(tmp_path).score(text)
    assert scored[-1].text.strip() != ""
    assert all(text.startswith(token.text, token.start) for token in scored[1:])


def test_precision_and_interventions_change_the_scores(model: GPT2) -> None:
    plain, ids = model.score(TEXT).nats, model.tokenizer.encode(TEXT) if model.tokenizer else []
    muted = Interventions().scale_head(1, 2, 0.0)
    some: tuple[dict[str, Any], ...] = ({"precision": "int8"}, {"interventions": muted})
    for changes in some:
        scored = model.score(TEXT, **changes)
        expected = log_softmax(model.logits(ids, **changes))[np.arange(len(ids) - 1), ids[1:]]
        assert np.abs(scored.rows.logprobs[1:] - expected).max() < 1e-6
        assert scored.nats != plain


def test_the_smallest_contexts_score_every_token() -> None:
    for n_ctx in (1, 2, 3):
        model = GPT2.random(GPT2Config(vocab_size=6, n_ctx=n_ctx, n_layer=1, n_head=1, n_embd=8))
        scored = model.score([3, 0, 5, 2, 1, 1, 0])
        assert np.isfinite(scored.rows.logprobs[1:]).all()
        assert (scored.rows.ranks[1:] > 0).all()


@pytest.mark.parametrize(("context", "overlap"), [(1024, 64), (128, 64), (100, 50), (2, 1)])
def test_windows_share_64_tokens_or_half_a_small_window(context: int, overlap: int) -> None:
    model = GPT2.random(GPT2Config(vocab_size=6, n_ctx=context, n_layer=1, n_head=1, n_embd=8))
    scored = model.score([3] * (context + 1))
    assert (scored.window, scored.overlap) == (context, overlap)


@pytest.mark.parametrize("overlap", [1, 5, 11])
def test_windows_may_share_less_or_more_and_score_every_token_once(overlap: int) -> None:
    model = GPT2.random(GPT2Config(vocab_size=30, n_ctx=12, n_layer=1, n_head=1, n_embd=8), seed=2)
    ids = np.random.default_rng(0).integers(0, 30, 50).tolist()
    scored = model.score(ids, overlap=overlap)
    assert (scored.window, scored.overlap) == (12, overlap)
    for place in range(1, 50):
        start = 0 if place < 12 else (place - overlap) // (12 - overlap) * (12 - overlap)
        seen = log_softmax(model.logits(ids[start:place]))[-1]
        assert scored[place].logprob == pytest.approx(seen[ids[place]], abs=1e-5)  # passes of other lengths
    for wrong in (0, 12):
        with pytest.raises(SettingError, match="overlap"):
            model.score(ids, overlap=wrong)


def test_progress_is_told_and_a_stop_keeps_what_is_done() -> None:
    model = GPT2.random(GPT2Config(vocab_size=6, n_ctx=8, n_layer=1, n_head=1, n_embd=8))
    ids, told = [1, 2, 3, 4, 5] * 5, []
    whole = model.score(ids, progress=lambda done, total: told.append((done, total)))
    assert told == [(8, 25), (12, 25), (16, 25), (20, 25), (24, 25), (25, 25)]
    part = model.score(ids, cancelled=lambda: True)
    assert [token.logprob for token in part] == [token.logprob for token in whole[:8]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the text is empty"),
        ([], "the text is empty"),
        ([70_000], "not in the vocabulary"),
        ([0.5], "whole numbers"),
    ],
)
def test_what_can_not_be_scored_is_told(model: GPT2, text: str | list[int], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        model.score(text)
    with pytest.raises(SettingError, match="no tokenizer files"):
        model.without_tokenizer().score("a text")


# ---------------------------------------------------------------- words and lines


def mass_of_word_beginnings(model: GPT2, ids: list[int]) -> float:
    """The probability that after ids comes a blank or the end of a document."""
    assert model.tokenizer is not None
    probabilities = np.exp(log_softmax(model.logits(ids))[-1])
    text_of = {id: model.tokenizer.decode([id]) for id in range(model.config.vocab_size)}
    return float(sum(p for id, p in enumerate(probabilities) if text_of[id][0].isspace() or text_of[id] == END_OF_TEXT))


def test_the_end_of_a_word_belongs_to_the_word(model: GPT2) -> None:
    assert model.tokenizer is not None
    [_, _, word, _] = words(model.score("What light through yonder"))
    before, after = (model.tokenizer.encode(text) for text in ("What light", "What light through"))
    logprobs = log_softmax(model.logits(after))
    plain = sum(logprobs[place - 1, after[place]] for place in range(len(before), len(after)))
    begins, ends = (mass_of_word_beginnings(model, ids) for ids in (before, after))
    assert (word.text, word.start, word.tokens) == ("through", 11, len(after) - len(before))
    assert word.uncorrected == pytest.approx(plain, abs=1e-5)
    assert word.logprob == pytest.approx(plain + math.log(ends) - math.log(begins), abs=1e-5)


def test_words_stand_where_they_stand_in_the_text(scores: Scores) -> None:
    found = list(words(scores))
    assert [word.text for word in found] == [*TEXT.split(), "\n"]
    assert all(TEXT[word.start :].startswith(word.text) for word in found)
    assert sum(word.tokens for word in found) == len(scores)
    assert (found[0].logprob, found[0].uncorrected) == (None, None)  # the first token of the text is part of it


def test_moving_ends_to_their_words_changes_no_sum(scores: Scores) -> None:
    found = [word for word in words(scores) if word.logprob is not None]
    first = len(scores) - sum(word.tokens for word in found)
    moved = sum((word.logprob or 0) - (word.uncorrected or 0) for word in found)
    assert moved == pytest.approx(-scores.rows.marked[first - 1], abs=1e-9)  # that of the word before the first


def test_a_word_that_begins_a_document_pays_for_no_blank(model: GPT2) -> None:
    found = list(words(model.score(f"an end{END_OF_TEXT}The start", special=True)))
    assert [word.text for word in found] == ["an", "end", "", "The", "start"]
    scored = model.score(f"an end{END_OF_TEXT}The start", special=True)
    place = [token.text for token in scored].index("The")
    assert found[3].logprob == pytest.approx((scored[place].logprob or 0) + scored.rows.marked[place])


def test_lines_are_sums_of_their_tokens(scores: Scores) -> None:
    found = list(lines(scores))
    assert [(line.number, line.text) for line in found] == [(n, text) for n, text in enumerate(TEXT.splitlines(), 1)]
    assert sum(line.logprob or 0 for line in found) == pytest.approx(-scores.nats)
    assert sum(line.tokens for line in found) == scores.tokens
    assert sum(line.characters for line in found) == scores.characters
    assert all(TEXT[line.start :].startswith(line.text) for line in found)


@given(st.text(st.sampled_from("ab \n\t'.\u00e9\u3000\N{GRINNING FACE}"), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_any_text_is_whole_in_tokens_words_and_lines(text: str) -> None:
    scored = GPT2.from_pretrained("tinyshakespeare").score(text)
    assert "".join(token.text for token in scored) == text
    found = list(words(scored))
    assert sum(word.tokens for word in found) == len(scored)
    assert all(text[word.start :].startswith(word.text) for word in found)
    assert sum(line.tokens for line in lines(scored)) == scored.tokens
