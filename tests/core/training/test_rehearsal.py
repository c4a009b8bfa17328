"""Measuring the steps of a training that is only planned."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sg_core.config import GPT2Config
from sg_core.errors import TrainingError
from sg_core.training.rehearsal import rehearse
from sg_core.training.settings import TrainingConfig

CONFIG = GPT2Config(vocab_size=64, n_ctx=16, n_layer=1, n_head=2, n_embd=32)
TRAINING = TrainingConfig(steps=100, batch_size=2, context=16, evaluate_every=30)
SECONDS = SimpleNamespace(perf_counter=itertools.count().__next__)  # a clock that is looked at once a second


def test_steps_and_validations_are_measured_and_counted() -> None:
    found = rehearse(CONFIG, TRAINING, tokens=10_000)
    assert found is not None
    assert (found.steps, found.validations) == (100, 4)
    assert found.step_seconds > 0
    assert found.seconds == 100 * found.step_seconds + 4 * found.validation_seconds


def test_a_validation_takes_as_long_as_its_text_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sg_core.training.plan.time", SECONDS)
    whole, part = (rehearse(CONFIG, replace(TRAINING, evaluate_tokens=most), tokens=32_000) for most in (0, 320))
    assert whole is not None
    assert part is not None
    assert whole.validation_seconds == 3200 / 32  # a batch of 32 tokens took a second
    assert part.validation_seconds == 320 / 32


def test_accumulated_batches_make_a_step_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sg_core.training.plan.time", SECONDS)
    found = rehearse(CONFIG, replace(TRAINING, accumulation=8), tokens=1000)
    assert found is not None
    assert found.step_seconds == 8.0


def test_an_adapter_is_measured_on_weights_of_its_precision() -> None:
    found = rehearse(CONFIG, replace(TRAINING, lora="r=2", precision="int8", evaluate_every=0), tokens=1000)
    assert found is not None
    assert (found.validations, found.validation_seconds) == (0, 0.0)


def test_what_is_cancelled_gives_nothing_and_teachers_are_not_there() -> None:
    assert rehearse(CONFIG, TRAINING, tokens=1000, cancelled=lambda: True) is None
    with pytest.raises(TrainingError, match="teachers"):
        rehearse(CONFIG, replace(TRAINING, distill="tinyshakespeare"), tokens=1000)
