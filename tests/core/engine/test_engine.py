"""The engine thread: models, generations, settings, stops, failures and the end. Training: test_engine_training."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_fakes import Driver as BaseDriver
from engine_fakes import FakeSession, World

from sg_core import notices
from sg_core.engine.commands import (
    Bench,
    Generate,
    Load,
    SetOptimizations,
    SetPace,
    SetSampling,
    SetThreads,
)
from sg_core.engine.events import ContextMoved, Done, Failed, Loaded, Measured, Metrics, Notice, Phase, TokenEvent
from sg_core.inference.sampling import Sampling
from sg_core.network.optimizations import Optimizations


class Driver(BaseDriver):
    def text(self, request: int) -> str:
        return "".join(event.token.text for event in self.of(TokenEvent) if event.request == request)

    def done(self, request: int) -> Done:
        (done,) = [event for event in self.of(Done) if event.request == request]
        return done


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def driver(world: World) -> Iterator[Driver]:
    driver = Driver(world)
    yield driver
    driver.engine.close(timeout=10)
    assert not driver.engine._thread.is_alive()


def wait(gate: threading.Event) -> None:
    assert gate.wait(20)


def expected(count: int) -> str:
    return "".join(f"t{number} " for number in range(count))


def test_importing_the_engine_imports_no_numbers() -> None:
    check = (
        "import sys, sg_core.engine.engine; sys.exit(bool({'numpy', 'numba', 'textual', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_loading_tells_its_phases_and_the_model(driver: Driver) -> None:
    told = driver.finish(Load("a", threads=3))
    driver.until(lambda: driver.of(Phase)[-1].name == "idle")
    names = [event.name for event in driver.of(Phase)]
    assert list(dict.fromkeys(names)) == ["importing", "loading", "compiling", "idle"]
    assert Phase("compiling", "kernel", 0, 2) in told
    (loaded,) = driver.of(Loaded)
    assert (loaded.model, loaded.precision, loaded.threads) == ("a", "f32", 3)


def test_kernels_are_compiled_once(driver: Driver, world: World) -> None:
    driver.finish(Load("a"), Load("b"))
    assert world.log == ["compile f32"]


def test_generation_streams_text_and_ends(driver: Driver) -> None:
    driver.finish(Load(), Generate(1, "Hello", max_tokens=70))
    assert driver.text(1) == expected(70)
    assert driver.done(1) == Done(1, "length", 70)
    figures = driver.of(Metrics)
    assert figures[0].tokens == 1
    assert (figures[-1].tokens, figures[-1].ms_per_token, figures[-1].tokens_per_second) == (70, 2.0, 500.0)
    assert (figures[-1].context_used, figures[-1].context_size) == (64, 64)
    first = driver.of(TokenEvent)[0]
    assert (first.token.top, first.top_texts) == (((0, -0.5), (99, -2.0)), ("<0>", "\ufffd"))


def test_stop_ends_the_generation_before_its_next_token(driver: Driver, world: World) -> None:
    world.on_token = lambda session, count: driver.engine.stop() if count == 4 else None
    driver.finish(Load(), Generate(1, "x"))
    assert driver.done(1) == Done(1, "stopped", 5)


def test_a_pace_makes_tokens_come_slowly_and_tells_their_true_times(driver: Driver) -> None:
    driver.finish(Load(), SetPace(50.0))
    began = time.monotonic()
    driver.finish(Generate(1, "x", max_tokens=6))
    assert time.monotonic() - began >= 5 / 50
    assert driver.text(1) == expected(6)
    assert driver.of(Metrics)[-1].ms_per_token == 2.0
    began = time.monotonic()
    driver.finish(SetPace(0.01), Generate(2, "x", max_tokens=3), SetPace(0.0))
    assert time.monotonic() - began < 50  # a new pace holds at once
    assert driver.text(2) == expected(3)
    (failed,) = driver.finish(SetPace(-1.0))[:1]
    assert isinstance(failed, Failed)


def test_a_stop_does_not_wait_for_the_token_that_is_due_later(driver: Driver) -> None:
    driver.submit(Load(), SetPace(0.001), Generate(1, "x"))
    driver.until(lambda: driver.text(1) == expected(1))
    driver.engine.stop()
    driver.until(lambda: not driver.engine.busy, "the end")
    assert driver.done(1) == Done(1, "stopped", 1)
    driver.finish(SetPace(0.0), Generate(2, "x", max_tokens=2))
    assert driver.text(2) == expected(2)


def test_stop_is_seen_within_the_prompt(driver: Driver, world: World) -> None:
    world.prefill_chunks = 1000
    world.on_prefill = lambda chunk: driver.engine.stop() if chunk == 3 else None
    driver.finish(Load(), Generate(1, "x"))
    assert driver.done(1) == Done(1, "stopped", 0)
    assert [phase.done for phase in driver.of(Phase) if phase.name == "prefill"][-1] <= 3


def test_stop_concerns_only_what_was_asked_for_before_it(driver: Driver, world: World) -> None:
    driver.finish(Load())
    gate = threading.Event()
    world.on_token = lambda session, count: wait(gate)
    driver.submit(Generate(1, "x"), Generate(2, "x"))
    driver.engine.stop()
    driver.engine.stop()
    driver.submit(Generate(3, "x", max_tokens=3))
    gate.set()
    driver.finish()
    assert [driver.done(request).reason for request in (1, 2, 3)] == ["stopped", "stopped", "length"]
    assert driver.done(2).tokens == 0
    assert driver.text(3) == expected(3)


def test_a_new_generation_ends_the_one_that_runs(driver: Driver, world: World) -> None:
    def ask_again(session: FakeSession, count: int) -> None:
        if len(session.seen) == 4:
            driver.submit(Generate(2, "y", max_tokens=2))

    world.on_token = ask_again
    driver.finish(Load(), Generate(1, "x"))
    assert driver.done(1) == Done(1, "stopped", 5)
    assert driver.text(2) == expected(2)
    order = [event.request for event in driver.told if isinstance(event, Done | TokenEvent)]
    assert order == sorted(order)


def test_a_model_that_cannot_be_loaded_leaves_the_old_one(driver: Driver, world: World) -> None:
    world.on_token = lambda session, count: driver.submit(Load("missing")) if count == 2 else None
    driver.finish(Load("a"), Generate(1, "x"))
    assert driver.done(1).reason == "stopped"
    (failed,) = driver.of(Failed)
    assert failed == Failed("missing is not there; see sg-tui models list", None, "Load")
    world.on_token = lambda session, count: None
    driver.finish(Generate(2, "x", max_tokens=3))
    assert driver.text(2) == expected(3)
    assert [model.name for model in world.models] == ["a"]


def test_the_first_load_outlives_a_stop_and_a_later_one_does_not(driver: Driver, world: World) -> None:
    world.on_load = lambda name: driver.engine.stop()
    driver.finish(Load("a"), Generate(1, "x"))
    assert [loaded.model for loaded in driver.of(Loaded)] == ["a"]
    assert driver.done(1) == Done(1, "stopped", 0)
    driver.finish(Load("b"))
    assert [loaded.model for loaded in driver.of(Loaded)] == ["a"]
    assert driver.of(Failed)[-1].message == "loading b was stopped"


def test_a_newer_load_takes_the_place_of_the_one_that_runs(driver: Driver, world: World) -> None:
    world.on_load = lambda name: driver.submit(Load("b")) if name == "a" else None
    driver.finish(Load("a"))
    assert [loaded.model for loaded in driver.of(Loaded)] == ["b"]


def test_switches_and_threads_act_at_the_next_token_and_outlive_the_model(driver: Driver, world: World) -> None:
    off = Optimizations.none()

    def change(session: FakeSession, count: int) -> None:
        if count == 2:
            driver.submit(SetOptimizations(off), SetThreads(2))

    world.on_token = change
    driver.finish(Load("a"), Generate(1, "x", max_tokens=5))
    on = Optimizations()
    assert world.models[0].sessions[0].seen == [(on, 7)] * 3 + [(off, 2)] * 2
    driver.finish(Load("b"), Generate(2, "x", max_tokens=1))
    assert world.models[1].sessions[0].seen == [(off, 2)]
    driver.finish(SetThreads(None))
    assert world.models[1].sessions[0].threads == 7


def test_what_the_machine_tells_becomes_a_notice(driver: Driver, world: World) -> None:
    world.on_load = lambda name: notices.tell(f"the machine, at {id(driver)}")
    driver.finish(Load("a"), Load("b"))
    assert driver.of(Notice) == [Notice(f"the machine, at {id(driver)}")]


def test_wrong_threads_are_refused(driver: Driver) -> None:
    driver.finish(Load(), SetThreads(0))
    assert "threads is 0" in driver.of(Failed)[0].message


def test_sampling_changes_while_text_streams(driver: Driver, world: World) -> None:
    seeds: list[int] = []

    def change(session: FakeSession, count: int) -> None:
        seeds.append(session.sampling.seed)
        if count == 1:
            driver.submit(SetSampling(Sampling(seed=9)))

    world.on_token = change
    driver.finish(Load(), Generate(1, "x", max_tokens=4, sampling=Sampling(seed=1)))
    assert seeds == [1, 1, 9, 9]


def test_a_moved_context_is_told_before_its_token(driver: Driver, world: World) -> None:
    world.moved_at = 3
    driver.finish(Load(), Generate(1, "x", max_tokens=5))
    place = driver.told.index(ContextMoved(1, 32))
    assert sum(isinstance(event, TokenEvent) for event in driver.told[:place]) == 3


def test_generating_without_a_model_fails_with_its_request(driver: Driver) -> None:
    driver.finish(Generate(5, "x"))
    assert driver.of(Failed) == [Failed("no model is loaded; load one first", 5, "Generate")]
    assert driver.of(Done) == []


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "not enough memory for this; choose a smaller model, batch or context"),
        (OSError(5, "Input/output error", "model.bin"), "model.bin: Input/output error"),
        (ZeroDivisionError("a\nb"), "internal error: ZeroDivisionError: a b"),
    ],
)
def test_any_failure_is_one_line_and_the_thread_lives(
    driver: Driver, world: World, error: Exception, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SG_HOME", str(tmp_path))
    monkeypatch.setattr("sg_core.crash_report._written", {})

    def fail(session: FakeSession, count: int) -> None:
        if count == 2:
            raise error

    world.on_token = fail
    driver.finish(Load(), Generate(1, "x"))
    (failed,) = driver.of(Failed)
    assert (failed.message.partition("; a report of it is in ")[0], failed.request) == (line, 1)
    assert list((tmp_path / "data").glob("crash-*.txt")) != [] or "internal error" not in line
    assert driver.of(Done) == []
    assert "in fail" in driver.engine.last_traceback
    driver.finish(Generate(2, "x", max_tokens=2))
    assert driver.text(2) == expected(2)


def test_damaged_weights_are_told(driver: Driver, world: World) -> None:
    world.damaged = ("wte\n",)
    driver.finish(Load())
    assert driver.of(Notice)[0].text == "1 tensors hold NaN or infinite numbers, first wte\\n"
    assert len(driver.of(Loaded)) == 1


def test_bench_tells_its_rows_and_stops_on_demand(driver: Driver, world: World) -> None:
    driver.finish(Load(), Bench(3, tokens=10))
    assert len(driver.of(Measured)) == 8
    assert driver.done(3) == Done(3, "length", 80)
    world.on_row = lambda row: driver.engine.stop() if row == 2 else None
    driver.finish(Bench(4, tokens=10))
    assert driver.done(4) == Done(4, "stopped", 20)


def test_an_idle_engine_sleeps(driver: Driver) -> None:
    driver.finish(Load())
    driver.until(lambda: driver.of(Phase)[-1].name == "idle")
    ident = driver.engine._thread.ident
    assert ident is not None
    driver.until(lambda: sys._current_frames()[ident].f_code.co_name == "take")
    for _ in range(1000):  # a loop that polled would be seen elsewhere
        assert sys._current_frames()[ident].f_code.co_name == "take"


def test_close_ends_a_running_generation(driver: Driver) -> None:
    driver.finish(Load())
    driver.submit(Generate(1, "x", max_tokens=10**9))
    driver.until(lambda: driver.of(TokenEvent))
    driver.engine.close(timeout=20)
    assert not driver.engine._thread.is_alive()
    assert driver.done(1).reason == "stopped"


def test_close_does_not_wait_for_what_does_not_end(world: World) -> None:
    gate = threading.Event()
    world.on_load = lambda name: wait(gate)
    driver = Driver(world)
    driver.submit(Load())
    driver.until(lambda: any(phase.name == "loading" for phase in driver.of(Phase)))
    driver.engine.close(timeout=0.05)
    assert driver.engine._thread.is_alive()
    assert driver.engine._thread.daemon
    gate.set()
    driver.until(lambda: not driver.engine._thread.is_alive())


def test_an_engine_that_never_started_closes() -> None:
    from sg_core.engine.engine import Engine

    Engine().close()


def test_a_stop_tells_the_text_that_was_held_back(driver: Driver, world: World) -> None:
    world.held_back = "\n"  # what might have become a stop string
    world.on_token = lambda session, count: driver.engine.stop() if count == 3 else None
    driver.finish(Load(), Generate(1, "x", max_tokens=100))
    (done,) = driver.of(Done)
    assert (done.reason, done.rest) == ("stopped", "\n")
    world.on_token = lambda session, count: None
    driver.finish(Generate(2, "x", max_tokens=3))
    assert driver.of(Done)[-1].rest == ""
