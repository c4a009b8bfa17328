"""Model folders in Hugging Face layout: what is written is read again, what can't be used is refused by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from whole_weights import whole_weights

from sg_core import memory
from sg_core.config import GPT2Config
from sg_core.errors import ModelFileError, SettingError
from sg_core.gpt2 import GPT2
from sg_core.storage.pretrained import check_weights, read_config, read_weights, tensor_shapes, write_model
from sg_core.text.tokenizer import Tokenizer
from sg_core.text.vocabulary import learn_vocabulary

CONFIG = GPT2Config(vocab_size=97, n_ctx=16, n_layer=2, n_head=2, n_embd=8)
Arrays = dict[str, np.ndarray[Any, Any]]


def weights(seed: int = 0) -> Arrays:
    draw = np.random.default_rng(seed)
    return {name: draw.standard_normal(shape).astype(np.float32) for name, shape in tensor_shapes(CONFIG).items()}


def save(folder: Path, arrays: Arrays, name: str = "model.safetensors") -> None:
    safetensors.numpy.save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, folder / name)


def configure(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole small model."""
    write_model(tmp_path / "model", CONFIG, weights(), None)
    return tmp_path / "model"


def check(folder: Path) -> Arrays:
    return whole_weights(folder, read_config(folder))


def test_what_is_written_is_read_again(folder: Path) -> None:
    assert read_config(folder) == CONFIG
    loaded = check(folder)
    assert loaded.keys() == weights().keys()
    for name, array in weights().items():
        assert loaded[name].dtype == np.float32
        np.testing.assert_array_equal(loaded[name], array)


def test_names_and_shapes_are_those_of_hugging_face() -> None:
    shapes = tensor_shapes(GPT2Config.gpt2())
    assert len(shapes) == 148
    assert shapes["transformer.wte.weight"] == (50257, 768)
    assert shapes["transformer.wpe.weight"] == (1024, 768)
    assert shapes["transformer.h.11.attn.c_attn.weight"] == (768, 2304)
    assert shapes["transformer.h.0.mlp.c_fc.weight"] == (768, 3072)
    assert shapes["transformer.h.0.mlp.c_proj.weight"] == (3072, 768)
    assert shapes["transformer.ln_f.bias"] == (768,)


@pytest.mark.parametrize(("dtype", "name"), [("F16", "float16"), ("BF16", "bfloat16")])
def test_a_16_bit_folder_is_half_as_large_and_says_so(tmp_path: Path, dtype: str, name: str) -> None:
    write_model(tmp_path, CONFIG, weights(), None, dtype)
    assert json.loads((tmp_path / "config.json").read_text())["torch_dtype"] == name
    for key, array in check(tmp_path).items():
        np.testing.assert_allclose(array, weights()[key], rtol=2.0**-8, atol=1e-7)  # BF16 keeps 8 bits


def test_the_tokenizer_is_written_beside_the_weights(tmp_path: Path) -> None:
    tokenizer = learn_vocabulary("to be or not to be " * 9, 264)
    config = GPT2Config(vocab_size=264, n_ctx=16, n_layer=1, n_head=1, n_embd=4)
    arrays = {name: np.zeros(shape, np.float32) for name, shape in tensor_shapes(config).items()}
    write_model(tmp_path, config, arrays, tokenizer)
    assert Tokenizer.from_folder(tmp_path).encode("to be") == tokenizer.encode("to be")
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["eos_token_id"] == tokenizer.end_of_text
    assert content["architectures"] == ["GPT2LMHeadModel"]


def test_parameters_that_do_not_fit_are_not_written(tmp_path: Path) -> None:
    arrays = weights()
    arrays["transformer.ln_f.bias"] = arrays["transformer.ln_f.bias"][:-1]
    with pytest.raises(SettingError, match=r"parameters lack transformer.ln_f.bias of shape \[8\]"):
        write_model(tmp_path / "new", CONFIG, arrays, None)
    with pytest.raises(SettingError, match="dtype is 'F8'"):
        write_model(tmp_path / "new", CONFIG, weights(), None, "F8")
    assert not (tmp_path / "new").exists()


