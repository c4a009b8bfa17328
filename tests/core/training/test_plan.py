"""What is told before a training: its time, its sizes, and a learning rate that suits it."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig
from sg_core.errors import SettingError, TrainingError
from sg_core.training.find_lr import HIGHEST, LOWEST, find_learning_rate
from sg_core.training.memory_plan import plan_memory, require_training_memory
from sg_core.training.plan import checkpoint_bytes, measure_time, result_bytes
from sg_core.training.results import Trial
from sg_core.training.settings import PRESETS

CONFIG = GPT2Config(vocab_size=40, n_ctx=16, n_layer=2, n_head=2, n_embd=32)
SETTINGS = TrainingConfig(steps=90, batch_size=4, context=16, learning_rate=5e-3, evaluate_every=20, seed=3)


def trainer(settings: TrainingConfig = SETTINGS) -> Trainer:
    ids = np.array([(7 * i * i + i) % 40 for i in range(600)], np.int32)  # periodic: can be learned
    return Trainer(GPT2.random(CONFIG, seed=0), TextDataset("numbers", ids, ids[:133], 1200, 266), settings, 1)


def test_the_time_is_that_of_all_steps_and_validations_that_are_left() -> None:
    run = trainer()
    for _ in range(50):
        run.step()
    plan = measure_time(run)
    assert (plan.steps, plan.validations) == (40, 2)
    assert plan.seconds == pytest.approx(40 * plan.step_seconds + 2 * plan.validation_seconds)
    assert min(plan.step_seconds, plan.validation_seconds) > 0
    none = measure_time(trainer(replace(SETTINGS, evaluate_every=0)))
    assert (none.steps, none.validations, none.validation_seconds) == (90, 0, 0.0)


@pytest.mark.parametrize("average", ["none", "ema"])
def test_sizes_on_disk_are_those_of_the_files(tmp_path: Path, average: str) -> None:
    run = trainer(replace(SETTINGS, average=average))
    files = [file for file in run.save(tmp_path).rglob("*") if file.is_file()]
    # names, shapes and the manifest come on top
    assert checkpoint_bytes(run) <= sum(file.stat().st_size for file in files) <= checkpoint_bytes(run) + 20_000
    run.model.save_pretrained(tmp_path / "model")
    size = (tmp_path / "model" / "model.safetensors").stat().st_size
    assert result_bytes(run) <= size <= result_bytes(run) + 10_000
    assert result_bytes(run, "F16") == result_bytes(run) // 2


def test_a_rate_is_found_between_too_low_and_too_high() -> None:
    seen: list[Trial] = []
    trials, suggested = find_learning_rate(trainer(), 60, seen.append)
    assert trials == seen
    assert trials[0].rate == LOWEST
    steps = itertools.pairwise(one.rate for one in trials)
    assert all(later / rate == pytest.approx((HIGHEST / LOWEST) ** (1 / 59)) for rate, later in steps)
    lowest = min(trials, key=lambda one: one.smoothed)
    assert suggested == lowest.rate / 10
    assert trials[0].loss - lowest.smoothed > 0.1  # it did learn
    assert 1e-4 < suggested < 0.1  # the tests of training learn this text at 5e-3


def test_a_search_that_tells_nothing_suggests_nothing() -> None:
    with pytest.raises(SettingError, match="needs at least 10"):
        find_learning_rate(trainer(), 9)
    with pytest.raises(TrainingError, match="only 0 steps were tried"):
        find_learning_rate(trainer(), cancelled=lambda: True)
    broken = trainer()
    broken.model.parameters["ln_f.weight"][...] = math.inf
    with pytest.raises(TrainingError, match="too few to suggest"):
        find_learning_rate(broken)


def test_the_parts_of_the_memory_are_its_whole() -> None:
    for preset in PRESETS.values():
        plan = plan_memory(preset.config, preset.training, [CONFIG])
        assert sum(plan.parts.values()) == plan.total
        assert plan.parts["moments"] == 8 * preset.config.parameter_count
        assert plan.teachers > 4 * CONFIG.parameter_count


def test_a_batch_in_parts_is_named_where_it_makes_the_same_step_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    training = TrainingConfig(batch_size=64, context=1024, evaluate_every=0)
    small = replace(training, batch_size=8)
    free = plan_memory(GPT2Config.gpt2(), small).total
    monkeypatch.setattr("sg_core.training.memory_plan.available_memory", lambda: free)
    with pytest.raises(TrainingError, match=r"--batch-size 8 --accumulation 8 makes the same step of it"):
        require_training_memory(GPT2Config.gpt2(), training)
    assert require_training_memory(GPT2Config.gpt2(), replace(small, accumulation=8)).total <= free
