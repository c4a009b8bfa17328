"""The engine thread and the precision of the weights; and what lookup does to its figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from engine_fakes import Driver, FakeSession, World

from sg_core.engine.commands import Generate, Load, SetOptimizations, SetPrecision, Train
from sg_core.engine.events import Done, Failed, Loaded, Metrics, Phase, PrecisionSet, TokenEvent
from sg_core.measure.token_times import WINDOW, TokenTimes
from sg_core.network.optimizations import Optimizations


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def driver(world: World) -> Iterator[Driver]:
    driver = Driver(world)
    yield driver
    driver.engine.close(timeout=10)
    assert not driver.engine._thread.is_alive()


def at(count: int, *commands: Any, driver: Driver, world: World) -> None:
    """Submit these when the token of this number is about to be written."""

    def submit(session: FakeSession, number: int) -> None:
        if number == count:
            driver.submit(*commands)

    world.on_token = submit


def test_a_precision_acts_at_the_next_token_of_a_running_generation(driver: Driver, world: World) -> None:
    at(2, SetPrecision("int8"), driver=driver, world=world)
    driver.finish(Load("a"), Generate(1, "x", max_tokens=5))
    assert world.models[0].sessions[0].precisions == ["f32"] * 3 + ["int8"] * 2
    assert [event.precision for event in driver.told if isinstance(event, TokenEvent | PrecisionSet)] == [
        "f32", "f32", "f32", "int8", "int8", "int8",
    ]  # fmt: skip
    assert driver.of(Done) == [Done(1, "length", 5)]


def test_kernels_are_compiled_and_weights_converted_before_and_it_is_told(driver: Driver, world: World) -> None:
    driver.finish(Load("a"))
    told = driver.finish(SetPrecision("int8"))
    names = [event.name if isinstance(event, Phase) else type(event).__name__ for event in told]
    assert list(dict.fromkeys(name for name in names if name != "idle")) == ["compiling", "converting", "PrecisionSet"]
    assert Phase("converting", "int8") in told
    for precision in ("int4", "f32", "bf16"):
        driver.finish(SetPrecision(precision))
    assert world.log == ["compile f32", "compile bf16"]  # one set of kernels for all that is not f32


def test_a_precision_outlives_the_model(driver: Driver, world: World) -> None:
    for command in (Load("a"), SetPrecision("bf16"), Load("b"), Load("c", precision="int8"), Load("d")):
        driver.finish(command)
    assert [loaded.precision for loaded in driver.of(Loaded)] == ["f32", "bf16", "int8", "int8"]
    assert [model.sessions[0].precision for model in world.models] == ["bf16", "bf16", "int8", "int8"]


def test_a_model_held_in_one_precision_follows_another(driver: Driver, world: World) -> None:
    driver.finish(SetPrecision("int8"))
    driver.finish(Load("a", one_precision=True))
    assert world.models[0].precision == "int8"
    driver.finish(SetPrecision("bf16"))
    assert [loaded.precision for loaded in driver.of(Loaded)] == ["int8"]
    assert world.models[0].sessions[0].precision == "bf16"


def test_a_precision_may_be_set_before_a_model_is_there(driver: Driver, world: World) -> None:
    driver.finish(SetPrecision("int8"))
    assert world.log == []
    driver.finish(Load("a"))
    assert [loaded.precision for loaded in driver.of(Loaded)] == ["int8"]
    assert world.log == ["compile bf16"]


def test_what_is_unknown_is_refused_and_the_old_one_stays(driver: Driver, world: World) -> None:
    driver.finish(Load("a"), SetPrecision("int8"))
    driver.finish(SetPrecision("f64"))
    (failed,) = driver.of(Failed)
    assert "choose from f32, bf16, int8, w8a8, int4" in failed.message
    assert (failed.request, failed.command) == (None, "SetPrecision")
    assert driver.of(PrecisionSet) == [PrecisionSet("int8")]
    assert world.models[0].sessions[0].precision == "int8"
    driver.finish(Load("b"))
    assert driver.of(Loaded)[-1].precision == "int8"


def test_loading_in_a_precision_that_is_unknown_fails(driver: Driver) -> None:
    driver.finish(Load("a", precision="int2"))
    assert "precision is 'int2'" in driver.of(Failed)[0].message
    assert driver.of(Loaded) == []


def test_of_several_that_wait_the_last_one_counts(driver: Driver, world: World) -> None:
    at(1, SetPrecision("bf16"), SetPrecision("int8"), driver=driver, world=world)
    driver.finish(Load("a"), Generate(1, "x", max_tokens=4))
    assert driver.of(PrecisionSet) == [PrecisionSet("int8")]
    assert world.models[0].sessions[0].precisions == ["f32"] * 2 + ["int8"] * 2


def test_the_model_in_training_is_asked_in_the_same_precision(driver: Driver, world: World) -> None:
    driver.finish(SetPrecision("int8"), Train(sample_every=0))
    driver.finish(Generate(1, "x", 2, from_training=True))
    trained = world.trainers[0].model.sessions
    assert {session.precision for session in trained} == {"int8"}
    driver.finish(SetPrecision("f32"))
    assert {session.precision for session in trained} == {"f32"}


# ---------------------------------------------------------------- lookup


def test_with_lookup_the_pace_is_the_mean_and_the_drafts_are_counted(driver: Driver, world: World) -> None:
    driver.finish(Load(), SetOptimizations(Optimizations().with_("lookup")), Generate(1, "x", max_tokens=20))
    figures = driver.of(Metrics)[-1]
    assert (figures.ms_per_token, figures.tokens_per_second) == (1.0, 1000.0)
    assert (figures.drafted, figures.accepted) == (20, 10)
    assert all(event.optimizations.lookup for event in driver.of(TokenEvent))
    driver.finish(Generate(2, "x", max_tokens=4))
    figures = driver.of(Metrics)[-1]
    assert (figures.drafted, figures.accepted) == (4, 2)  # of this generation alone


def test_times_of_bursts_and_of_single_tokens_are_not_mixed() -> None:
    times = TokenTimes()
    assert (times.per_token, times.p95, times.tokens_per_second) == (0.0, 0.0, 0.0)
    for ms in (3.0, 4.0, 9.0):
        times.add(ms)
    assert times.per_token == 4.0
    for ms in (8.0, 0.0, 0.0, 0.0):
        times.add(ms, bursts=True)
    assert (times.per_token, times.tokens_per_second) == (2.0, 500.0)
    times.add(5.0)
    assert times.per_token == 5.0


def test_old_times_are_forgotten() -> None:
    times = TokenTimes()
    for ms in [100.0] * 10 + [1.0] * WINDOW:
        times.add(ms)
    assert (times.per_token, times.p95) == (1.0, 1.0)
