"""Precisions, prompt lookup, and several continuations at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sg_core import GPT2, GPT2Config, Optimizations, Sampling
from sg_core.errors import ModelFileError, SettingError
from sg_core.inference.token import Token
from sg_core.kernels.formats import FORMATS
from sg_core.network.precisions import LOSSLESS, PRECISIONS, Precision
from sg_core.text.vocabulary import learn_vocabulary

PROMPT = [5, 17, 3, 250, 9]
WARM = Sampling(temperature=0.9, top_p=0.98, seed=1)


@pytest.fixture(scope="module")
def model() -> GPT2:
    text = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer é 😀\n\n" * 30
    config = GPT2Config(vocab_size=300, n_ctx=96, n_layer=2, n_head=2, n_embd=64)
    model = GPT2.random(config, seed=1, tokenizer=learn_vocabulary(text, 290))
    noise = np.random.default_rng(0).standard_normal(model.parameters.arena.size, dtype=np.float32)
    model.parameters.arena[:] += 0.1 * noise  # so that every layer matters
    return model


@pytest.mark.parametrize("precision", ["f32", "int8"])
@pytest.mark.parametrize("off", [(), ("kv_cache", "unembedding"), ("gelu", "layernorm", "residual")])
@pytest.mark.parametrize("sampling", [Sampling(temperature=0.0), Sampling(temperature=0.7, seed=4)])
def test_lookup_changes_no_token_and_its_drafts_come_true(
    model: GPT2, sampling: Sampling, off: tuple[str, ...], precision: str
) -> None:
    prompt = PROMPT * 6
    plain = list(model.session(precision=precision).generate(prompt, 50, sampling))
    session = model.session(Optimizations().with_("lookup").without(*off), precision)
    tokens = list(session.generate(prompt, 50, sampling))
    assert [(token.id, token.logprob) for token in tokens] == [(token.id, token.logprob) for token in plain]
    if sampling.temperature == 0.0:  # a small random model soon repeats itself
        assert session.lookup.accepted > 10


@given(st.lists(st.booleans(), min_size=40, max_size=40))
@settings(max_examples=10, deadline=None)
def test_lookup_and_precision_switched_between_two_tokens(model: GPT2, flips: list[bool]) -> None:
    session, text = model.session(), []
    greedy = Sampling(temperature=0.0)
    for token, flip in zip(session.generate(PROMPT, 40, greedy), flips, strict=True):
        text.append(token.id)
        if flip:
            session.optimizations = session.optimizations.toggled("lookup")
    assert text == [token.id for token in model.session().generate(PROMPT, 40, greedy)]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("stop", [(), ("a", "e")])
def test_continuations_are_those_of_single_generations(model: GPT2, stop: tuple[str, ...], precision: str) -> None:
    together: dict[int, list[Token]] = {number: [] for number in range(5)}
    for number, token in model.session(precision=precision).generate_many(PROMPT, 5, 30, WARM, stop):
        together[number].append(token)
    for number, tokens in together.items():
        alone = model.session(precision=precision).generate(PROMPT, 30, replace(WARM, seed=WARM.seed + number), stop)
        assert [(t.id, t.text, t.logprob, t.top) for t in tokens] == [(t.id, t.text, t.logprob, t.top) for t in alone]


def test_a_draft_beyond_all_room_is_refused_before_it_is_computed(model: GPT2) -> None:
    session = model.session()
    first = [token.id for token in session.generate(PROMPT, 5, WARM)]
    decoder = session.decoder
    decoder.reserve(90)
    decoder.prefill(None, None)
    assert decoder.decode(first + first).shape == (11, 300)
    with pytest.raises(SettingError, match="no room"):
        decoder.decode([1] * 90)
    assert [token.id for token in session.generate(PROMPT, 5, WARM)] == first


def test_too_few_or_too_many_continuations_are_refused(model: GPT2) -> None:
    for n in (0, 65):
        with pytest.raises(SettingError, match="from 1 to 64"):
            model.session().generate_many(PROMPT, n)
    with pytest.raises(SettingError, match="seed"):
        model.session().generate_many(PROMPT, 2, sampling=Sampling(seed=(1 << 63) - 1))


def test_a_precision_is_switched_between_two_tokens_and_follows_the_weights(model: GPT2) -> None:
    session, used = model.session(), []
    for token, precision in zip(session.generate(PROMPT, 10, WARM), PRECISIONS * 2, strict=True):
        used.append(token.logprob)
        session.precision = precision
    assert session.precision == "int4"
    exact = [token.logprob for token in model.session().generate(PROMPT, 10, WARM)]
    assert used[:2] == exact[:2]
    assert used != exact
    with pytest.raises(SettingError, match="f32, bf16, int8, w8a8, int4"):
        session.precision = "int2"


@pytest.mark.parametrize("precision", ["bf16", "int8", "w8a8", "int4"])
def test_a_model_loaded_in_one_precision_writes_the_same_and_holds_no_float32_matrices(
    model: GPT2, precision: str, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    small = GPT2.from_pretrained(tmp_path, precision)
    expected, weights = model.weights(precision), small.weights(precision)
    assert np.array_equal(weights.words, expected.words)
    assert np.array_equal(weights.scales, expected.scales)
    whole = model.session(precision=precision).generate(PROMPT, 30, WARM)
    assert [t.logprob for t in small.session().generate(PROMPT, 30, WARM)] == [t.logprob for t in whole]
    assert np.array_equal(small.logits(PROMPT), model.logits(PROMPT, precision=precision))
    matrices = 12 * 2 * 64**2 + 300 * 64
    assert small.parameters.arena.size == model.config.parameter_count - matrices
    for refused in (
        lambda: small.session(precision="f32"),
        lambda: small.loss_and_gradients([[1]], [[2]]),
        lambda: small.save_pretrained(tmp_path / "again"),
    ):
        with pytest.raises(SettingError, match="load it in f32"):
            refused()
    assert not (tmp_path / "again").exists()


def test_a_model_that_holds_one_precision_reads_another_from_its_folder(model: GPT2, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    one = GPT2.from_pretrained(tmp_path, "int8")
    one.hold_one_precision()
    session, used = one.session(), []
    for token, precision in zip(session.generate(PROMPT, 4, WARM), ("f32", "int4", "int8", "bf16"), strict=True):
        used.append(token.logprob)
        session.precision = precision
        assert one.precision == precision
        assert one.parameters.lean == (precision != "f32")
    plain, expected = model.session(precision="int8"), []
    for token, precision in zip(plain.generate(PROMPT, 4, WARM), ("f32", "int4", "int8", "bf16"), strict=True):
        expected.append(token.logprob)
        plain.precision = precision
    assert used == expected
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelFileError, match=r"model\.safetensors"):
        session.precision = "f32"
    assert [token.logprob for token in session.generate(PROMPT, 4, WARM)] == [
        token.logprob for token in model.session(precision="bf16").generate(PROMPT, 4, WARM)
    ]
    with pytest.raises(SettingError, match="save it, and load that"):
        model.hold_one_precision()


@pytest.mark.parametrize("precision", ["bf16", "int8", "int4"])
def test_random_weights_are_the_same_in_one_precision_alone(precision: str) -> None:
    config = GPT2Config(vocab_size=97, n_ctx=32, n_layer=2, n_head=2, n_embd=36)
    whole, small = GPT2.random(config, 3), GPT2.random(config, 3, precision=precision)
    assert np.array_equal(small.weights(precision).words, whole.weights(precision).words)
    assert np.array_equal(small.weights(precision).scales, whole.weights(precision).scales)
    assert all(np.array_equal(small.parameters[name], whole.parameters[name]) for name in small.parameters)
    with pytest.raises(SettingError, match="choose from"):
        GPT2.random(config, precision="int2")


def test_damaged_weights_are_named_when_loaded_in_one_precision(tmp_path: Path) -> None:
    damaged = GPT2.random(GPT2Config(vocab_size=97, n_ctx=32, n_layer=2, n_head=2, n_embd=36))
    damaged.parameters["h.1.mlp.c_fc.weight"][3, 4] = np.nan
    damaged.parameters["ln_f.bias"][0] = np.inf
    damaged.save_pretrained(tmp_path)
    names = ["transformer.h.1.mlp.c_fc.weight", "transformer.ln_f.bias"]
    for precision in PRECISIONS:
        assert GPT2.from_pretrained(tmp_path, precision).not_finite() == names


def test_a_precision_is_what_the_kernels_read_it_as() -> None:
    for precision in (*(Precision.named(name) for name in PRECISIONS), LOSSLESS[0]):
        format = FORMATS[precision.format]
        assert precision.bits == format.bits
        assert format.group in (0, precision.group_size(64))
    assert [FORMATS[Precision.named(name).format].name for name in PRECISIONS] == [
        "float32", "bfloat16", "int8", "int8", "int4",
    ]  # fmt: skip
    assert [name for name in PRECISIONS if Precision.named(name).reduced] == ["bf16", "int8", "w8a8", "int4"]


def test_an_unknown_precision_is_refused_by_name() -> None:
    with pytest.raises(SettingError, match="precision is 'f64'; choose from f32, bf16, int8, w8a8, int4"):
        Precision.named("f64")


def test_the_bytes_of_a_precision_are_those_of_its_weights(model: GPT2) -> None:
    for name in PRECISIONS:
        weights = model.weights(name)
        count, precision = model.parameters.layout.decayed, Precision.named(name)
        stored = weights.words.nbytes if precision.reduced else 4 * count
        assert precision.bytes_of(count, 64) == stored + (weights.scales.nbytes if precision.scaled else 0)


def test_whole_groups_are_stored_where_the_parameters_lie(model: GPT2) -> None:
    for name in PRECISIONS:
        places = model.weights(name).places(model.parameters.layout)
        assert np.array_equal(places[0], model.parameters.layout.blocks)
        assert np.array_equal(places[1], model.parameters.layout.ends)
        assert model.weights(name).layout.decayed == model.parameters.layout.decayed


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("precision", ["f32", "bf16", "int8", "w8a8", "int4"])
def test_damaged_weights_give_one_line_instead_of_text_in_every_precision(precision: str, number: float) -> None:
    damaged = GPT2.random(GPT2Config(vocab_size=97, n_ctx=32, n_layer=2, n_head=2, n_embd=32))
    damaged.parameters["h.1.mlp.c_proj.weight"][3, 4] = number
    with pytest.raises(ModelFileError, match="its weights are damaged"):
        list(damaged.session(precision=precision).generate([1], 2))
