"""Settings declared once: ranges, words and options are read off the fields."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from sg_core import Sampling, TrainingConfig
from sg_core.errors import SettingError
from sg_core.setting import Setting, settings_of
from sg_core.training.settings import PRESETS, fine_tuning

ALL = [(kind, one) for kind in (Sampling, TrainingConfig) for one in settings_of(kind) if one.number]
WORDS = [one for one in settings_of(TrainingConfig) if not one.number]


@pytest.mark.parametrize(("kind", "one"), ALL, ids=[f"{kind.__name__}.{one.name}" for kind, one in ALL])
def test_a_setting_takes_the_ends_of_its_range_and_nothing_beyond(kind: Any, one: Setting) -> None:
    for value in (one.low, one.high, one.default):
        assert getattr(kind(**{one.name: value}), one.name) == value
    beyond = (one.low - 1, one.high + 1) if one.whole else (one.low - 1.0, one.high * 1.01, math.nan)
    for wrong in (*beyond, True, "1", *((0.5,) if one.whole else ())):
        with pytest.raises(SettingError, match=f"^{one.name} is "):
            kind(**{one.name: wrong})
    assert one.help
    assert one.label


@pytest.mark.parametrize("one", WORDS, ids=[one.name for one in WORDS])
def test_a_setting_in_words_takes_its_choices_and_nothing_else(one: Setting) -> None:
    learning: Any = {"lora": "r=8"} if one.name == "precision" else {}  # reduced weights learn by an adapter alone
    config: Any = partial(TrainingConfig, **learning)  # by name
    free = ("", "r=8,alpha=16") if one.name == "lora" else ("", "a name")
    for value in one.choices or free:
        assert getattr(config(**{one.name: value}), one.name) == value
    for wrong in (0, None, *(("nonsense",) if one.choices else ())):
        with pytest.raises(SettingError, match=f"^{one.name} is "):
            config(**{one.name: wrong})
    assert one.help


def test_options_and_labels_are_names_unless_said_otherwise() -> None:
    said = {one.name: (one.label, one.option) for one in settings_of(TrainingConfig)}
    assert said["batch_size"] == ("batch size", "--batch-size")
    assert said["learning_rate"] == ("learning rate", "--lr")
    assert [name for name, (_, option) in said.items() if not option] == ["adam_epsilon", "schedule_steps"]


def test_fine_tuning_fits_the_context_of_the_model() -> None:
    assert fine_tuning(1024) == replace(fine_tuning(64), context=256)
    assert (fine_tuning(64).context, fine_tuning(64).steps) == (64, 500)
    assert fine_tuning(1024) != PRESETS["tiny"].training
