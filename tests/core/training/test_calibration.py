"""Calibration: the scale of the final norm that suits text the model has not read."""

from __future__ import annotations

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig
from sg_core.training.calibration import calibrate, final_norm_scaled


@pytest.fixture
def trainer() -> Trainer:
    """A model that knows what is likely, but is far too sure of it."""
    config = GPT2Config(vocab_size=40, n_ctx=16, n_layer=1, n_head=2, n_embd=32)
    ids = np.random.default_rng(0).choice(40, 4000, p=np.arange(1, 41) / 820).astype(np.int32)
    settings = TrainingConfig(steps=60, batch_size=8, context=16, learning_rate=5e-3, warmup_steps=5, dropout=0.0)
    run = Trainer(GPT2.random(config), TextDataset("numbers", ids[:3000], ids[3000:], 6000, 2000), settings, 1)
    while not run.finished:
        run.step()
    for kind in ("weight", "bias"):
        run.model.parameters[f"ln_f.{kind}"][...] *= 1.6
    return run


def test_the_best_scale_is_found_and_nothing_else_changes(trainer: Trainer) -> None:
    weights = trainer.model.parameters.arena.copy()
    best = trainer.best_val_loss
    found = calibrate(trainer)
    assert found is not None
    assert np.array_equal(trainer.model.parameters.arena, weights)
    assert trainer.best_val_loss == best  # what was tried is not what the run achieved
    assert found.before == pytest.approx(trainer.evaluate().val_loss_per_char, rel=1e-12)

    losses = {}
    for scale in (found.scale - 0.03, found.scale, found.scale + 0.03):
        with final_norm_scaled(trainer.model.parameters, scale):
            losses[scale] = trainer.evaluate().val_loss_per_char
    assert min(losses, key=lambda scale: losses[scale]) == found.scale
    assert losses[found.scale] == pytest.approx(found.after, rel=1e-12)
    assert found.scale < 0.8
    assert found.after < found.before


def test_a_search_that_is_stopped_gives_nothing(trainer: Trainer) -> None:
    answers = iter([False, False, True])
    weights = trainer.model.parameters.arena.copy()
    assert calibrate(trainer, cancelled=lambda: next(answers, True)) is None
    assert np.array_equal(trainer.model.parameters.arena, weights)
