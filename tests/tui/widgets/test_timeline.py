"""The row that stands for the samples of a run."""

from __future__ import annotations

import math

from sg_tui.widgets.timeline import timeline


def test_the_row_is_as_high_as_the_loss_and_brackets_what_is_seen() -> None:
    assert timeline([8.0, 4.0, 2.0, 1.0], 1, 40).plain == "▇[▅]▃▁"


def test_of_many_samples_those_around_the_one_that_is_seen_are_shown() -> None:
    losses = [float(100 - number) for number in range(90)]
    for at in (0, 44, 89):
        row = timeline(losses, at, 20).plain
        assert len(row) == 20
        assert "[" in row


def test_a_loss_that_is_not_known_is_a_dot_and_equal_ones_lie_low() -> None:
    assert timeline([math.nan, 3.0, 3.0], 2, 40).plain == "·▁[▁]"
