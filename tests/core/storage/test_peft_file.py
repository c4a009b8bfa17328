"""PEFT's files: what others wrote is read or refused by name, and what is written is read again bit for bit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_recipe import recipe

from sg_core.config import GPT2Config
from sg_core.errors import ModelFileError, SettingError
from sg_core.network.adapters import new_adapter
from sg_core.network.lora_settings import LoraSettings
from sg_core.paths import runs_dir
from sg_core.storage.peft_file import (
    adapter_folder,
    adapter_runs,
    base_model,
    base_of,
    parse_reference,
    read_adapter,
    write_adapter,
)
from sg_core.storage.safetensors_file import write_file

CONFIG = GPT2Config(vocab_size=61, n_ctx=32, n_layer=2, n_head=3, n_embd=48)
GOLDEN = recipe.GOLDEN_FOLDER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a small adapter that PEFT wrote."""
    shutil.copytree(GOLDEN / "adapter-plain", tmp_path / "adapter")
    return tmp_path / "adapter"


def tell(folder: Path, **fields: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **fields}), "utf-8")


def tensors() -> dict[str, np.ndarray]:
    made = {}
    for layer in range(2):
        stem = f"base_model.model.transformer.h.{layer}.attn.c_attn"
        made[f"{stem}.lora_A.weight"] = np.full((4, 48), 0.5, np.float32)
        made[f"{stem}.lora_B.weight"] = np.full((144, 4), 0.25, np.float32)
    return made


def store(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    write_file(folder / "adapter_model.safetensors", arrays, "F32")


def refusal(folder: Path, config: GPT2Config = CONFIG) -> str:
    with pytest.raises(ModelFileError) as refused:
        read_adapter(folder, config)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# ---------------------------------------------------------------- reading


def test_ranks_and_gains_are_those_of_the_configuration() -> None:
    plain, _ = read_adapter(GOLDEN / "adapter-plain", CONFIG)
    assert plain.ranks.tolist() == [[4, 0, 0, 0]] * 2
    assert plain.gains[:, 0].tolist() == [2.0, 2.0]
    patterns, _ = read_adapter(GOLDEN / "adapter-patterns", CONFIG)
    assert patterns.ranks.tolist() == [[0, 3, 0, 1], [0, 3, 5, 1]]
    assert patterns.gains[1].tolist() == pytest.approx([0, 4 / 3, 6 / 5, 6])
    many, _ = read_adapter(GOLDEN / "adapter-many", CONFIG)
    assert many.gains[0].tolist() == pytest.approx([3 / 2**0.5] * 4)


def test_names_with_the_adapters_own_name_and_without_the_wrapper_are_read(folder: Path) -> None:
    plain, _ = read_adapter(folder, CONFIG)
    renamed = {
        name.replace("transformer.", "").replace(".weight", ".default.weight"): array
        for name, array in tensors().items()
    }
    store(folder, renamed)
    read, _ = read_adapter(folder, CONFIG)
    assert read.ranks.tolist() == plain.ranks.tolist()
    assert read.factors(1, 0)[1].shape == (4, 144)


def test_fan_in_fan_out_is_told_where_it_is_not_gpt2s_way_and_changes_nothing(folder: Path) -> None:
    plain, notes = read_adapter(folder, CONFIG)
    assert notes == ()
    tell(folder, fan_in_fan_out=False)
    other, notes = read_adapter(folder, CONFIG)
    assert np.array_equal(other.arena, plain.arena)
    assert len(notes) == 1
    assert "fan_in_fan_out is false" in notes[0]


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("peft_type", "IA3", "peft_type is 'IA3'; adapters of the kind LORA"),
        ("use_dora", True, "use_dora is True, which is not built here; merge the adapter"),
        ("lora_bias", True, "lora_bias is True"),
        ("bias", "lora_only", "bias is 'lora_only'; adapters without trained biases"),
        ("modules_to_save", ["lm_head"], "modules_to_save is"),
        ("trainable_token_indices", [1, 2], "trainable_token_indices is"),
        ("layer_replication", [[0, 2]], "layer_replication is"),
        ("init_lora_weights", "pissa", "init_lora_weights is 'pissa', which changes the model"),
        ("something_new", {"k": 1}, "something_new is"),
        ("r", 0, "r is 0; a rank is needed"),
        ("r", True, "r is True; a rank is needed"),
        ("lora_alpha", "16", "lora_alpha is 16; a number is needed"),
        ("rank_pattern", ["c_attn"], "rank_pattern is no object of numbers"),
        ("rank_pattern", {"c_(attn|proj)": 3}, "rank_pattern has the pattern 'c_(attn|proj)'; names of modules"),
        ("rank_pattern", {"c_attn": 3}, "lora_A of h.0.attn.c_attn has the shape [4, 48]; rank 3 on this model"),
        ("lora_alpha", 1e300, "lora_alpha is beyond what a float32 holds"),
    ],
)
def test_a_field_that_changes_the_numbers_is_refused_by_name(
    folder: Path, field: str, value: Any, complaint: str
) -> None:
    tell(folder, **{field: value})
    assert complaint in refusal(folder)


