"""int4 of models whose rows are no whole groups of 32: the last group of a row is filled with zeros."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sg_core import GPT2, GPT2Config, Optimizations, Sampling
from sg_core.kernels.formats import INT4_GROUP
from sg_core.kernels.simd import LANES
from sg_core.kernels.team import Team
from sg_core.network.batch_pass import BatchPass
from sg_core.network.precisions import Precision
from sg_core.network.weights import bytes_read

PROMPT = [5, 17, 3, 90, 9]
WARM = Sampling(temperature=0.9, top_p=0.98, seed=1)
# rows that end in numbers, in a vector, in both, and in a whole group; (n_embd, n_inner)
WIDTHS = [(36, None), (48, 72), (100, 20), (64, 40), (30, 64)]


def make(n_embd: int, n_inner: int | None, *, tied: bool = True) -> GPT2:
    config = GPT2Config(
        vocab_size=97, n_ctx=64, n_layer=2, n_head=2, n_embd=n_embd, n_inner=n_inner, tie_word_embeddings=tied
    )
    model = GPT2.random(config, seed=1)
    noise = np.random.default_rng(0).standard_normal(model.parameters.arena.size, dtype=np.float32)
    model.parameters.arena[:] += 0.1 * noise  # so that every layer matters
    return model


def worth(model: GPT2, name: str) -> npt.NDArray[np.float32]:
    """What the int4 weights of a matrix stand for, (out, in), by the definition."""
    weights = model.weights("int4")
    tensor = next(tensor for tensor in weights.layout.tensors if tensor.name == name)
    rows, width = tensor.shape
    stride = -(-width // INT4_GROUP) * INT4_GROUP
    pairs = weights.words.view(np.uint8).reshape(-1, 1, LANES)
    levels = np.concatenate([pairs & 15, pairs >> 4], axis=1).reshape(-1, INT4_GROUP).astype(np.float32) - 8
    numbers = (levels * weights.scales[:, None]).reshape(-1)
    stored = numbers[tensor.place : tensor.place + rows * stride].reshape(rows, stride)
    assert not stored[:, width:].any()
    return stored[:, :width]


@pytest.mark.parametrize("widths", WIDTHS)
def test_a_model_in_int4_is_the_float32_model_of_what_its_weights_stand_for(widths: tuple[int, int | None]) -> None:
    model, plain = make(*widths, tied=False), make(*widths, tied=False)
    for tensor in plain.parameters.layout.tensors:
        if len(tensor.shape) == 2 and ".wpe" not in tensor.name:
            exact = model.parameters.view(tensor.name)
            values = worth(model, tensor.name)
            plain.parameters[tensor.name][...] = values.T if tensor.transposed else values
            # an eighth of the largest number of a group is a step
            assert np.abs(plain.parameters.view(tensor.name) - exact).max() < 0.13 * np.abs(exact).max()
    ids = np.random.default_rng(2).integers(0, 97, 50)
    for some in (ids[:1], ids[:7], ids):  # a row, the few that read stored weights, and those that expand them
        learning = BatchPass(
            model.parameters, 1, len(some), Team(1), model.weights("int4")
        )  # rounds no keys and values
        assert np.array_equal(
            learning.logits(some[None].astype(np.int32)), plain.logits(some)
        )  # sums have one order in every precision
        logits = model.logits(some, precision="int4")
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        nats = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(some)), some]
        assert np.abs(model.losses(some, some, precision="int4") - nats).max() < 1e-5


@given(st.integers(1, 50), st.integers(1, 140))
@settings(max_examples=15, deadline=None)
def test_a_position_has_the_same_logits_alone_and_in_a_batch_at_every_width(half: int, n_inner: int) -> None:
    model = make(2 * half, n_inner)
    ids = np.random.default_rng(half).integers(0, 97, 30)
    together = model.logits(ids, precision="int4")
    assert np.isfinite(together).all()
    for count in (1, 2, 13):
        assert np.array_equal(model.logits(ids[:count], precision="int4"), together[:count])


@pytest.mark.parametrize("widths", WIDTHS)
def test_a_text_is_the_same_however_its_rows_are_grouped(widths: tuple[int, int | None]) -> None:
    model = make(*widths)
    plain = [(token.id, token.logprob) for token in model.session(precision="int4").generate(PROMPT * 3, 40, WARM)]
    for optimizations, threads in (
        (Optimizations().without("kv_cache", "linear", "unembedding"), 1),
        (Optimizations().with_("lookup"), 3),
    ):
        session = model.session(optimizations, "int4", threads)
        assert [(token.id, token.logprob) for token in session.generate(PROMPT * 3, 40, WARM)] == plain
    many = model.session(precision="int4").generate_many(PROMPT * 3, 3, 40, WARM)
    assert [(token.id, token.logprob) for number, token in many if number == 0] == plain


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_loaded_in_int4_is_the_one_converted_from_float32(tied: bool, tmp_path: Path) -> None:
    model = make(36, 100, tied=tied)
    model.save_pretrained(tmp_path)
    small = GPT2.from_pretrained(tmp_path, "int4")
    expected, weights = model.weights("int4"), small.weights("int4")
    assert np.array_equal(weights.words, expected.words)
    assert np.array_equal(weights.scales, expected.scales)
    assert np.array_equal(small.logits(PROMPT), model.logits(PROMPT, precision="int4"))
    assert np.array_equal(small.losses(PROMPT, PROMPT), model.losses(PROMPT, PROMPT, precision="int4"))
    whole = model.session(precision="int4").generate(PROMPT, 20, WARM)
    assert [t.logprob for t in small.session().generate(PROMPT, 20, WARM)] == [t.logprob for t in whole]


@pytest.mark.parametrize(("n_embd", "n_inner"), WIDTHS)
def test_a_token_reads_whole_groups(n_embd: int, n_inner: int | None) -> None:
    model = make(n_embd, n_inner)
    weights, config = model.weights("int4"), model.config
    stored = weights.words.nbytes + weights.scales.nbytes
    positions = config.n_ctx * -(-n_embd // INT4_GROUP) * (INT4_GROUP // 2 + 4)  # never multiplied
    vectors = sum(array.size for array in model.parameters.values() if array.ndim == 1)
    assert bytes_read(config, Precision.named("int4")) == stored - positions + 4 * (vectors + 2 * n_embd)
