"""The chart of ms a token against position: a line a setting, named, and a mark where one was flipped."""

from __future__ import annotations

import pytest

from sg_core.measure.setting import Setting
from sg_tui.state.generation_state import Flip
from sg_tui.widgets.position_chart import axis_end, chart

ON, OFF = Setting(), Setting.named("f32-kv_cache")
FLAT = dict.fromkeys(range(1, 100), 1.0)
BENT = {position: 1.0 + 0.05 * position for position in range(1, 100)}


def drawn(
    lines: dict[Setting, dict[int, float]], flips: tuple[Flip, ...] = (), width: int = 60, height: int = 8
) -> list[str]:
    return [row.plain for row in chart(lines, flips, ON, width, height, 128)]


def heights(rows: list[str]) -> dict[int, int]:
    """column -> the lowest row with a dot, counted from the bottom."""
    plot = rows[:-1]
    found = {}
    for column in range(6, 60):
        for height, row in enumerate(reversed(plot)):
            if column < len(row) and "⠀" < row[column] <= "⣿":
                found[column] = height
                break
    return found


def test_a_line_that_bends_up_goes_up() -> None:
    at = heights(drawn({OFF: BENT}))
    columns = sorted(at)
    assert at[columns[0]] < at[columns[len(columns) // 2]] < at[columns[-1]]


def test_every_line_is_named_where_there_are_several() -> None:
    rows = "\n".join(drawn({ON: FLAT, OFF: BENT}))
    assert "all on" in rows
    assert "1 off" in rows
    assert "all on" not in "\n".join(drawn({ON: FLAT}))


def test_a_flip_is_marked_at_its_position() -> None:
    rows = drawn({ON: FLAT, OFF: BENT}, (Flip(64, ON, OFF),))
    column = rows[-1].index("▴1 off")
    assert column == 6 + 54 // 2  # in the middle of an axis of 128
    assert any(row[column] == "┊" for row in rows[:-1])
    assert rows[-1].endswith("position 128")


def test_the_axis_ends_beyond_the_furthest_token_and_with_the_context() -> None:
    assert [axis_end(furthest, 1024) for furthest in (1, 64, 65, 700)] == [64, 64, 128, 1024]
    assert axis_end(100, 120) == 120


def test_a_single_wild_token_does_not_flatten_the_line() -> None:
    rows = drawn({ON: FLAT | {50: 900.0}})
    assert rows[0].strip().startswith("1.10")


@pytest.mark.parametrize(("width", "height"), [(60, 8), (37, 3), (43, 4), (12, 8), (60, 2), (0, 0)])
def test_no_row_is_wider_than_there_is_room(width: int, height: int) -> None:
    rows = drawn({ON: FLAT, OFF: BENT}, (Flip(3, ON, OFF), Flip(99, OFF, ON)), width, height)
    assert len(rows) in (0, height)
    assert all(len(row) <= width for row in rows)


def test_nothing_is_drawn_of_nothing() -> None:
    assert drawn({}) == drawn({ON: {}}) == []
