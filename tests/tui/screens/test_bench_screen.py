"""Stories about the Bench view, and what its rows mean."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_lines, screen_text, see, wait_until
from textual.pilot import Pilot

from sg_core.engine.commands import Bench
from sg_core.engine.events import Done, Failed, Measured
from sg_core.measure.benchmark import Timing
from sg_core.network.optimizations import Optimizations
from sg_tui.app import SgApp
from sg_tui.screens.bench import BenchScreen
from sg_tui.state.bench_state import BenchState, pattern, switched_on


def row(ms: float, optimizations: Optimizations | None = None, request: int = 1, label: str = "a row") -> Measured:
    times = (ms - 0.1, *[ms] * 62, ms + 0.1)
    return Measured(request, label, Timing(optimizations or Optimizations(), "f32", 2, times, sum(times) / 1e3))


def measured(*rows: Measured, every_combination: bool = False) -> BenchState:
    state = BenchState()
    state.asked(Bench(1, 64, every_combination), None)
    for one in rows:
        state.take(one)
    return state


# ------------------------------------------------------------------ what is known


def test_each_row_is_compared_with_the_one_before_and_with_the_first() -> None:
    lines = measured(row(8.0), row(4.0), row(1.0)).lines()
    assert [line.step for line in lines] == pytest.approx([1, 2, 4])
    assert [line.total for line in lines] == pytest.approx([1, 2, 8])
    assert [line.share for line in lines] == pytest.approx([1, 0.5, 0.125])


def test_sorting_keeps_the_comparison() -> None:
    none = Optimizations.none()
    rows = (row(8.0, none), row(2.0, none.with_("linear", "gelu")), row(5.0, none.with_("kv_cache")))
    state = measured(*rows)
    assert [line.ms for line in state.lines("ms")] == [2.0, 5.0, 8.0]
    assert [line.ms for line in state.lines("switches")] == [2.0, 5.0, 8.0]
    assert [line.ms for line in state.lines("order")] == [8.0, 2.0, 5.0]
    assert state.lines("ms")[0].total == pytest.approx(4.0)


def test_rows_of_another_request_are_not_taken() -> None:
    state = measured(row(8.0))
    assert not state.take(row(3.0, request=2))
    assert state.take(Done(1, "stopped", 64))
    assert not state.take(row(3.0))
    assert (len(state.rows), state.running, state.reason) == (1, False, "stopped")


def test_a_failed_measurement_says_why_and_keeps_its_rows() -> None:
    state = measured(row(8.0))
    state.take(Failed("pause the training first", request=1))
    assert (state.running, state.failure, len(state.rows)) == (False, "pause the training first", 1)


def test_a_switch_is_shown_by_its_number() -> None:
    assert pattern(Optimizations()) == "1234567"
    assert pattern(Optimizations.none()) == "·······"
    assert pattern(Optimizations.none().with_("gelu", "unembedding")) == "··3···7"
    assert switched_on(Optimizations.none().with_("kv_cache", "gelu_table")) == (1, 5)


# ------------------------------------------------------------------ stories


class Story:
    def __init__(self, app: SgApp, engine: ScriptedEngine, pilot: Pilot[Any]) -> None:
        self.app, self.engine, self.pilot = app, engine, pilot

    async def see(self, text: str) -> None:
        await see(self.pilot, text)

    async def until(self, predicate: Any) -> None:
        await wait_until(self.pilot, predicate)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    @property
    def asked(self) -> list[Bench]:
        return [command for command in self.engine.submitted if isinstance(command, Bench)]


@asynccontextmanager
async def bench_view(size: tuple[int, int] = WIDE) -> AsyncIterator[Story]:
    engine = ScriptedEngine(automatic=False)
    app = SgApp(engine=engine)
    async with app.run_test(size=size, notifications=True) as pilot:
        story = Story(app, engine, pilot)
        await story.until(lambda: engine.submitted)
        engine.run_until_idle()
        await story.until(lambda: app.desk.generation.loaded)
        await story.press("f4")
        await story.until(lambda: isinstance(app.screen, BenchScreen))
        yield story


def combinations(request: int) -> list[Measured]:
    """All 128, the more switches the faster."""
    rows = []
    for switches in product((False, True), repeat=7):
        optimizations = Optimizations(*switches)
        rows.append(row(10.0 - sum(switches), optimizations, request, pattern(optimizations)))
    return rows


async def test_it_says_what_will_be_measured_on_what() -> None:
    async with bench_view() as story:
        await story.see("tinyshakespeare")
        await story.see("f32  ·  2 threads  ·  64 tokens a row")
        await story.see("all 128 combinations")


async def test_one_key_measures_the_ladder_row_by_row() -> None:
    async with bench_view() as story:
        await story.press("enter")
        await story.until(lambda: story.asked)
        assert (story.asked[0].tokens, story.asked[0].every_combination) == (64, False)
        story.engine.advance(2)
        await story.see("+ KV cache")
        await story.see("measuring row 3 of 8")
        story.engine.advance(7)
        await story.see("done: 8 rows")
        await story.see("1234567")  # the table is drawn after the line above it
        text = screen_text(story.app)
        assert "no optimization" in text
        assert "1234567" in text
        assert "█" in text
        assert "× " in text


async def test_escape_stops_and_what_was_measured_stays() -> None:
    async with bench_view() as story:
        await story.press("enter")
        await story.until(lambda: story.asked)
        story.engine.advance(3)
        await story.see("+ linear")
        await story.press("escape")
        await story.until(lambda: story.engine.stops == 1)
        await story.see("stopped: 3 rows")


async def test_all_combinations_can_be_sorted_and_scrolled() -> None:
    async with bench_view() as story:
        story.engine.script(Bench, [*combinations(1), Done(1, "length", 64)])
        await story.press("a")
        await story.until(lambda: story.asked)
        assert story.asked[0].every_combination
        story.engine.run_until_idle()
        await story.see("done: 128 rows")
        await story.press("o")
        await story.see("fastest first")
        await story.until(lambda: "1234567" in "".join(screen_lines(story.app)[:8]))
        assert "·······" not in screen_text(story.app)
        story.app.screen.query_one("#bench-rows").focus()
        await story.press("end")
        await story.see("·······")


async def test_a_click_on_a_column_sorts_by_it() -> None:
    async with bench_view() as story:
        await story.press("enter")
        await story.until(lambda: story.asked)
        story.engine.run_until_idle()
        await story.see("done: 8 rows, as measured")
        await story.see("switches on")
        await story.until(lambda: story.app.screen.query_one("#bench-head").region.y > 0)  # it has its place
        await story.pilot.click("#bench-head", offset=(38, 0))
        await story.see("fastest first")


async def test_the_number_of_tokens_is_chosen_and_never_more_than_the_context() -> None:
    async with bench_view() as story:
        await story.press("minus")
        await story.see("32 tokens a row")
        await story.press(*["plus"] * 8)
        await story.press("enter")
        await story.until(lambda: story.asked)
        assert story.asked[0].tokens == 256


async def test_what_prevents_a_measurement_is_said() -> None:
    async with bench_view() as story:
        story.engine.script(Bench, [Failed("pause the training first: it would [disturb] it", 1, "Bench")])
        await story.press("enter")
        await story.until(lambda: story.asked)
        story.engine.advance(1)
        await story.see("! pause the training first: it would [disturb] it")


async def test_the_rows_come_also_while_another_view_is_shown() -> None:
    async with bench_view() as story:
        await story.press("enter")
        await story.until(lambda: story.asked)
        await story.press("f2")
        await story.until(lambda: not isinstance(story.app.screen, BenchScreen))
        story.engine.run_until_idle()
        await story.press("f4")
        await story.see("done: 8 rows")


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL, (60, 16)])
async def test_the_table_fits_every_size(size: tuple[int, int]) -> None:
    async with bench_view(size) as story:
        await story.press("enter")
        await story.until(lambda: story.asked)
        story.engine.run_until_idle()
        await story.see("ms/token")
        await story.see("+ unembedding")
        lines = screen_lines(story.app)
        assert len(lines) == size[1]
        assert {len(line) for line in lines} == {size[0]}
