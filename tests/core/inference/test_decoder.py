"""The decoder a step at a time, logits processors, and what follows an edit of the weights or of the precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, Optimizations, Sampling
from sg_core.errors import SettingError
from sg_core.network.precisions import PRECISIONS
from sg_core.types import FloatArray

CONFIG = GPT2Config(vocab_size=90, n_ctx=48, n_layer=2, n_head=2, n_embd=64)
PROMPT, GREEDY, WARM = [5, 17, 3, 50, 9], Sampling(temperature=0.0), Sampling(temperature=0.9, seed=1)
EXACT = Optimizations().without("gelu_table")


@pytest.fixture
def model() -> GPT2:
    model = GPT2.random(CONFIG, seed=1)
    noise = np.random.default_rng(0).standard_normal(model.parameters.arena.size, dtype=np.float32)
    model.parameters.arena[:] += 0.1 * noise  # so that every layer matters
    return model


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_step_gives_the_logits_of_what_follows(model: GPT2, precision: str) -> None:
    decoder = model.session(EXACT, precision).decoder
    whole = model.logits(PROMPT, precision=precision)
    tolerance = 1e-5  # sums in another order
    for place, id in enumerate(PROMPT):
        assert np.abs(decoder.step(id) - whole[place]).max() < tolerance
    decoder.rewind(2)
    assert np.abs(decoder.step(*PROMPT[2:]) - whole[-1]).max() < tolerance
    assert decoder.ids == PROMPT


def test_a_step_by_step_text_is_that_of_generate(model: GPT2) -> None:
    decoder, ids = model.session().decoder, list(PROMPT)
    decoder.start(ids[:-1])
    for token in model.session().generate(PROMPT, 20, GREEDY):
        assert int(np.argmax(decoder.step(ids[-1]))) == token.id
        ids.append(token.id)


def test_steps_refuse_what_has_no_meaning(model: GPT2) -> None:
    decoder = model.session().decoder
    for ids, words in (((90,), "token id 90"), ((), "0 tokens"), (tuple(PROMPT * 10), "50 tokens")):
        with pytest.raises(SettingError, match=words):
            decoder.step(*ids)  # nothing of it stays
    assert decoder.ids == []
    assert decoder.step(*PROMPT).shape == (90,)


def test_processors_forbid_and_favour_tokens(model: GPT2) -> None:
    seen: list[list[int]] = []

    def even_ids_alone(ids: Sequence[int], logits: FloatArray) -> None:
        seen.append(list(ids))
        logits[1::2] = -np.inf

    tokens = list(model.session().generate(PROMPT, 12, WARM, processors=[even_ids_alone]))
    assert all(token.id % 2 == 0 for token in tokens)
    written = [*PROMPT, *(token.id for token in tokens)]
    assert seen == [written[: len(PROMPT) + count] for count in range(12)]  # once a token, in order

    plain = next(model.session().generate(PROMPT, 1, GREEDY))

    def favour(ids: Sequence[int], logits: FloatArray) -> None:
        logits[7] = 1e6

    favoured = next(model.session().generate(PROMPT, 1, WARM, processors=[even_ids_alone, favour]))
    assert favoured.id == 7
    assert favoured.top == plain.top  # told as the model itself has them
    assert favoured.logprob < 0


def test_processors_are_not_asked_about_drafts_that_came_to_nothing(model: GPT2) -> None:
    calls: list[int] = []

    def count(ids: Sequence[int], logits: FloatArray) -> None:
        calls.append(len(ids))

    session = model.session(Optimizations().with_("lookup"))
    prompt = PROMPT * 4
    alone = [token.id for token in model.session().generate(prompt, 25, GREEDY)]
    assert [token.id for token in session.generate(prompt, 25, GREEDY, processors=[count])] == alone
    assert calls == list(range(20, 45))


@pytest.mark.parametrize("value", [-np.inf, np.nan, np.inf])
def test_a_processor_that_leaves_nothing_to_choose_is_told(model: GPT2, value: float) -> None:
    def spoil(ids: Sequence[int], logits: FloatArray) -> None:
        logits[:] = value

    with pytest.raises(SettingError, match="a logits processor left no token"):
        list(model.session().generate(PROMPT, 2, WARM, processors=[spoil]))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_edit_of_the_parameters_is_followed_in_every_precision(model: GPT2, precision: str) -> None:
    session = model.session(precision=precision)
    before = [token.logprob for token in session.generate(PROMPT, 6, WARM)]
    view = model.parameters["h.1.mlp.c_fc.weight"]
    view[3, 5] += 2.0
    after = [token.logprob for token in session.generate(PROMPT, 6, WARM)]
    assert after != before
    assert after == [token.logprob for token in model.session(precision=precision).generate(PROMPT, 6, WARM)]
    view[3, 5] -= 2.0  # also through a view that was handed out long ago; exact in float32 or nearly so
    again = [token.logprob for token in session.generate(PROMPT, 6, WARM)]
    assert np.abs(np.subtract(again, before)).max() < 1e-4


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_another_precision_drops_what_was_computed_so_no_switch_changes_the_text(model: GPT2, precision: str) -> None:
    """The cache of the first precision stayed once, and switch 1, which does without it, then changed the text."""
    texts = []
    for switches in (Optimizations(), Optimizations().without("kv_cache")):
        session = model.session(switches)
        list(session.generate(PROMPT, 8, GREEDY))
        session.precision = precision
        texts.append([(token.id, token.logprob) for token in session.generate(session.ids, 8, WARM)])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("ids", [[[1, 2, 3], [4, 5, 6]], np.array([[7, 8], [9, 10]])])
def test_ids_of_two_dimensions_are_several_texts(model: GPT2, ids: object) -> None:
    rows = np.asarray(ids)
    batched = model.logits(rows)
    assert batched.shape == (*rows.shape, 90)
    for row, logits in zip(rows, batched, strict=True):
        assert np.array_equal(logits, model.logits(row))
    with pytest.raises(SettingError, match=r"ids have the shape \(2, [23]\); \(T,\) is wanted"):
        model.session().generate(rows)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="one length"):
        model.logits([[1, 2], [3]])
    with pytest.raises(SettingError, match=r"\(T,\) or \(B, T\)"):
        model.logits(rows[None])