def test_other_sources_name_and_store_tensors_differently(folder: Path) -> None:
    arrays = {name.removeprefix("transformer."): array for name, array in weights().items()}
    arrays["ln_f.bias"] = arrays["ln_f.bias"].astype(np.float64)
    arrays["h.0.attn.bias"] = np.tril(np.ones((1, 1, 16, 16), bool))
    arrays["h.1.attn.bias"] = np.tril(np.ones((1, 1, 16, 16), np.uint8))
    arrays["h.1.attn.masked_bias"] = np.array(-1e4, np.float32)
    arrays["h.1.crossattention.masked_bias"] = np.array(-1e4, np.float32)
    arrays["lm_head.weight"] = arrays["wte.weight"]
    save(folder, arrays)
    loaded = check(folder)
    for name, array in weights().items():
        np.testing.assert_array_equal(loaded[name], array)


def test_a_tied_embedding_may_be_stored_as_the_head_alone(folder: Path) -> None:
    arrays = weights()
    arrays["lm_head.weight"] = arrays.pop("transformer.wte.weight")
    save(folder, arrays)
    np.testing.assert_array_equal(check(folder)["transformer.wte.weight"], weights()["transformer.wte.weight"])


def test_two_heads_that_should_be_one_are_refused(folder: Path) -> None:
    save(folder, weights() | {"lm_head.weight": weights(1)["transformer.wte.weight"]})
    with pytest.raises(ModelFileError, match=r"lm_head.weight differs from wte.weight, though config.json says"):
        check(folder)


def test_an_untied_head_is_a_tensor_of_its_own(folder: Path) -> None:
    head = weights(1)["transformer.wte.weight"]
    save(folder, weights() | {"lm_head.weight": head})
    configure(folder, tie_word_embeddings=False)
    loaded = check(folder)
    np.testing.assert_array_equal(loaded["lm_head.weight"], head)
    save(folder, weights())
    with pytest.raises(ModelFileError, match=r"describes: 1 missing \(lm_head.weight\)$"):
        check(folder)


