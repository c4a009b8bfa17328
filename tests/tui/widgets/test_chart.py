"""Reducing curves to what a chart can show, and the ticks of its axes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_tui.figures import bar, count, duration, number
from sg_tui.widgets.chart import (
    Window,
    decimate,
    duration_ticks,
    gap_marks,
    log_ticks,
    nice_ticks,
    padded,
    robust_limits,
)

values = st.lists(st.one_of(st.floats(min_value=-100, max_value=100), st.just(math.nan)), min_size=1, max_size=400)


@given(values, st.integers(1, 50))
def test_at_most_two_points_a_column_and_the_peaks_stay(ys: list[float], columns: int) -> None:
    xs = np.arange(len(ys), dtype=float)
    pieces = decimate(xs, ys, Window(0.0, float(len(ys)), columns))
    kept_x = np.concatenate([x for x, _ in pieces]) if pieces else np.array([])
    kept_y = np.concatenate([y for _, y in pieces]) if pieces else np.array([])
    finite = [y for y in ys if math.isfinite(y)]
    assert len(kept_x) <= 2 * columns
    assert np.all(np.diff(kept_x) > 0)
    assert all(ys[int(x)] == y for x, y in zip(kept_x, kept_y, strict=True))
    if finite:
        assert (kept_y.min(), kept_y.max()) == (min(finite), max(finite))
    else:
        assert not pieces


@given(values, st.integers(1, 50))
def test_no_piece_runs_across_a_gap(ys: list[float], columns: int) -> None:
    xs = np.arange(len(ys), dtype=float)
    for x, _ in decimate(xs, ys, Window(0.0, float(len(ys)), columns)):
        assert not any(math.isnan(y) for y in ys[int(x[0]) : int(x[-1]) + 1])


def test_a_short_curve_is_kept_whole() -> None:
    [(x, y)] = decimate([1, 2, 3], [5.0, 4.0, 6.0], Window(1, 3, 100))
    assert (x.tolist(), y.tolist()) == ([1, 2, 3], [5.0, 4.0, 6.0])


def test_the_line_runs_on_to_the_edges_of_a_zoomed_window() -> None:
    xs = np.arange(100.0)
    [(x, _)] = decimate(xs, xs, Window(40.5, 50.5, 20))
    assert (x[0], x[-1]) == (40.0, 51.0)


def test_a_window_beside_all_data_holds_no_more_than_its_neighbours() -> None:
    xs = np.arange(100.0)
    assert sum(len(x) for x, _ in decimate(xs, xs, Window(200.0, 300.0, 20))) <= 1


def test_a_gap_has_a_mark_where_it_is_and_one_mark_a_column() -> None:
    ys = np.ones(1000)
    ys[300:340] = np.nan
    ys[900] = np.inf
    marks = gap_marks(np.arange(1000.0), ys, Window(0, 1000, 100))
    assert marks.tolist() == [300, 310, 320, 330, 900]


def test_the_limits_hold_every_average_and_leave_out_a_lone_spike() -> None:
    raw = np.full(1000, 2.0)
    raw[500] = 900.0
    raw[3] = math.nan
    low, high = robust_limits(raw, [7.0, 2.0])
    assert (low, high) == (2.0, 7.0)
    assert all(math.isnan(v) for v in robust_limits([math.nan], []))


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_padded_limits_are_never_of_zero_width(low: float, span: float) -> None:
    start, end = padded(low, low + span)
    assert start < low
    assert end > low + span
    assert padded(math.nan, math.nan) == (0.0, 1.0)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(3, 12))
def test_ticks_lie_within_the_axis_and_are_few(low: float, span: float, most: int) -> None:
    for ticks in (nice_ticks(low, low + span, most), duration_ticks(low, low + span, most)):
        assert 1 <= len(ticks) <= most + 1
        slack = 1e-6 * (abs(low) + span)
        assert all(low - slack <= tick <= low + span + slack for tick in ticks)
        assert ticks == sorted(set(ticks))


@given(st.floats(-5, 5), st.floats(0.02, 8))
def test_ticks_of_a_log_axis_are_round_values(low: float, span: float) -> None:
    ticks = log_ticks(low, low + span)
    assert 1 <= len(ticks) <= 7
    assert all(low - 1e-9 <= tick <= low + span + 1e-9 for tick in ticks)
    if span >= 2:
        assert all(round(10 ** (tick % 1), 6) in (1, 2, 3, 5, 10) for tick in ticks)


def test_axes_without_extent_have_no_ticks() -> None:
    for ticks in (nice_ticks, log_ticks, duration_ticks):
        assert ticks(1.0, 1.0) == []
        assert ticks(math.nan, 1.0) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.2345, "1.234"), (2e-3, "0.002"), (1.5e-4, "1.5e-4"), (0, "0"), (math.nan, "–"), (123456.0, "1.23e5")],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (950, "950"), (12_000, "12k"), (1.5e6, "1.5M"), (2e9, "2G")])
def test_counts(value: float, text: str) -> None:
    assert count(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.4, "0:07"), (754, "12:34"), (3723, "1:02:03"), (59.9, "1:00"), (math.nan, "–")],
)
def test_spans_of_time(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, ""), (1, "████"), (2, "████"), (0.5, "██"), (1 / 32, "▏"), (-1, ""), (math.nan, "")],
)
def test_bars(share: float, text: str) -> None:
    assert bar(share, 4) == text
