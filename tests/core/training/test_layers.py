"""What is told of each block while it learns, beside the same figures in plain NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig
from sg_core.training.layers import dead_units
from sg_core.training.order import batch
from sg_core.training.results import LayerFigures
from sg_core.types import FloatArray

CONFIG = GPT2Config(vocab_size=40, n_ctx=16, n_layer=2, n_head=2, n_embd=32)
SETTINGS = TrainingConfig(
    steps=60, batch_size=4, context=16, learning_rate=5e-3, warmup_steps=0, dropout=0.0, evaluate_every=0
)
MATRICES = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")


def dataset() -> TextDataset:
    ids = np.array([(7 * i * i + i) % 40 for i in range(600)], np.int32)
    return TextDataset("numbers", ids, ids[:133], 1200, 266)


def trainer(settings: TrainingConfig = SETTINGS) -> Trainer:
    return Trainer(GPT2.random(CONFIG, seed=0), dataset(), settings, 1)


def matrices(found: Mapping[str, FloatArray], layer: int) -> FloatArray:
    return np.concatenate([found[f"transformer.h.{layer}.{name}.weight"].reshape(-1) for name in MATRICES])


def look(run: Trainer) -> LayerFigures:
    """What a step that is looked at tells."""
    run.watch.every = 1
    run.step()
    assert run.watch.figures is not None
    return run.watch.figures


def test_the_figures_are_those_of_the_matrices_of_the_block() -> None:
    run = trainer()
    for step in range(1, 5):
        weights = {name: array.copy() for name, array in run.model.parameters.items()}
        inputs, targets = batch(run.dataset, run.step_count, run.config)
        _, gradients = run.model.loss_and_gradients(inputs, targets)
        layer = (step - 1) % 2
        figures = look(run)
        assert (figures.step, figures.layer) == (step, layer)
        before, now = matrices(weights, layer), matrices(run.model.parameters, layer)
        # sums of float32 in another order
        assert figures.grad_norm == pytest.approx(np.linalg.norm(matrices(gradients, layer)), rel=1e-4)
        assert figures.update_ratio == pytest.approx(np.linalg.norm(now - before) / np.linalg.norm(before), rel=1e-4)


def test_of_an_adapter_the_figures_are_those_of_its_factors(tmp_path: Path) -> None:
    GPT2.random(CONFIG, seed=0).save_pretrained(tmp_path)
    settings = replace(SETTINGS, lora="r=4,alpha=8,targets=c_attn,mlp.c_proj")
    run = Trainer(GPT2.from_pretrained(str(tmp_path)), dataset(), settings, 1)
    numbers = run.validated_parameters.arena
    parts = np.split(np.arange(numbers.size), 2)  # both blocks have the same factors
    for layer, part in enumerate(parts):
        before = numbers[part]
        figures = look(run)
        assert figures.layer == layer
        moved = np.linalg.norm(numbers[part] - before) / np.linalg.norm(before)
        assert figures.update_ratio == pytest.approx(moved, rel=1e-4)


def test_looking_comes_every_so_many_steps_takes_turns_and_changes_no_bit() -> None:
    run, other = trainer(), trainer()
    run.watch.every = 3
    seen: list[LayerFigures] = []
    for _ in range(13):
        assert run.step().loss == other.step().loss
        seen += [run.watch.figures] if run.watch.figures is not None else []
    assert [(one.step, one.layer) for one in seen] == [(3, 0), (6, 1), (9, 0), (12, 1)]
    assert run.model.parameters.arena.tobytes() == other.model.parameters.arena.tobytes()


def test_dead_units_are_those_that_no_token_wakes() -> None:
    highest = np.array([-4.0, 1.0, -2.9, -3.1], np.float32)
    assert dead_units(highest, "gelu_new") == 0.5
    assert dead_units(highest, "relu") == 0.75

    run = trainer(replace(SETTINGS, learning_rate=0.0))
    run.model.parameters["h.0.mlp.c_fc.bias"][:96] = -50.0
    figures = look(run)
    assert figures.dead == 0.75
    assert figures.update_ratio == 0.0


def test_where_activations_are_not_kept_no_share_of_dead_units_is_told() -> None:
    figures = look(trainer(replace(SETTINGS, recompute="on")))
    assert np.isnan(figures.dead)
    assert figures.grad_norm > 0