def test_a_tied_head_may_be_listed_in_the_index_alone(folder: Path) -> None:
    weight_map = dict.fromkeys([*weights(), "lm_head.weight"], "model.safetensors")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = {"weight_map": dict.fromkeys(weight_map, "model-00001-of-00001.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert set(check(folder)) == set(weights())


@pytest.mark.parametrize(
    "changes",
    [
        {"activation_function": "gelu", "n_inner": 20},
        {"activation_function": "relu", "scale_attn_weights": False},
        {"activation_function": "quick_gelu", "scale_attn_by_inverse_layer_idx": True, "tie_word_embeddings": False},
    ],
)
def test_a_variant_comes_back_as_it_was_saved(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = GPT2.random(replace(CONFIG, **changes), seed=3)
    model.save_pretrained(tmp_path)
    again = GPT2.from_pretrained(tmp_path)
    assert again.config == model.config
    assert again.notes == ()
    assert np.array_equal(again.logits([1, 2, 3]), model.logits([1, 2, 3]))
    small = GPT2.from_pretrained(tmp_path, "int8")
    assert np.array_equal(small.logits([1, 2, 3]), model.logits([1, 2, 3], precision="int8"))


def without(*names: str) -> Arrays:
    return {name: array for name, array in weights().items() if not name.endswith(names)}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (without("ln_f.bias"), r"describes: 1 missing \(transformer.ln_f.bias\)$"),
        (without("bias"), r"describes: 13 missing \(transformer.h.0.ln_1.bias, (transformer.[\w.]+, ){4}\.\.\.\)$"),
        (weights() | {"h.0.rope": np.zeros(3)}, r"describes: 1 unexpected \(h.0.rope\)$"),
        (weights() | {"lm_head.bias": np.zeros(3)}, r"describes: 1 unexpected \(lm_head.bias\)$"),
        (
            without("ln_f.bias") | {"h.2.x": np.zeros(1)},
            r"1 missing \(transformer.ln_f.bias\); 1 unexpected \(h.2.x\)$",
        ),
        (weights() | {"h.0\x1b[31m\u202e": np.zeros(1)}, r"1 unexpected \(h.0\\x1b\[31m\\u202e\)$"),
        (weights() | {"ln_f.bias": np.zeros(8)}, r"has 'ln_f.bias' twice, under several names"),
        (
            weights() | {"transformer.h.0.attn.c_attn.weight": np.zeros((24, 8), np.float32)},
            r"c_attn.weight' has the shape \[24, 8\]; config.json asks for \[8, 24\]",
        ),
        (
            weights() | {"transformer.ln_f.bias": np.zeros(8, np.int32)},
            r"ln_f.bias' has the dtype I32; F32, F16, BF16, F64 can be read",
        ),
    ],
    ids=["one", "many", "unexpected", "head", "both", "inert", "twice", "shape", "dtype"],
)
def test_weights_that_are_not_the_config_s_are_refused(folder: Path, arrays: Arrays, message: str) -> None:
    save(folder, arrays)
    with pytest.raises(ModelFileError, match=message):
        next(read_weights(folder, CONFIG))
    with pytest.raises(ModelFileError, match=message):
        check_weights(folder, CONFIG)


def shard(folder: Path, weight_map: dict[str, str] | None = None) -> None:
    arrays = weights()
    names = list(arrays)
    parts = {"model-00001-of-00002.safetensors": names[:9], "model-00002-of-00002.safetensors": names[9:]}
    for file, part in parts.items():
        save(folder, {name: arrays[name] for name in part}, file)
    (folder / "model.safetensors").unlink()
    full = {name: file for file, part in parts.items() for name in part}
    index = {"metadata": {}, "weight_map": full if weight_map is None else weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_shards_are_read_as_one(folder: Path) -> None:
    shard(folder)
    for name, array in check(folder).items():
        np.testing.assert_array_equal(array, weights()[name])


@pytest.mark.parametrize(
    "name",
    ["../model.safetensors", "/etc/passwd", "sub/model.safetensors", "..", "", "model.bin", 3, "a\nb.safetensors"],
)
def test_a_shard_outside_the_folder_is_refused(folder: Path, name: Any) -> None:
    shard(folder, {"transformer.wte.weight": name})
    with pytest.raises(ModelFileError, match=r"places .* in .*; a .safetensors file of the same folder is needed"):
        check(folder)


def test_broken_shards_are_named(folder: Path) -> None:
    shard(folder, {"transformer.wte.weight": "model-00003-of-00003.safetensors"})
    with pytest.raises(ModelFileError, match=r"lacks the shard model-00003-of-00003.safetensors"):
        check(folder)
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ModelFileError, match="has no weight_map"):
        check(folder)
    write_model(folder, CONFIG, weights(), None)
    shard(folder)
    save(folder, {"transformer.ln_f.bias": np.zeros(8, np.float32)}, "model-00002-of-00002.safetensors")
    with pytest.raises(ModelFileError, match=r"00002.safetensors lacks .*'transformer\.[\w.]+', which"):
        check(folder)
    save(folder, weights(), "model-00002-of-00002.safetensors")
    with pytest.raises(ModelFileError, match=r"00002.safetensors: tensor '[\w.]+' is in another shard too"):
        check(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.ckpt", "weights.npz", "tf_model.h5"])
def test_files_that_can_run_code_are_never_opened(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(ModelFileError, match=rf"{name}, .*a kind of file that can run code.*save_pretrained"):
        check(folder)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("make", [Path.mkdir, fifo, loop, device])
def test_what_is_not_a_file_is_refused_at_once(folder: Path, name: str, make: Callable[[Path], None]) -> None:
    (folder / name).unlink()
    make(folder / name)
    with pytest.raises(ModelFileError, match=r"is a folder; a file|not a regular file|too many levels of symbolic"):
        check(folder)


def test_a_missing_file_or_folder_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelFileError, match=r"has no model.safetensors; copy it there"):
        check(folder)
    with pytest.raises(ModelFileError, match=r"config.json can't be read: no such file"):
        check(folder / "nowhere")


def test_aliases_and_defaults_of_config_json_are_transformers(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    assert read_config(folder) == GPT2Config.gpt2()
    aliases = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3, "max_position_embeddings": 32}
    configure(folder, **aliases, vocab_size=300, n_inner=256, layer_norm_epsilon=1e-6)
    assert read_config(folder) == GPT2Config(300, 32, 3, 4, 64, 1e-6)
    configure(folder, activation_function="gelu_fast", scale_attn_weights=True, reorder_and_upcast_attn=True)
    assert read_config(folder).activation_function == "gelu_new"  # the same function
    before_2020 = {"n_embd": 64, "n_head": 4, "n_layer": 3, "n_ctx": 32, "vocab_size": 300}  # without model_type
    (folder / "config.json").write_text(json.dumps(before_2020))
    assert read_config(folder) == GPT2Config(300, 32, 3, 4, 64)
    (folder / "config.json").write_text('{"hidden_size": 64}')
    with pytest.raises(ModelFileError, match="neither model_type nor GPT-2's sizes"):
        read_config(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "llama"}, "describes a model of the type 'llama'; only gpt2 can be used"),
        ({"architectures": [["GPT2LMHeadModel"]]}, "which is not a plain GPT-2"),
        ({"n_layer": "1" * 10_000}, "n_layer is '1111"),
        ({"layer_norm_epsilon": "small"}, "layer_norm_epsilon is 'small'; it must lie between 0 and 1"),
        ({"architectures": ["GPT2LMHeadCustomModel"]}, "names 'GPT2LMHeadCustomModel', which is not a plain GPT-2"),
        ({"activation_function": "silu"}, "activation_function is 'silu'; supported are gelu_new, gelu_fast, "),
        ({"activation_function": ["relu"]}, "activation_function is "),
        ({"scale_attn_weights": "no"}, "scale_attn_weights is no; it must be true or false"),
        ({"add_cross_attention": True}, "add_cross_attention is True; only false is supported"),
        ({"add_cross_attention": 0}, "add_cross_attention is 0; only false is supported"),
        ({"attention_head_type": "multiquery"}, 'attention_head_type is multiquery; only "multihead" is supported'),
        ({"quantization_config": {"bits": 4}}, r"quantization_config is \{'bits': 4\}; only a model without it is"),
        ({"auto_map": {"AutoModel": "x.Y"}}, "auto_map is .*; only a model without it is supported"),
        ({"n_inner": 0}, "n_inner is 0; it must be a whole number from 1"),
        ({"n_embd": 9}, "n_embd is 9, which n_head = 2 does not divide"),
        ({"n_layer": 0}, "n_layer is 0; it must be a whole number from 1"),
        ({"n_layer": 10**30}, "n_layer is 1000000000000000000000000000000; it must be"),
        ({"vocab_size": "97"}, "vocab_size is '97'; it must be"),
        ({"vocab_size": 97.0}, "vocab_size is 97.0; it must be"),
        ({"n_head": True}, "n_head is True; it must be"),
        ({"layer_norm_epsilon": "x"}, "config.json: "),
        ({"layer_norm_epsilon": 2}, "layer_norm_epsilon is 2; it must lie between 0 and 1"),
    ],
)
def test_a_config_that_asks_for_something_else_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    configure(folder, **changes)
    with pytest.raises(ModelFileError, match=message) as caught:
        read_config(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[]", "holds a JSON list"),
        ("{" * 99999, "not valid JSON"),
        ("x" * 2_000_000, "has 2,000,000 bytes"),
    ],
)
def test_a_broken_config_json_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelFileError, match=message):
        read_config(folder)


