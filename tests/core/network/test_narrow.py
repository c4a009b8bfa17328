"""Parameters that fit 16 bits are held in so many, and are worth the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_core import GPT2, GPT2Config, Optimizations, Sampling
from sg_core.bfloat16 import from_bfloat16, to_bfloat16
from sg_core.kernels.formats import FORMATS
from sg_core.kernels.jit import kernel
from sg_core.kernels.tiles import expansion
from sg_core.network.narrow import NarrowParameters, gathered
from sg_core.network.parameters import Parameters, Piece
from sg_core.network.precisions import LOSSLESS, NARROW, Precision
from sg_core.network.weights import Weights, bytes_read
from sg_core.types import FloatArray

# no width is a multiple of a vector, or of the columns of a tile
CONFIG = GPT2Config(vocab_size=97, n_ctx=64, n_layer=2, n_head=3, n_embd=39, n_inner=70)
PROMPT = list(np.random.default_rng(1).integers(0, 97, 20))
WARM = Sampling(temperature=0.9, seed=1)
STORED = {"F16": LOSSLESS[0], "BF16": LOSSLESS[1]}


def rounded(numbers: FloatArray, dtype: str) -> FloatArray:
    if dtype == "F16":
        return numbers.astype(np.float16).astype(np.float32)
    return from_bfloat16(to_bfloat16(numbers))


def pieces_of(dtype: str) -> list[Piece]:
    parameters = GPT2.random(CONFIG, seed=1).parameters
    noise = np.random.default_rng(0).standard_normal(parameters.arena.size, dtype=np.float32)
    parameters.arena[:] += 0.1 * noise  # so that every layer matters
    return [replace(piece, numbers=rounded(piece.numbers, dtype)) for piece in parameters.pieces()]


def wide(pieces: list[Piece]) -> GPT2:
    parameters = Parameters(CONFIG)
    for piece in pieces:
        parameters.put(piece)
    return GPT2(CONFIG, parameters)


def narrow(dtype: str) -> GPT2:
    return GPT2(CONFIG, gathered(CONFIG, pieces_of(dtype)))


def matrices(model: GPT2) -> Weights | None:
    assert isinstance(model.parameters, NarrowParameters)
    return model.parameters.matrices


@pytest.mark.parametrize("dtype", STORED)
def test_every_way_to_write_gives_the_bits_of_float32(dtype: str) -> None:
    expected, model = wide(pieces_of(dtype)), narrow(dtype)
    text = [(token.id, token.logprob) for token in expected.session().generate(PROMPT, 30, WARM)]
    for off in ((), ("kv_cache",), ("linear", "unembedding"), ("gelu_table", "residual", "layernorm")):
        for threads in (1, 3):
            session = model.session(Optimizations().without(*off), threads=threads)
            told = [(token.id, token.logprob) for token in session.generate(PROMPT, 30, WARM)]
            if "gelu_table" not in off:
                assert told == text
            else:
                plain = expected.session(Optimizations().without(*off))
                assert told == [(token.id, token.logprob) for token in plain.generate(PROMPT, 30, WARM)]
    drafting = model.session(Optimizations().with_("draft", "lookup"))
    assert [(token.id, token.logprob) for token in drafting.generate(PROMPT, 30, WARM)] == text
    several = model.session().generate_many(PROMPT, 3, 30, WARM)
    assert [(token.id, token.logprob) for number, token in several if number == 0] == text
    ids = np.array([PROMPT, PROMPT[::-1]])
    assert np.array_equal(model.logits(ids), expected.logits(ids))
    assert np.array_equal(model.score(PROMPT).rows.entropies[1:], expected.score(PROMPT).rows.entropies[1:])
    held = matrices(model)
    assert held is not None  # nothing of it has widened them
    assert held.storage == STORED[dtype]


@pytest.mark.parametrize("dtype", STORED)
def test_a_file_of_16_bits_is_held_in_16_bits_and_read_as_such(dtype: str, tmp_path: Path) -> None:
    wide(pieces_of(dtype)).save_pretrained(tmp_path, dtype)
    model = GPT2.from_pretrained(tmp_path)
    held = matrices(model)
    assert held is not None
    assert model.precision == "f32"
    assert model.weights("f32") is held
    assert held.words.nbytes == 2 * held.layout.decayed
    storage = model.storage("f32")
    assert (storage.name, storage.kernels, storage.cached) == ("f32", NARROW, Precision.named("f32"))
    both = [bytes_read(CONFIG, one) for one in (storage, Precision.named("f32"))]
    assert 0.5 * both[1] < both[0] < 0.6 * both[1]  # norms and biases are as they were
    assert storage.label == "f32 held in 16 bits"


def test_a_file_of_float32_numbers_that_fit_16_bits_is_recognised(tmp_path: Path) -> None:
    wide(pieces_of("F16")).save_pretrained(tmp_path, "F32")
    assert matrices(GPT2.from_pretrained(tmp_path)) is not None


def test_one_number_that_does_not_fit_leaves_all_in_float32() -> None:
    pieces = pieces_of("F16")
    last = max(index for index, piece in enumerate(pieces) if len(piece.tensor.shape) == 2)
    pieces[last].numbers[-1] = np.float32(1 + 2.0**-20)
    parameters = gathered(CONFIG, pieces)
    assert not isinstance(parameters, NarrowParameters)
    assert np.array_equal(parameters.arena, wide(pieces).parameters.arena)


def test_a_number_that_fits_only_the_other_kind_of_16_bits_changes_all_to_it() -> None:
    few = [replace(piece, numbers=rounded(piece.numbers, "BF16")) for piece in pieces_of("F16")]
    for piece in few:  # exact in both kinds
        piece.numbers[np.abs(piece.numbers) < 2.0**-9] = 0.0
    last = max(index for index, piece in enumerate(few) if len(piece.tensor.shape) == 2)
    few[last].numbers[0] = np.float32(2.0**-100)
    parameters = gathered(CONFIG, few)
    assert isinstance(parameters, NarrowParameters)
    assert parameters.matrices is not None
    assert parameters.matrices.storage == STORED["BF16"]
    assert np.array_equal(parameters.arena, wide(few).parameters.arena)


@pytest.mark.parametrize(
    "touch",
    [
        lambda model: model.parameters["h.1.mlp.c_fc.weight"],
        lambda model: model.parameters["ln_f.bias"],
        lambda model: model.loss_and_gradients([PROMPT[:-1]], [PROMPT[1:]]),
    ],
)
def test_who_is_handed_parameters_or_gradients_gets_float32(touch: Callable[[GPT2], object]) -> None:
    model = narrow("F16")
    before = [token.logprob for token in model.session().generate(PROMPT, 5, WARM)]
    touch(model)
    assert matrices(model) is None
    assert model.storage("f32").bits == 32
    assert np.array_equal(model.parameters.arena, wide(pieces_of("F16")).parameters.arena)
    assert [token.logprob for token in model.session().generate(PROMPT, 5, WARM)] == before


def test_an_edit_of_a_parameter_acts_on_a_text_that_is_written() -> None:
    model = narrow("BF16")
    session = model.session()
    tokens = session.generate(PROMPT, 6, WARM)
    next(tokens)
    model.parameters["wte.weight"][:] *= np.float32(1.001)  # no longer exact
    model.current_version()
    edited = [token.logprob for token in tokens]
    other = wide(pieces_of("BF16"))
    plain = other.session()
    later = plain.generate(PROMPT, 6, WARM)
    next(later)
    other.parameters["wte.weight"][:] *= np.float32(1.001)
    other.current_version()
    assert edited == [token.logprob for token in later]


def test_reduced_precisions_and_files_are_those_of_the_same_numbers(tmp_path: Path) -> None:
    model, expected = narrow("F16"), wide(pieces_of("F16"))
    for precision in ("bf16", "int8", "int4"):
        assert np.array_equal(model.weights(precision).words, expected.weights(precision).words)
    assert matrices(model) is not None
    model.save_pretrained(tmp_path / "narrow")
    expected.save_pretrained(tmp_path / "wide")
    name = "model.safetensors"
    assert (tmp_path / "narrow" / name).read_bytes() == (tmp_path / "wide" / name).read_bytes()


_expand_float16 = expansion(FORMATS[LOSSLESS[0].format])


@kernel
def _widened(out: Any, words: Any, scales: Any, count: Any) -> None:
    _expand_float16(out, np.int64(0), words, np.int64(0), scales, np.int64(0), count)


def test_every_float16_is_widened_as_numpy_does() -> None:
    words = np.arange(1 << 16, dtype=np.uint16)
    out, scales = np.empty(words.size, np.float32), np.zeros(1, np.float32)
    expected = words.view(np.float16).astype(np.float32)
    for first in (0, 1):  # whole vectors, and a number on its own at the end
        _widened(out, words[first:], scales, np.int64(words.size - first))
        same = out[: words.size - first].view(np.uint32) == expected[first:].view(np.uint32)
        assert np.all(same | np.isnan(expected[first:]))  # a NaN may become a quiet one


@given(st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=40))
def test_what_a_storage_holds_comes_back_bit_for_bit(bits: list[int]) -> None:
    numbers = np.array(bits, np.uint32).view(np.float32)
    for storage in LOSSLESS:
        words, scales = np.zeros(len(bits), np.uint16), np.empty(0, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            storage.store(words, scales, 0, numbers)
            back = storage.expand(words, scales, 0, len(bits))
        assert storage.holds(numbers) == np.array_equal(back.view(np.uint32), numbers.view(np.uint32))
