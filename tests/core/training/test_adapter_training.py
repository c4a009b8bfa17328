"""Training an adapter: what is frozen stays and takes no memory, a resumed run has the same bits, as PEFT's files."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig
from sg_core.errors import CheckpointError, ModelFileError, SettingError
from sg_core.network.adapters import Adapter
from sg_core.storage.hub import resolve
from sg_core.training.export import export_adapter
from sg_core.training.memory_plan import plan_memory

CONFIG = GPT2Config(vocab_size=40, n_ctx=16, n_layer=2, n_head=2, n_embd=32)
LORA = "r=4,alpha=8,dropout=0.1,targets=c_attn,c_proj"
SETTINGS = TrainingConfig(
    steps=8, batch_size=4, context=16, learning_rate=2e-2, warmup_steps=2, evaluate_every=0, seed=3, lora=LORA
)
NUMBERS = 2 * 4 * ((32 + 96) + (32 + 32) + (128 + 32))  # blocks x rank x (in + out of c_attn, and of both c_proj)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a random model."""
    folder = tmp_path_factory.mktemp("base")
    GPT2.random(CONFIG, seed=0).save_pretrained(folder)
    return str(folder)


def dataset() -> TextDataset:
    ids = np.array([(7 * i * i + i) % 40 for i in range(600)], np.int32)
    return TextDataset("numbers", ids, ids[:133], 1200, 266)


def trainer(base: str, **changes: Any) -> Trainer:
    settings = replace(SETTINGS, **changes)
    return Trainer(GPT2.from_pretrained(base, settings.precision), dataset(), settings, 1)


def learned(run: Trainer) -> Adapter:
    adapter = run.validated_parameters
    assert isinstance(adapter, Adapter)
    return adapter


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_an_adapter_learns_and_nothing_else_changes(base: str, precision: str) -> None:
    run = trainer(base, precision=precision)
    weights = run.model.weights(precision)
    kept = run.model.parameters.arena.copy(), np.array(weights.words)
    before = run.evaluate().val_loss
    for _ in range(8):
        assert np.isfinite(run.step().loss)
    assert run.evaluate().val_loss < before - 0.05
    assert np.array_equal(run.model.parameters.arena, kept[0])
    assert np.array_equal(run.model.weights(precision).words, kept[1])


def test_frozen_weights_have_no_gradients_and_no_moments(base: str) -> None:
    run = trainer(base)
    learning = [run._gradients.total.arena, run._optimizer.first, run._optimizer.second, learned(run).arena]
    assert [one.size for one in learning] == [NUMBERS] * 4


def test_the_plan_counts_what_learns_and_the_base_as_it_is_stored() -> None:
    sizes = {name: plan_memory(CONFIG, replace(SETTINGS, precision=name)).parameters for name in ("f32", "int8")}
    assert sizes["f32"] == 4 * CONFIG.parameter_count + 4 * 4 * NUMBERS
    assert sizes["int8"] < sizes["f32"]
    # the figure of the largest GPT-2, rank 8 on c_attn, one window of 128: far from the 25 GB of all its weights
    xl = TrainingConfig(batch_size=1, context=128, lora="r=8,alpha=16,targets=c_attn", precision="int8")
    assert plan_memory(GPT2Config.gpt2_xl(), xl).total < 3.5e9


@pytest.mark.parametrize(
    "changes", [{}, {"precision": "int8", "average": "ema", "average_half_life": 3}], ids=["f32", "int8 averaged"]
)
def test_a_resumed_run_has_the_bits_of_the_uninterrupted_one(
    base: str, tmp_path: Path, changes: dict[str, Any]
) -> None:
    whole, first = trainer(base, **changes), trainer(base, **changes)
    losses = [whole.step().loss for _ in range(8)]
    for _ in range(3):
        first.step()
    first.save(tmp_path)
    resumed = Trainer.resume(tmp_path, threads=2)
    assert resumed.step_count == 3
    assert [resumed.step().loss for _ in range(5)] == losses[3:]
    assert np.array_equal(learned(resumed).arena, learned(whole).arena)
    assert resumed.evaluate() == whole.evaluate()
    assert resumed.model.precision == changes.get("precision", "f32")


