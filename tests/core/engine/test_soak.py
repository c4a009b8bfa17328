"""Hours in small: text, training, changes of model and stops, after which no memory is lost and no thread is left."""

from __future__ import annotations

import gc
import threading
from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest
from engine_fakes import Driver

from sg_core.engine.commands import Generate, Load, StopTraining, Train
from sg_core.engine.events import Done, Failed, TrainingEnded
from sg_core.engine.parts import real_parts
from sg_core.measure.compilation import warm_up
from sg_core.network.precisions import NARROW
from sg_core.training.results import StepResult
from sg_core.training.settings import TrainingConfig

TRAINING = TrainingConfig(batch_size=4, context=32, warmup_steps=5, evaluate_every=50, save_every=50, dropout=0.1)


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def round_of(driver: Driver, folder: Path, number: int, tokens: int, steps: int) -> int:
    """A text, a stopped text, a training with a text beside it, another model. Returns the tokens written."""
    driver.finish(Load(precision="f32" if number % 2 else "int8"), Generate(3 * number, "ROMEO:", max_tokens=tokens))
    driver.submit(Generate(3 * number + 1, "JULIET:", max_tokens=10**6))
    driver.engine.stop()
    driver.until(lambda: not driver.engine.busy, "a stop")
    training = replace(TRAINING, steps=steps)
    out = str(folder / str(number % 2) / str(number))
    driver.submit(Train(data=str(folder / "text.txt"), out=out, training=training, sample_every=0))
    if number % 3 == 2:
        driver.until(lambda: driver.of(StepResult), "a step")
        driver.submit(StopTraining())
    driver.finish(Generate(3 * number + 2, "The ", max_tokens=200))
    assert driver.of(Failed) == []
    written = sum(done.tokens for done in driver.of(Done))
    assert driver.of(TrainingEnded)
    driver.told.clear()
    return written


@pytest.mark.parametrize(
    ("rounds", "tokens", "steps"), [(2, 100, 20), pytest.param(40, 2600, 100, marks=pytest.mark.slow)]
)
def test_nothing_is_lost_over_time(tmp_path: Path, rounds: int, tokens: int, steps: int) -> None:
    (tmp_path / "text.txt").write_text("The lantern of the watch goes up the hill, and all the town sleeps.\n" * 200)
    warm_up(training=True)
    warm_up(precision="int8")
    warm_up(precision=NARROW)  # the shipped model in f32
    before = set(threading.enumerate())  # an engine of an earlier test may still be ending
    driver = Driver(parts=real_parts, patience=20.0 if rounds <= 10 else 600.0)
    written = 0
    memory: deque[int] = deque()
    threads: deque[int] = deque()
    for number in range(rounds):
        written += round_of(driver, tmp_path, number, tokens, steps)
        gc.collect()
        memory.append(resident())
        threads.append(sum(thread.name != "sg-compile" for thread in set(threading.enumerate()) - before))
    driver.engine.close(timeout=20)
    assert not driver.engine._thread.is_alive()
    assert len(set(threads)) == 1  # compiling ahead ends when it is done, whatever round it is then
    if rounds > 10:
        assert written > 100_000
        half = rounds // 2  # the first rounds fill pools that are kept
        assert max(list(memory)[half:]) <= 1.05 * max(list(memory)[:half])
