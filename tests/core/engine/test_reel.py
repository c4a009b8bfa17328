"""At a pace tokens are computed in short bursts and shown one by one; their times are those of warm caches."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from engine_fakes import Driver, World

from sg_core.engine.commands import Generate, Load, SetOptimizations, SetPace
from sg_core.engine.events import Done, Metrics, Phase, TokenEvent
from sg_core.engine.reel import BURST
from sg_core.network.optimizations import Optimizations

SLOW = 0.001  # tokens a second: the second one is never shown


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def driver(world: World) -> Iterator[Driver]:
    driver = Driver(world)
    yield driver
    driver.engine.close(timeout=10)


def computed(world: World) -> int:
    return len(world.models[0].sessions[0].seen)


def test_a_burst_is_computed_at_once_and_shown_one_by_one(driver: Driver, world: World) -> None:
    driver.submit(Load(), SetPace(SLOW), Generate(1, "x", max_tokens=30))
    driver.until(lambda: driver.of(TokenEvent))
    assert (len(driver.of(TokenEvent)), computed(world)) == (1, BURST)
    driver.finish(SetPace(0.0))
    tokens = driver.of(TokenEvent)
    assert len(tokens) == 30
    cold = [number for number, event in enumerate(tokens) if event.wall_ms == 0.0]
    assert cold == [0]  # the rest of the burst, and what came at full speed, followed at once
    assert driver.of(Done)[-1].tokens == 30


def test_the_first_token_after_a_rest_is_told_as_cold(driver: Driver) -> None:
    driver.finish(Load(), SetPace(500.0), Generate(1, "x", max_tokens=2 * BURST))
    assert [event.wall_ms == 0.0 for event in driver.of(TokenEvent)] == 2 * [True, *(BURST - 1) * [False]]


def test_a_stop_takes_back_what_was_not_shown(driver: Driver) -> None:
    driver.submit(Load(), SetPace(SLOW), Generate(1, "x", max_tokens=30))
    driver.until(lambda: driver.of(TokenEvent))
    driver.engine.stop()
    driver.until(lambda: not driver.engine.busy, "the end")
    assert driver.of(Done) == [Done(1, "stopped", 1)]
    assert len(driver.of(TokenEvent)) == 1


def test_a_stop_takes_back_an_end_that_was_not_shown(driver: Driver) -> None:
    driver.submit(Load(), SetPace(SLOW), Generate(1, "x", max_tokens=3))
    driver.until(lambda: driver.of(TokenEvent))
    driver.submit(Generate(2, "y", max_tokens=0))
    driver.until(lambda: not driver.engine.busy, "the end")
    assert driver.of(Done) == [Done(1, "stopped", 1), Done(2, "length", 0)]


def test_tokens_keep_the_switches_they_were_computed_with(driver: Driver) -> None:
    off = Optimizations().without("kv_cache")
    driver.submit(Load(), SetPace(SLOW), Generate(1, "x", max_tokens=10))
    driver.until(lambda: driver.of(TokenEvent))
    driver.finish(SetOptimizations(off), SetPace(0.0))
    assert [event.optimizations == off for event in driver.of(TokenEvent)] == BURST * [False] + (10 - BURST) * [True]


def test_a_failure_comes_after_the_tokens_before_it(driver: Driver, world: World) -> None:
    def fail(_: object, count: int) -> None:
        if count == 2:
            raise MemoryError

    world.on_token = fail
    driver.finish(Load(), SetPace(1000.0), Generate(1, "x", max_tokens=10))
    assert len(driver.of(TokenEvent)) == 2
    assert driver.told[-2].__class__.__name__ == "Failed" or driver.told[-1].__class__.__name__ == "Failed"


def test_time_spent_on_kernels_and_weights_is_apart_from_the_first_token(driver: Driver, world: World) -> None:
    world.on_load = lambda name: time.sleep(0.2)
    driver.finish(Load(), Generate(1, "x", max_tokens=2))
    figures = driver.of(Metrics)[-1]
    assert figures.waited_ms >= 150
    assert figures.first_token_ms < 150
    driver.finish(Generate(2, "x", max_tokens=2))
    assert driver.of(Metrics)[-1].waited_ms == 0.0
    assert driver.of(Phase)[-1].name == "idle"
