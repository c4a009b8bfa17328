"""The model as users hold it: names, views, shapes, refusals, and folders that come back equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, Optimizations
from sg_core.errors import SettingError

CONFIG = GPT2Config(vocab_size=60, n_ctx=16, n_layer=2, n_head=2, n_embd=24)


def test_presets_have_the_published_sizes() -> None:
    sizes = [GPT2Config.gpt2(), GPT2Config.gpt2_medium(), GPT2Config.gpt2_large(), GPT2Config.gpt2_xl()]
    assert [size.parameter_count for size in sizes] == [124_439_808, 354_823_168, 774_030_080, 1_557_611_200]


def test_parameters_have_hugging_face_names_and_shapes_and_are_views() -> None:
    model = GPT2.random(CONFIG)
    parameters = model.parameters
    assert sum(array.size for array in parameters.values()) == CONFIG.parameter_count == parameters.arena.size
    assert parameters["transformer.h.1.mlp.c_fc.weight"].shape == (24, 96)
    assert parameters["h.1.attn.c_attn.weight"].shape == (24, 72)  # the prefix may be left out
    assert "wte.weight" in parameters
    assert "nothing" not in parameters
    before = model.logits([1, 2])
    parameters["h.0.mlp.c_proj.bias"][...] += 1.0
    assert not np.array_equal(model.logits([1, 2]), before)


def test_a_seed_decides_the_weights() -> None:
    assert np.array_equal(GPT2.random(CONFIG, 3).parameters.arena, GPT2.random(CONFIG, 3).parameters.arena)
    assert not np.array_equal(GPT2.random(CONFIG, 3).parameters.arena, GPT2.random(CONFIG, 4).parameters.arena)
    weights = GPT2.random(GPT2Config(n_layer=2), 0).parameters
    assert weights["wte.weight"].std() == pytest.approx(0.02, rel=0.01)
    assert weights["h.0.mlp.c_proj.weight"].std() == pytest.approx(0.01, rel=0.01)  # 0.02 / sqrt(2 * 2)
    assert (weights["ln_f.weight"] == 1).all()


def test_a_saved_folder_comes_back_equal_without_a_tokenizer(tmp_path: Path) -> None:
    model = GPT2.random(CONFIG)
    model.save_pretrained(tmp_path / "m")
    again = GPT2.from_pretrained(tmp_path / "m")
    assert again.tokenizer is None
    assert np.array_equal(again.parameters.arena, model.parameters.arena)
    with pytest.raises(SettingError, match="tokenizer"):
        again.session().generate("text")


@pytest.mark.parametrize(("ids", "words"), [([], "0 ids"), ([0] * 17, "17 ids"), ([60], "60"), ([-1], "-1")])
def test_logits_refuse_what_has_no_meaning(ids: list[int], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        GPT2.random(CONFIG).logits(ids)


def test_gradients_refuse_other_shapes() -> None:
    model = GPT2.random(CONFIG)
    for inputs, targets in (([1, 2], [1, 2]), ([[1, 2]], [[1]]), ([[1] * 17], [[1] * 17]), ([[]], [[]])):
        with pytest.raises(SettingError):
            model.loss_and_gradients(inputs, targets)


@pytest.mark.parametrize(
    "sizes", [{"n_embd": 10, "n_head": 3}, {"vocab_size": 0}, {"n_layer": 10**9}, {"n_ctx": True}, {"n_head": 1.5}]
)
def test_sizes_out_of_range_are_refused_by_name(sizes: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(sizes))):
        GPT2Config(**sizes)


def test_optimizations_are_switched_by_name() -> None:
    assert Optimizations.names()[0] == "kv_cache"
    assert len(Optimizations.names()) == 9
    assert not any(getattr(Optimizations.none(), name) for name in Optimizations.names())
    assert Optimizations().without("gelu").toggled("gelu") == Optimizations()
    with pytest.raises(SettingError, match="turbo"):
        Optimizations().without("turbo")
