"""The memory of a training is known before it is taken: the plan against what is really allocated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sg_core.config import GPT2Config
from sg_core.errors import DataError, TrainingError
from sg_core.gpt2 import GPT2
from sg_core.training.dataset import TextDataset
from sg_core.training.memory_plan import plan_memory, require_training_memory
from sg_core.training.preparation import prepare_training
from sg_core.training.settings import TrainingConfig
from sg_core.training.texts import read_text
from sg_core.training.trainer import Trainer

SHAPE = GPT2Config(vocab_size=300, n_ctx=64, n_layer=3, n_head=4, n_embd=64)


def allocated(trainer: Trainer) -> int:
    """Bytes of all arrays that a trainer holds; a view counts as what it is a view of, once."""
    seen: dict[int, int] = {}
    found: set[int] = set()
    stack: list[object] = [trainer]
    while stack:
        one = stack.pop()
        if id(one) in found:
            continue
        found.add(id(one))
        if isinstance(one, np.ndarray):
            while isinstance(one.base, np.ndarray):
                one = one.base
            seen[id(one)] = one.nbytes
        elif isinstance(one, dict):
            stack.extend(one.values())
        elif isinstance(one, list | tuple):
            stack.extend(one)
        elif type(one).__module__.startswith("sg_core"):
            stack.extend(vars(one).values() if hasattr(one, "__dict__") else [])
    return sum(seen.values())


@pytest.mark.parametrize(("batch_size", "context", "evaluate_every"), [(64, 64, 0), (16, 64, 1), (200, 16, 0)])
def test_the_plan_is_what_a_training_takes(batch_size: int, context: int, evaluate_every: int) -> None:
    training = TrainingConfig(batch_size=batch_size, context=context, evaluate_every=evaluate_every)
    ids = np.arange(17 * 64, dtype=np.int32) % 300
    dataset = TextDataset("numbers", ids, ids, 1000, 1000)
    trainer = Trainer(GPT2.random(SHAPE), dataset, training, threads=1)
    trainer.step()
    if evaluate_every:
        trainer.evaluate()
    plan = plan_memory(SHAPE, training)
    taken = allocated(trainer)
    # what is planned suffices, and is not far off: rooms of threads are a round sum of 32 MiB, and the last pass of a
    # validation is planned as large as the others
    assert taken <= plan.total
    assert plan.total - plan.validation / 2 - (1 << 25) <= 1.15 * taken


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (3.0e9, "a batch of 2,"),
        (1.0e8, "a batch of "),
        (3.5e7, "no batch or context is small enough; choose a smaller model"),
    ],
)
def test_too_much_is_refused_with_figures_and_what_would_fit(
    monkeypatch: pytest.MonkeyPatch, free: float, said: str
) -> None:
    monkeypatch.setattr("sg_core.training.memory_plan.available_memory", lambda: int(free))
    training = TrainingConfig(batch_size=65536, context=64)
    with pytest.raises(TrainingError, match=r"needs \d.* GB: .* for weights, gradients and moments") as refused:
        require_training_memory(SHAPE, training)
    assert said in str(refused.value)


def test_what_is_said_to_fit_fits_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    free = 400_000_000
    monkeypatch.setattr("sg_core.training.memory_plan.available_memory", lambda: free)
    with pytest.raises(TrainingError) as refused:
        require_training_memory(SHAPE, TrainingConfig(batch_size=65536, context=64))
    batch = int(str(refused.value).split("a batch of ")[1].split(" ")[0].replace(",", ""))
    assert plan_memory(SHAPE, TrainingConfig(batch_size=batch, context=64)).total <= free
    assert plan_memory(SHAPE, TrainingConfig(batch_size=batch + 1, context=64)).total > free


def test_a_training_that_does_not_fit_is_refused_before_its_text_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sg_core.training.memory_plan.available_memory", lambda: 1_000_000_000)
    with pytest.raises(TrainingError, match="a batch of"):
        prepare_training(
            data="/no/such/text", model=None, config=SHAPE, training=TrainingConfig(batch_size=65536, context=64)
        )


def test_a_text_shorter_than_a_context_is_refused_before_its_vocabulary_is_learned(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("a few words " * 10)
    with pytest.raises(DataError, match="fewer bytes than a context of 1,000 has"):
        prepare_training(
            data=str(path),
            model=None,
            config=GPT2Config(vocab_size=300, n_ctx=1000, n_layer=1, n_head=1, n_embd=8),
            training=TrainingConfig(batch_size=1, context=1000),
        )


def test_a_file_with_a_null_in_its_first_part_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    with path.open("wb") as file:
        file.truncate(64 << 20)  # a hole: it takes no disk
    parts: list[int] = []
    with pytest.raises(DataError, match="NUL byte at byte 0"):
        read_text(str(path), lambda what, done, total: parts.append(done))
    assert parts == []
