"""The shipped run, which a new run on tinyshakespeare is held against."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from sg_core import paths
from sg_core.engine.events import TrainingStarted
from sg_core.training.settings import NEW_MODEL, PRESETS
from sg_tui.state.normal_run import LATEST, normal_run
from sg_tui.state.training_run import Run

PRESET = PRESETS["tinyshakespeare"]
SHIPPED = TrainingStarted(NEW_MODEL, PRESET.config, PRESET.training, "tinyshakespeare", 411_268, 49_422, 0, None)
KEPT = json.loads((paths.assets_dir() / "tinyshakespeare" / "curve.json").read_text("ascii"))


def run(facts: TrainingStarted = SHIPPED, loss: float = 4.0, steps: int = 1000) -> Run:
    found = Run(facts, 0, "tinyshakespeare")
    for step in range(1, steps + 1):
        found.curve.add(step, loss, float(step))
    return found


def test_the_same_settings_are_held_against_the_same_steps_and_losses() -> None:
    normal = normal_run(run())
    assert normal is not None
    for step, low, high in KEPT["band"]:
        assert normal.at(step) == (low, high)
        assert low < high
    assert [*normal.validation_steps] == [step for step, _ in KEPT["validations"]]
    assert [*normal.validations] == pytest.approx([loss for _, loss in KEPT["validations"]])
    assert math.isnan(normal.at(KEPT["band"][-1][0] + 1)[0])


def test_another_batch_and_another_vocabulary_are_counted_in_tokens_and_characters() -> None:
    normal, shipped = normal_run(run()), SHIPPED.training
    smaller = replace(SHIPPED, training=replace(shipped, batch_size=4), train_tokens=822_536, validation_tokens=98_844)
    other = normal_run(run(smaller))
    assert normal is not None
    assert other is not None
    # half as many tokens a step, and each of them half as long
    assert other.at(1000) == pytest.approx([one / 2 for one in normal.at(500)])
    assert [*other.validation_steps] == [2 * step for step in normal.validation_steps]
    assert other.validations[0] == pytest.approx(normal.validations[0] / 2)


def test_the_latest_losses_lie_above_within_or_below() -> None:
    normal = normal_run(run())
    assert normal is not None
    low, high = normal.at(990)
    assert normal.verdict(run(loss=(low + high) / 2)) == "within"
    assert normal.verdict(run(loss=high + 0.1)) == "above"
    assert normal.verdict(run(loss=low - 0.1)) == "below"
    assert normal.verdict(run(steps=LATEST - 1)) == ""
    assert normal.verdict(run(steps=30_000)) == ""  # beyond the band


@pytest.mark.parametrize("change", [{"data": "python-docs"}, {"model": "openai-community/gpt2"}])
def test_other_texts_and_models_that_were_there_have_no_such_band(change: dict[str, str]) -> None:
    assert normal_run(run(replace(SHIPPED, **change))) is None  # type: ignore[arg-type]


def test_other_parts_of_the_text_have_no_such_band() -> None:
    held_out = replace(SHIPPED.training, hold_out="scenes")
    assert normal_run(run(replace(SHIPPED, training=held_out))) is None
