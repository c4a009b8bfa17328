"""Activations computed once more: less memory, the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig
from sg_core.errors import SettingError, TrainingError
from sg_core.kernels.team import Team
from sg_core.network.batch_pass import BatchPass
from sg_core.network.parameters import Parameters
from sg_core.training.memory_plan import plan_memory, require_training_memory

CONFIG = GPT2Config(vocab_size=40, n_ctx=16, n_layer=3, n_head=2, n_embd=32)
SETTINGS = TrainingConfig(steps=6, batch_size=4, context=16, learning_rate=5e-3, evaluate_every=3, accumulation=2)


def trainer(recompute: str, threads: int = 1) -> Trainer:
    ids = np.array([(7 * i * i + i) % 40 for i in range(600)], np.int32)
    dataset = TextDataset("numbers", ids, ids[:133], 1200, 266)
    return Trainer(GPT2.random(CONFIG, seed=0), dataset, replace(SETTINGS, recompute=recompute), threads)


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_have_the_bits_that_they_have_without(rate: float, threads: int) -> None:
    model = GPT2.random(CONFIG, seed=4)
    rng = np.random.default_rng(0)
    ids, targets = rng.integers(0, 40, (2, 3, 16)).astype(np.int32)
    found = []
    for recompute in (False, True):
        batch = BatchPass(model.parameters, 3, 16, Team(threads), recompute=recompute)
        gradients = Parameters(CONFIG)
        losses = [batch.loss_and_gradients(ids, targets, gradients, rate, key) for key in (7, 8)]  # they add up
        found.append((losses, gradients.arena.tobytes()))
    assert found[0] == found[1]


def test_a_training_has_the_bits_that_it_has_without() -> None:
    kept, computed = trainer("off"), trainer("on", threads=2)
    for _ in range(3):
        assert kept.step().loss == computed.step().loss
    assert kept.evaluate() == computed.evaluate()
    assert kept.model.parameters.arena.tobytes() == computed.model.parameters.arena.tobytes()


def test_memory_grows_by_one_row_of_the_residual_stream_a_layer() -> None:
    def activations(layers: int, recompute: bool) -> int:
        config = replace(CONFIG, n_layer=layers)
        batch = BatchPass(GPT2.random(config).parameters, 3, 16, Team(1), recompute=recompute)
        return batch._activations.arena.nbytes

    C, H, rows = CONFIG.n_embd, CONFIG.hidden_size, 48
    assert activations(5, False) - activations(4, False) == 4 * rows * (10 * C + 2 * H)
    assert activations(5, True) - activations(4, True) == 4 * rows * C
    assert activations(1, True) == activations(1, False)


def test_what_makes_a_training_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config, training = GPT2Config.gpt2(), TrainingConfig(batch_size=4, context=1024, evaluate_every=0)
    least = plan_memory(config, replace(training, recompute="on")).total
    assert least < 0.75 * plan_memory(config, training).total

    def available(free: int) -> None:
        monkeypatch.setattr("sg_core.training.memory_plan.available_memory", lambda: free)

    available(least)
    with pytest.raises(TrainingError, match="--recompute would make it fit, in about a third more time, a context of "):
        require_training_memory(config, training)
    assert require_training_memory(config, replace(training, recompute="on")).total == least
    available(plan_memory(config, replace(training, batch_size=1, recompute="on")).total)
    with pytest.raises(
        TrainingError, match=r"with --recompute a batch of 1 would fit \(--batch-size 1 --accumulation 4"
    ):
        require_training_memory(config, training)


def test_an_adapter_keeps_its_activations() -> None:
    with pytest.raises(SettingError, match="recompute is on; the activations of an adapter's training are always kept"):
        TrainingConfig(lora="r=4", recompute="on")
