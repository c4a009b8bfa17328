"""One statistic, of which everything beside it is a part; and a word where it can't be trusted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_core.engine.events import TokenEvent
from sg_core.inference.token import Token
from sg_core.measure.token_times import WINDOW
from sg_core.network.optimizations import Optimizations
from sg_tui.state.generation_state import GenerationState
from sg_tui.state.speed_state import ALIKE, Speed
from sg_tui.widgets.speed_panel import condition

ON = Optimizations()


def event(
    ms: float, share: float = 0.5, optimizations: Optimizations = ON, extra: float = 0.0, lost: int = 0, moved: int = 0
) -> TokenEvent:
    token = Token(1, "x", -1.0, (), ms, {"linear": share * ms, "other": (1 - share) * ms}, moved)
    return TokenEvent(1, token, (), optimizations, "f32", 0, ms + extra or 0.01, lost)


def speed(*events: TokenEvent) -> Speed:
    made = Speed()
    for one in events:
        made.take(one)
    return made


@given(st.lists(st.floats(0.01, 500.0), min_size=1, max_size=90))
def test_the_operations_sum_to_ms_a_token(times: list[float]) -> None:
    made = speed(*(event(ms) for ms in times))
    figure = made.figure
    assert figure is not None
    assert sum(made.operations.values()) == pytest.approx(figure.ms, rel=ALIKE + 1e-9)
    assert figure.low <= figure.ms <= figure.high


def test_the_figure_says_what_it_is_of_how_many_tokens() -> None:
    made = speed(*(event(ms) for ms in [9.0] * 30 + [1.0, 2.0, 3.0, 4.0] * (WINDOW // 4)))
    figure = made.figure
    assert figure is not None
    assert (figure.name, figure.ms, figure.low, figure.high) == (f"median of {WINDOW}", 2.5, 2.0, 3.0)


def test_tokens_in_bursts_have_a_mean_and_so_have_their_operations() -> None:
    lookup = ON.with_("lookup")
    made = speed(*(event(ms, optimizations=lookup) for ms in (4.0, 0.0) * 10))
    figure = made.figure
    assert figure is not None
    assert (figure.name, figure.ms) == ("mean of 20", 2.0)
    assert sum(made.operations.values()) == pytest.approx(2.0)
    assert not made.busy


def test_what_the_app_adds_is_told_apart_from_moves_of_the_context() -> None:
    made = speed(*(event(1.0, extra=0.2) for _ in range(9)), event(1.0, extra=10.2, moved=64))
    assert made.wall_ms == pytest.approx(2.2)
    assert made.tax == pytest.approx(0.2)


def test_even_tokens_are_of_a_quiet_machine_also_while_they_become_dearer() -> None:
    assert not speed(*(event(0.1 * number) for number in range(10, 74))).busy


@pytest.mark.parametrize("lost", [0, 3])
def test_a_machine_that_others_use_is_called_busy(lost: int) -> None:
    uneven = [1.0, 1.0] if lost else [1.0, 2.0]
    assert speed(*(event(ms, lost=lost) for ms in uneven * 10)).busy
    assert not speed(*(event(ms, lost=lost) for ms in uneven * 3)).busy  # too few to tell


@pytest.mark.parametrize(
    ("compiled", "words"),
    [(0, "the machine is busy"), (9, "kernels are compiled meanwhile"), (2, "the machine is busy")],
)
def test_what_the_engine_compiles_itself_is_not_called_the_load_of_others(compiled: int, words: str) -> None:
    state = GenerationState()
    for number in range(20):
        state.speed.take(replace(event(1.0 + number % 2), compiling=number < compiled))
    assert state.speed.busy
    assert condition(state) == words


def test_nothing_is_told_before_a_token() -> None:
    made = Speed()
    assert (made.figure, made.operations, made.wall_ms, made.tax, made.busy) == (None, {}, 0.0, 0.0, False)
