"""What a person writes on the line that changes a run."""

from __future__ import annotations

import pytest

from sg_core.errors import SettingError
from sg_core.training.settings import TrainingConfig
from sg_tui.state.training_change import as_line, from_line

NOW = TrainingConfig(learning_rate=2e-3, dropout=0.1)


def test_the_line_offers_what_is_and_asks_for_what_differs() -> None:
    line = as_line(NOW)
    assert line == "learning rate 0.002, schedule cosine, dropout 0.1"
    assert from_line(line, NOW) == {}
    assert from_line(line.replace("0.002", "5e-4").replace("cosine", "wsd"), NOW) == {
        "learning_rate": 5e-4,
        "schedule": "wsd",
    }
    assert as_line(NOW, learning_rate=0.01).startswith("learning rate 0.01, ")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("lr 1e-4", {"learning_rate": 1e-4}),
        ("rate=1e-4", {"learning_rate": 1e-4}),
        ("  dropout 0 ,", {"dropout": 0.0}),
        ("final lr fraction 0, decay_fraction 0.5", {"final_lr_fraction": 0.0, "decay_fraction": 0.5}),
        ("", {}),
    ],
)
def test_it_may_be_written_as_people_write(text: str, values: dict[str, object]) -> None:
    assert from_line(text, NOW) == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("faster", "'faster' is no change; write for example: learning rate 0.002, "),
        ("batch size 3", "'batch size 3' is no change"),
        ("lr high", "learning rate is 'high'; it must be a number"),
    ],
)
def test_what_cant_be_read_is_told(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        from_line(text, NOW)
