"""--adapter, in the commands that take it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_support import TEXT, failure, make_model, records

from sg_core.gpt2 import GPT2
from sg_core.network.adapters import new_adapter
from sg_core.network.lora_settings import LoraSettings
from sg_core.storage.peft_file import write_adapter
from sg_tui.cli import main

COMPLETE = ("complete", "The lantern", "--max-tokens", "8", "--temperature", "0")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def adapter(model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One that says other things than the model."""
    folder = tmp_path_factory.mktemp("run") / "adapter"
    settings = LoraSettings.parse("r=2,alpha=4,targets=c_attn,c_proj")
    made = new_adapter(settings, GPT2.from_pretrained(model).config, 0)
    made.arena[:] = np.random.default_rng(0).standard_normal(made.arena.size)
    write_adapter(folder, made, settings, model)
    return str(folder)


def text_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_complete_writes_with_an_adapter_what_the_merged_model_writes(
    model: str, adapter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = text_of(capsys, *COMPLETE, "--model", model)
    adapted = text_of(capsys, *COMPLETE, "--model", model, "--adapter", adapter)
    assert adapted != base
    assert text_of(capsys, *COMPLETE, "--model", model, "--adapter", f"{adapter}:0") == base
    assert text_of(capsys, *COMPLETE, "--model", model, "--adapter", f"{adapter}:2", "--adapter", f"{adapter}:-1") == (
        adapted
    )
    assert text_of(capsys, *COMPLETE, "--model", model, "--adapter", str(Path(adapter).parent)) == adapted

    merged = str(tmp_path / "merged")
    assert main(["models", "merge", model, adapter, merged]) == 0
    assert capsys.readouterr().out == f"{merged}\n"
    assert text_of(capsys, *COMPLETE, "--model", merged) == adapted


def test_merging_takes_a_part_of_an_adapter_and_never_overwrites_a_model(
    model: str, adapter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = str(tmp_path / "half")
    assert main(["models", "merge", model, f"{adapter}:0.5", half]) == 0
    capsys.readouterr()
    whole = GPT2.from_pretrained(model)
    whole.load_adapter(adapter, 0.5)
    beside = whole.logits([1, 2, 3])
    assert np.abs(GPT2.from_pretrained(half).logits([1, 2, 3]) - beside).max() < 1e-3  # logits here reach 100
    assert "is there already" in failure(capsys, 1, "models", "merge", model, adapter, half)
    assert "is there already" in failure(capsys, 1, "models", "merge", model, adapter, model)


def test_score_and_bench_take_adapters(
    model: str, adapter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The lantern burns.", "utf-8")
    plain = records(capsys, "score", str(text), "--model", model)
    adapted = records(capsys, "score", str(text), "--model", model, "--adapter", adapter)
    assert plain[-1]["nats"] != adapted[-1]["nats"]
    (row,) = records(capsys, "bench", "--model", model, "--adapter", adapter, "--tokens", "4")
    (bare,) = records(capsys, "bench", "--model", model, "--tokens", "4")
    assert row["tokens"] == 4
    # the adapter's numbers are read too
    assert row["bound_ms"] > 0 < bare["bound_ms"]


def test_an_adapter_given_as_a_model_says_how_it_is_used(adapter: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = failure(capsys, 1, *COMPLETE, "--model", adapter)
    assert "is an adapter (PEFT), not a whole model; use it with the model it was made for: --model" in told


def test_faults_of_adapters_are_one_line(model: str, adapter: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is no folder" in failure(capsys, 1, *COMPLETE, "--model", model, "--adapter", "nowhere")
    assert main([*COMPLETE, "--model", model, "--adapter", f"{adapter}:nan"]) == 2
    assert "the scale of the adapter" in capsys.readouterr().err
    assert "on this model asks for" in failure(capsys, 1, *COMPLETE, "--adapter", adapter)


def test_a_field_that_is_not_built_here_is_named(
    model: str, adapter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads((Path(adapter) / "adapter_config.json").read_text("utf-8"))
    (tmp_path / "adapter_config.json").write_text(json.dumps({**told, "use_dora": True}), "utf-8")
    assert "use_dora is True" in failure(capsys, 1, *COMPLETE, "--model", model, "--adapter", str(tmp_path))


def test_training_an_adapter_leaves_it_in_the_run_and_resumes(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, run = tmp_path / "text.txt", tmp_path / "run"
    text.write_text(TEXT, "utf-8")
    train = ("train", "--data", str(text), "--batch-size", "2", "--context", "16", "--sample-every", "3")
    new = ("--model", model, "--lora", "r=2,alpha=4,targets=c_attn,mlp.c_proj", "--precision", "int8")
    rows = records(capsys, *train, *new, "--out", str(run), "--steps", "4", "--save-every", "2", "--eval-every", "4")
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4]
    assert rows[-1]["saved"] == str(run / "adapter")
    told = json.loads((run / "adapter" / "adapter_config.json").read_text("utf-8"))
    assert (told["base_model_name_or_path"], told["r"]) == (model, 2)
    assert not (run / "model").exists()

    again = records(capsys, "train", "--resume", str(run), "--steps", "6")
    assert [row["step"] for row in again if "loss" in row] == [5, 6]
    assert text_of(capsys, *COMPLETE, "--model", model, "--adapter", str(run))
    assert f"--model {model} --adapter" in failure(capsys, 1, *COMPLETE, "--model", str(run))


def test_what_makes_no_sense_of_an_adapter_ends_with_two(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "name it, --model M" in failure(capsys, 2, "train", "--lora", "r=8")
    assert "lora: 'rank=8' is not understood" in failure(capsys, 2, "train", "--model", model, "--lora", "rank=8")
    assert "others need lora" in failure(capsys, 2, "train", "--model", model, "--precision", "int8")
    assert "final norm" in failure(capsys, 2, "train", "--model", model, "--lora", "r=8", "--calibrate")
    assert "is called 'q_proj'" in failure(capsys, 2, "train", "--model", model, "--lora", "targets=q_proj")