def test_an_adapter_of_another_model_is_refused_in_a_line_that_names_it(folder: Path) -> None:
    tell(folder, base_model_name_or_path="openai-community/gpt2")
    wide = GPT2Config(vocab_size=61, n_ctx=32, n_layer=2, n_head=4, n_embd=64)
    told = refusal(folder, wide)
    assert "has the shape [4, 48]; rank 4 on this model asks for [4, 64]" in told
    assert told.endswith("it was made for openai-community/gpt2")
    flat = GPT2Config(vocab_size=61, n_ctx=32, n_layer=1, n_head=3, n_embd=48)
    assert "adapts h.1.attn.c_attn; this model has 1 blocks" in refusal(folder, flat)


def test_tensors_that_are_no_adapter_of_a_projection_are_refused_by_name(folder: Path) -> None:
    store(folder, tensors() | {"base_model.model.transformer.wte.lora_embedding_A": np.zeros((4, 61), np.float32)})
    assert "holds 'base_model.model.transformer.wte.lora_embedding_A'" in refusal(folder)
    store(folder, {name: array for name, array in tensors().items() if "h.1.attn.c_attn.lora_B" not in name})
    assert "holds lora_A of h.1.attn.c_attn without the other factor" in refusal(folder)
    twice = "base_model.model.h.0.attn.c_attn.lora_A.weight"
    store(folder, tensors() | {twice: np.zeros((4, 48), np.float32)})
    assert "twice" in refusal(folder)
    store(folder, {})
    assert "holds no tensor" in refusal(folder)
    broken = tensors()
    broken["base_model.model.transformer.h.0.attn.c_attn.lora_A.weight"][0, 0] = np.nan
    store(folder, broken)
    assert "holds NaN or infinite numbers" in refusal(folder)


def test_weights_of_another_kind_and_missing_files_are_told(folder: Path, tmp_path: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    assert "has no adapter_model.safetensors but adapter_model.bin, a kind of file that can run code" in refusal(folder)
    with pytest.raises(ModelFileError, match="is no folder; a folder with adapter_config"):
        adapter_folder(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError, match="is no adapter"):
        adapter_folder(str(tmp_path / "empty"))
    assert adapter_folder(str(folder)) == folder
    assert adapter_folder(str(folder.parent)) == folder  # a run's folder holds it as "adapter"


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(
    tmp_path_factory: pytest.TempPathFactory, told: bytes, numbers: bytes
) -> None:
    folder = tmp_path_factory.mktemp("adapter")
    (folder / "adapter_config.json").write_bytes(told)
    (folder / "adapter_model.safetensors").write_bytes(numbers)
    refusal(folder)


def test_the_model_of_an_adapter_is_told_and_nothing_else_has_one(folder: Path, tmp_path: Path) -> None:
    assert base_of(str(folder)) is None
    tell(folder, base_model_name_or_path="some/model")
    assert base_of(str(folder)) == "some/model"
    assert base_of("tinyshakespeare") is None
    (folder / "adapter_config.json").write_text("[", "utf-8")
    assert base_of(str(folder)) is None


def test_runs_with_an_adapter_are_found_newest_first(folder: Path, home: Path) -> None:
    for name in ("2026-01-02-b", "2026-01-01-a", "2026-01-03-none"):
        (runs_dir() / name).mkdir(parents=True)
    for name in ("2026-01-01-a", "2026-01-02-b"):
        shutil.copytree(folder, runs_dir() / name / "adapter")
    assert [run.name for run in adapter_runs()] == ["2026-01-02-b", "2026-01-01-a"]
    assert adapter_folder("2026-01-01-a") == runs_dir() / "2026-01-01-a" / "adapter"


# ---------------------------------------------------------------- writing


def test_what_is_written_is_read_again_bit_for_bit(tmp_path: Path) -> None:
    settings = LoraSettings.parse("r=3,alpha=7,targets=c_proj,h.1.attn.c_attn,rslora=true,dropout=0.1")
    made = new_adapter(settings, CONFIG, 5)
    made.arena[:] = np.random.default_rng(1).standard_normal(made.arena.size)
    write_adapter(tmp_path, made, settings, "a model")
    read, notes = read_adapter(tmp_path, CONFIG)
    assert np.array_equal(read.arena, made.arena)
    assert np.array_equal(read.ranks, made.ranks)
    assert np.array_equal(read.gains, made.gains)
    assert notes == ()
    assert base_model(tmp_path) == "a model"
    told = json.loads((tmp_path / "adapter_config.json").read_text("utf-8"))
    assert told["fan_in_fan_out"] is True
    assert told["target_modules"] == ["c_proj", "h.1.attn.c_attn"]


# ---------------------------------------------------------------- references


def test_a_reference_is_a_folder_with_or_without_a_scale(tmp_path: Path) -> None:
    assert parse_reference("runs/x:0.5") == ("runs/x", 0.5)
    assert parse_reference("runs/x") == ("runs/x", 1.0)
    assert parse_reference("C:\\adapters\\x") == ("C:\\adapters\\x", 1.0)
    assert parse_reference("x:-1") == ("x", -1.0)
    (tmp_path / "a:2").mkdir()
    assert parse_reference(str(tmp_path / "a:2")) == (str(tmp_path / "a:2"), 1.0)
    for wrong in ("x:nan", "x:inf", ""):
        with pytest.raises(SettingError, match=r"scale of the adapter x|the adapter is empty"):
            parse_reference(wrong)
