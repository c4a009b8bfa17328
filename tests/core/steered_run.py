"""A real, small training run that is steered at given steps; as a program, one that can be killed.

`python steered_run.py FOLDER` prints a line for each event, and goes on with the run where FOLDER holds one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig
from sg_core.engine.commands import BackToBest, ChangeTraining, Train
from sg_core.engine.events import Event
from sg_core.engine.outbox import Outbox
from sg_core.engine.run_control import ControlCommand
from sg_core.engine.training_run import TrainingRun
from sg_core.storage.manifest import checkpoint_folders
from sg_core.storage.run_log import RunEvent
from sg_core.training.results import Evaluation, StepResult

CONFIG = GPT2Config(vocab_size=40, n_ctx=16, n_layer=2, n_head=2, n_embd=32)
SETTINGS = TrainingConfig(
    steps=48, batch_size=4, context=16, learning_rate=5e-3, warmup_steps=5, dropout=0.1, evaluate_every=6,
    save_every=4, seed=3,
)  # fmt: skip
# the third is far too high: the validation loss rises, and there is a best step to go back to
PLAN: Mapping[int, ControlCommand] = {
    9: ChangeTraining({"learning_rate": 2e-3, "dropout": 0.3}),
    14: ChangeTraining({"schedule": "wsd"}),
    19: ChangeTraining({"learning_rate": 0.4}),
    33: BackToBest(),
    34: ChangeTraining({"learning_rate": 1e-3}),
}


def trainer(settings: TrainingConfig = SETTINGS) -> Trainer:
    ids = np.array([(7 * i * i + i) % 40 for i in range(600)], np.int32)  # periodic: can be learned
    return Trainer(GPT2.random(CONFIG, seed=0), TextDataset("numbers", ids, ids[:133], 1200, 266), settings, 1)


def begin(folder: Path, settings: TrainingConfig = SETTINGS) -> tuple[TrainingRun, Outbox]:
    """The run of a folder: a new one, or the one that it holds."""
    outbox = Outbox()
    there = bool(checkpoint_folders(folder))
    run = Trainer.resume(folder, threads=1) if there else trainer(settings)
    command = Train(resume=str(folder) if there else None, sample_every=0)
    return TrainingRun(command, run, folder, outbox, lambda: False), outbox


def advance(run: TrainingRun, outbox: Outbox, plan: Mapping[int, ControlCommand]) -> Iterator[Event]:
    """What happens, to the end. Each command of the plan is given once, after the step of its number was done."""
    given = {event.step for event in run.trainer.steering.done} | {event.step for event in run.trainer.steering.coming}
    plan = {step: command for step, command in plan.items() if step not in given}
    while not run.ended:
        run.advance()
        while outbox.events:
            event = outbox.events.popleft()
            if isinstance(event, StepResult) and event.step in plan:
                run.control.waiting.append(plan[event.step])
                plan = {step: command for step, command in plan.items() if step != event.step}
            yield event


def told(event: Event) -> list[Any] | None:
    """What must be the same again of an event: JSON."""
    if isinstance(event, StepResult):
        return ["step", event.step, event.loss, event.lr, event.grad_norm]
    if isinstance(event, Evaluation):
        return ["evaluation", event.step, event.val_loss]
    if isinstance(event, RunEvent):
        return ["event", event.number, event.step, event.kind, dict(event.values)]
    return None


if __name__ == "__main__":
    for event in advance(*begin(Path(sys.argv[1])), PLAN):
        if (line := told(event)) is not None:
            print(json.dumps(line), flush=True)
