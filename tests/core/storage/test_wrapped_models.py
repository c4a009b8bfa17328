"""Models whose tensors are named by what wrapped them, and what stands beside a whole GPT-2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from whole_weights import whole_weights

from sg_core.config import GPT2Config
from sg_core.gpt2 import GPT2
from sg_core.storage.pretrained import check_weights, read_config, tensor_shapes, write_model

CONFIG = GPT2Config(vocab_size=97, n_ctx=16, n_layer=2, n_head=2, n_embd=8)
Arrays = dict[str, np.ndarray[Any, Any]]


def weights() -> Arrays:
    draw = np.random.default_rng(0)
    return {name: draw.standard_normal(shape).astype(np.float32) for name, shape in tensor_shapes(CONFIG).items()}


def save(folder: Path, arrays: Arrays) -> None:
    safetensors.numpy.save_file(arrays, folder / "model.safetensors")


def check(folder: Path) -> Arrays:
    return whole_weights(folder, read_config(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole small model."""
    write_model(tmp_path / "model", CONFIG, weights(), None)
    return tmp_path / "model"


HEADS = ("v_head.summary.weight", "multiple_choice_head.summary.bias", "score.weight", "classifier.bias")


@pytest.mark.parametrize(
    "wrapper", ["", "module.", "_orig_mod.", "module._orig_mod.", "pretrained_model.", "model.", "a.b.net."]
)
def test_what_wraps_a_model_is_taken_off_and_further_heads_are_named(folder: Path, wrapper: str) -> None:
    further = {name: np.zeros((2, 8), np.int64) for name in HEADS}
    save(folder, {f"{wrapper}{name}": array for name, array in (weights() | further).items()})
    assert check_weights(folder, CONFIG) == tuple(f"{wrapper}{name}" for name in sorted(HEADS))
    loaded = check(folder)
    assert all(np.array_equal(loaded[name], array) for name, array in weights().items())
    assert GPT2.from_pretrained(folder).notes == (
        f"beside GPT-2 its folder holds other tensors, which are not used: {wrapper}classifier.bias, "
        f"{wrapper}multiple_choice_head.summary.bias, {wrapper}score.weight and 1 more",
    )


def test_what_wraps_a_part_of_a_model_is_taken_off(folder: Path) -> None:
    renamed = {name.replace("transformer.h.1.", "transformer.h.1._orig_mod."): name for name in weights()}
    save(folder, {new: weights()[name] for new, name in renamed.items()})
    assert set(check(folder)) == set(weights())
    save(folder, {name.replace("transformer.", "gpt2."): array for name, array in weights().items()})
    assert set(check(folder)) == set(weights())


def test_of_two_models_in_one_file_the_plain_one_is_read(folder: Path) -> None:
    teacher = {f"teacher.{name}": array + 1 for name, array in weights().items()}
    save(folder, weights() | teacher)
    assert all(np.array_equal(check(folder)[name], array) for name, array in weights().items())
    assert set(check_weights(folder, CONFIG)) == set(teacher)