def test_a_model_beyond_the_memory_is_refused_before_anything_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(folder, vocab_size=1 << 24, n_embd=1 << 16, n_head=1 << 9, n_inner=None)
    with pytest.raises(ModelFileError, match=r"the model of .*config.json needs [\d,.]+ GB of memory, of which"):
        read_config(folder)
    monkeypatch.setattr(memory, "available_memory", lambda: 4 * CONFIG.parameter_count - 1)
    write_model(folder, CONFIG, weights(), None)
    with pytest.raises(ModelFileError, match=r"needs 0.0 GB of memory, of which 0.0 GB are free"):
        read_config(folder)
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    assert read_config(folder) == CONFIG


def test_this_machine_tells_its_memory() -> None:
    available = memory.available_memory()
    assert available is None or 1 << 20 < available < 1 << 50


def test_a_tokenizer_that_does_not_belong_to_the_weights_is_a_fault_of_the_folder(folder: Path) -> None:
    learn_vocabulary("to be or not to be, that is the question. " * 50, 290).save(folder)
    with pytest.raises(ModelFileError, match=rf"{folder}.*: the tokenizer has \d+ tokens"):
        GPT2.from_pretrained(folder)


def test_a_model_without_tokenizer_files_loads_for_ids_and_says_so_for_texts(folder: Path) -> None:
    model = GPT2.from_pretrained(folder)
    assert model.tokenizer is None
    with pytest.raises(ModelFileError, match=r"has no tokenizer files, so it can't read or write a text; copy"):
        model.require_tokenizer()
