"""Runs beside each other."""

from __future__ import annotations

import math
from dataclasses import replace

from sg_core.config import GPT2Config
from sg_core.engine.events import Sample, TrainingStarted
from sg_core.training.results import Evaluation
from sg_core.training.settings import TrainingConfig
from sg_tui.state.run_comparison import average_at, differing, loss_words, sample_at, sample_steps, validation_at
from sg_tui.state.training_run import Run

CONFIG = GPT2Config(vocab_size=512, n_ctx=64, n_layer=2, n_head=2, n_embd=32)
FACTS = TrainingStarted("tiny", CONFIG, TrainingConfig(steps=90), "python-docs", 1000, 100, 0, None)


def run(number: int = 0, **training: object) -> Run:
    return Run(replace(FACTS, training=replace(FACTS.training, **training)), number, "tiny")  # type: ignore[arg-type]


def test_only_settings_that_differ_are_listed_under_the_names_of_the_form() -> None:
    other = run(1, learning_rate=5e-4, batch_size=1024, evaluate_every=7)
    wider = replace(other.facts, config=replace(CONFIG, n_embd=64), data="plays")
    rows = differing([run(), Run(wider, 1, "tiny")])
    assert rows == [
        ("data", ["python-docs", "plays"]),
        ("width", ["32", "64"]),
        ("batch size", ["12", "1,024"]),
        ("learning rate", ["0.002", "5e-4"]),
    ]
    assert differing([run(), run(1)]) == []


def test_the_sample_and_the_losses_at_a_step_are_the_newest_ones_before_it() -> None:
    one = run()
    for step in range(1, 41):
        one.curve.add(step, 4.0, float(step))
    one.evaluations += [Evaluation(10, 3.5, 1.0), Evaluation(30, 2.5, 1.0)]
    one.samples += [Sample(10, "early"), Sample(30, "late")]
    assert [sample_at(one, step) for step in (9, 10, 29, 99)] == [None, *2 * [one.samples[0]], one.samples[1]]
    assert math.isnan(validation_at(one, 9))
    assert (validation_at(one, 29), validation_at(one, 30)) == (3.5, 2.5)
    assert math.isnan(average_at(one, 0))
    assert round(average_at(one, 7), 6) == 4.0
    assert loss_words(one, 12) == "average 4.000, validation 3.500"
    assert sample_steps([one, run(1)]) == [10, 30]
