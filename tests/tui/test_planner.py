"""Planning a training while its form is filled."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sg_core.config import GPT2Config
from sg_core.training.memory_plan import plan_memory
from sg_core.training.settings import TrainingConfig
from sg_tui.desk.planner import Planner, plan
from sg_tui.state.training_plan import Question

CONFIG = GPT2Config(vocab_size=512, n_ctx=64, n_layer=2, n_head=2, n_embd=32)
TRAINING = TrainingConfig(steps=10, batch_size=2, context=64)


def test_memory_sizes_and_text_are_those_of_the_training(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("word " * 1000)
    answer = plan(Question((str(tmp_path),), CONFIG, TRAINING))
    assert answer is not None
    memory = plan_memory(CONFIG, TRAINING)
    assert sum(answer.memory.values()) == memory.total
    assert answer.result == 4 * CONFIG.parameter_count
    assert (answer.files, answer.size) == (1, 5000)
    assert 2000 < answer.tokens < 3000
    assert answer.fits


def test_what_is_wrong_with_a_text_or_an_adapter_belongs_to_its_box(tmp_path: Path) -> None:
    gone = plan(Question((str(tmp_path / "gone.txt"),), CONFIG, TRAINING))
    assert gone is not None
    assert list(gone.trouble) == ["path"]
    strange = TrainingConfig(steps=10, context=64, lora="r=2,targets=no_such_module")
    answer = plan(Question(("python-docs",), CONFIG, strange))
    assert answer is not None
    assert list(answer.trouble) == ["lora_targets"]
    assert not answer.fits


def test_what_does_not_fit_comes_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sg_core.memory.available_memory", lambda: 1 << 20)
    answer = plan(Question(("python-docs",), CONFIG, TRAINING))
    assert answer is not None
    assert answer.advice
    assert not answer.fits


def test_the_newest_question_is_answered() -> None:
    answered = threading.Event()
    planner = Planner(answered.set)
    questions = [Question(("python-docs",), CONFIG, TrainingConfig(steps=steps)) for steps in range(1, 30)]
    for question in questions:
        planner.ask(question)
    while not planner.found or planner.found[-1][0] != questions[-1]:
        assert answered.wait(20)
        answered.clear()