def test_a_checkpoint_holds_the_adapter_and_not_the_base(base: str, tmp_path: Path) -> None:
    run = trainer(base)
    run.step()
    saved = run.save(tmp_path)
    names = {path.stem: path.stat().st_size for path in (saved / "arrays").iterdir()}
    assert set(names) == {"adapter", "first_moment", "second_moment", "train_ids", "validation_ids"}
    assert names["adapter"] < 4 * NUMBERS + 200  # the header of a .npy file
    with pytest.raises(CheckpointError, match="is of an adapter; its run's is used with --adapter"):
        GPT2.from_pretrained(saved)


def test_a_base_that_is_gone_or_another_one_is_told_in_a_line(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    GPT2.random(CONFIG, seed=0).save_pretrained(folder)
    run = trainer(str(folder))
    run.step()
    run.save(tmp_path / "run")
    GPT2.random(CONFIG, seed=1).save_pretrained(folder)
    with pytest.raises(CheckpointError, match="whose weights are others than when it began"):
        Trainer.resume(tmp_path / "run")
    GPT2.random(replace_layers(CONFIG, 3), seed=1).save_pretrained(folder)
    with pytest.raises(CheckpointError, match="has other sizes than when it began"):
        Trainer.resume(tmp_path / "run")
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"trains an adapter of .*, which can't be loaded: "):
        Trainer.resume(tmp_path / "run")


def replace_layers(config: GPT2Config, layers: int) -> GPT2Config:
    return dataclasses.replace(config, n_layer=layers)


@pytest.mark.parametrize("average", ["none", "ema"])
def test_the_exported_adapter_does_what_was_validated(base: str, tmp_path: Path, average: str) -> None:
    run = trainer(base, average=average, average_half_life=3)
    for _ in range(4):
        run.step()
    folder, step = export_adapter(run, tmp_path)
    assert (folder, step) == (tmp_path / "adapter", 4)
    model = GPT2.from_pretrained(base)
    model.load_adapter(tmp_path)  # the run's folder means its adapter
    ((read, scale),) = model.adapters.stack
    assert scale == 1.0
    assert np.array_equal(read.arena, learned(run).arena)
    if average == "none":
        assert np.array_equal(model.logits([1, 2, 3]), run.model.logits([1, 2, 3]))
    with pytest.raises(ModelFileError, match=r"trained an adapter, which is used with its model: --model .* --adapter"):
        resolve(str(tmp_path_with_request(tmp_path)))


def tmp_path_with_request(folder: Path) -> Path:
    (folder / "run.json").write_text("{}", "utf-8")
    return folder


def test_the_best_checkpoint_is_exported(base: str, tmp_path: Path) -> None:
    run = trainer(base, export="best")
    run.step()
    best = learned(run).arena.copy()
    run.best_step = 1
    run.save(tmp_path)
    run.step()
    folder, step = export_adapter(run, tmp_path)
    model = GPT2.from_pretrained(base)
    model.load_adapter(folder)
    assert step == 1
    assert np.array_equal(model.adapters.stack[0][0].arena, best)


def test_samples_of_a_run_are_written_with_the_adapter_as_it_is(base: str) -> None:
    run = trainer(base, learning_rate=0.5)
    session = run.model.session()
    before = [token.logprob for token in session.generate([1, 2], 4)]
    for _ in range(4):
        run.step()
    after = [token.logprob for token in session.generate([1, 2], 4)]
    assert after != before
    assert after == [token.logprob for token in run.model.session().generate([1, 2], 4)]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"lora": "r=none"}, "lora: r is none"),
        ({"optimizer": "muon"}, "optimizer is muon; an adapter is trained with adamw"),
        ({"lora": "", "precision": "int8"}, "precision is int8; weights that learn are f32"),
        ({"precision": "int4"}, "precision is 'int4'; it must be one of: f32, bf16, int8"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingError, match=complaint):
        replace(SETTINGS, **changes)


def test_a_model_with_adapters_is_not_trained_over_them(base: str) -> None:
    run = trainer(base)
    with pytest.raises(SettingError, match="has adapters, which would be lost"):
        Trainer(run.model, dataset(), SETTINGS, 1)
