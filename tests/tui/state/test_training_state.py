"""What the training view knows, without any view: averages, time left, pauses, failures, runs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_core.config import GPT2Config
from sg_core.engine.commands import Train
from sg_core.engine.events import Event, Failed, Loaded, Phase, Sample, Saved, TrainingEnded, TrainingStarted
from sg_core.storage.run_log import BACK, RunEvent
from sg_core.training.results import Evaluation, StepResult
from sg_core.training.settings import TrainingConfig
from sg_tui.state.training_run import Curve, Smoothed, seconds_left
from sg_tui.state.training_state import SAMPLES_KEPT, TrainingState

CONFIG = GPT2Config(vocab_size=512, n_ctx=64, n_layer=2, n_head=2, n_embd=32)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def started(steps: int = 100, first_step: int = 0, data: str = "tinyshakespeare") -> TrainingStarted:
    training = TrainingConfig(steps=steps, batch_size=4, context=32, accumulation=2)
    return TrainingStarted("tiny", CONFIG, training, data, 1000, 100, first_step, "runs/a")


def step(number: int, loss: float = 2.0) -> StepResult:
    return StepResult(number, loss, 1e-3, 0.5, 1000.0)


def running(*events: Event, clock: Clock | None = None) -> TrainingState:
    state = TrainingState(clock or Clock())
    state.asked(Train())
    for event in (started(), *events):
        state.take(event)
    return state


# ------------------------------------------------------------------ averages

losses = st.lists(st.floats(min_value=-1e6, max_value=1e6), min_size=1, max_size=60)


@given(losses, st.floats(min_value=0.0, max_value=0.999))
def test_the_average_is_the_weighted_mean_of_all_values_so_far(values: list[float], decay: float) -> None:
    average = Smoothed(decay)
    for value in values:
        average.add(value)
    weights = [decay ** (len(values) - 1 - i) for i in range(len(values))]
    expected = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    assert average.value == pytest.approx(expected, rel=1e-6, abs=1e-3)


@given(losses)
def test_the_average_stays_within_what_was_seen(values: list[float]) -> None:
    average = Smoothed()
    for value in values:
        average.add(value)
    slack = 1e-9 * max(abs(v) for v in values) + 1e-300  # rounding, also of the smallest numbers there are
    assert min(values) - slack <= average.value <= max(values) + slack


def test_the_average_begins_at_the_first_value_and_ignores_what_is_not_finite() -> None:
    average = Smoothed()
    assert math.isnan(average.value)
    assert average.add(7.5) == pytest.approx(7.5)
    assert average.add(math.nan) == pytest.approx(7.5)
    assert average.add(math.inf) == pytest.approx(7.5)


def test_the_average_of_a_step_does_not_depend_on_later_ones() -> None:
    short, long = Curve(), Curve()
    for number, loss in enumerate([6.0, 5.0, 4.5, 1.0, 9.0]):
        if number < 3:
            short.add(number, loss, number)
        long.add(number, loss, number)
    assert list(short.smoothed) == list(long.smoothed)[:3]


def test_a_step_that_is_not_finite_is_a_gap_and_counted() -> None:
    curve = Curve()
    for number, loss in enumerate([3.0, math.inf, math.nan, 2.0]):
        curve.add(number, loss, number)
    assert [math.isnan(loss) for loss in curve.losses] == [False, True, True, False]
    assert [math.isnan(loss) for loss in curve.smoothed] == [False, True, True, False]
    assert curve.skipped == 2
    assert math.isfinite(curve.average)


def test_a_skipped_step_is_a_gap_also_where_its_loss_is_finite() -> None:
    state = running(step(1), StepResult(2, 2.5, 1e-3, math.inf, 1000.0, skipped=True), step(3))
    assert state.run is not None
    assert [math.isnan(loss) for loss in state.run.curve.losses] == [False, True, False]


# ------------------------------------------------------------------ time


@given(
    st.integers(2, 1000),
    st.floats(min_value=1e-3, max_value=100.0),
    st.integers(0, 10_000),
    st.integers(0, 500),
)
def test_at_a_steady_pace_the_time_left_is_the_steps_left_times_the_pace(
    done: int, pace: float, left: int, first: int
) -> None:
    steps = [float(first + i) for i in range(done)]
    times = [pace * i for i in range(done)]
    assert seconds_left(steps, times, first + done - 1 + left) == pytest.approx(pace * left, rel=1e-6, abs=1e-6)


def test_the_time_left_is_unknown_before_a_pace_is_and_nothing_after_the_end() -> None:
    assert math.isnan(seconds_left([], [], 10))
    assert math.isnan(seconds_left([3.0], [1.0], 10))
    assert seconds_left([9.0, 10.0], [1.0, 2.0], 10) == 0.0


def test_the_time_left_follows_the_latest_pace() -> None:
    steps = [float(i) for i in range(1001)]
    times = [i * 1.0 if i <= 500 else 500 + (i - 500) * 0.1 for i in range(1001)]
    assert seconds_left(steps, times, 1100) == pytest.approx(10.0)


def test_a_pause_is_not_counted_as_training() -> None:
    clock = Clock()
    state = running(clock=clock)
    clock.now += 10
    state.take(step(1))
    state.take(Phase("paused"))
    clock.now += 1000
    assert state.seconds == pytest.approx(10)
    state.take(Phase("training"))
    clock.now += 5
    state.take(step(2))
    assert state.run is not None
    assert state.status == "running"
    assert list(state.run.curve.seconds) == pytest.approx([10, 15])


def test_going_back_takes_back_the_time_since_then() -> None:
    clock = Clock()
    state = running(clock=clock)
    for number in range(1, 11):
        clock.now += 2
        state.take(step(number))
    state.take(RunEvent(1, 0, 10, BACK, {"to": 5}))
    assert state.seconds == 10
    clock.now += 3
    assert state.seconds == 13


def test_talking_during_a_pause_leaves_it_a_pause() -> None:
    state = running(Phase("paused"), Phase("prefill"), Phase("decoding"), Phase("idle"))
    assert state.status == "paused"


# ------------------------------------------------------------------ runs


def test_a_run_from_its_start_to_its_end() -> None:
    state = TrainingState(Clock())
    assert not state.live
    state.asked(Train())
    assert (state.status, state.live) == ("starting", True)
    state.take(Phase("compiling", "linear", 3, 11))
    assert state.phase.done == 3
    for event in (started(), step(1, 5.0), step(2, 4.0), Evaluation(2, 4.2, 1.68), Saved(2, "runs/a/2")):
        state.take(event)
    run = state.run
    assert run is not None
    assert (state.status, run.step, run.tokens_per_step) == ("running", 2, 4 * 32 * 2)
    assert run.characters_per_token == pytest.approx(2.5)
    assert state.unsaved_steps == 0
    state.take(step(3))
    assert state.unsaved_steps == 1
    state.stopping()
    assert state.status == "stopping"
    state.take(TrainingEnded(3, "stopped"))
    assert (state.status, state.live) == ("ended", False)


def test_the_best_evaluation_is_the_lowest_finite_one() -> None:
    state = running(
        Evaluation(1, 4.0, 1.6),
        Evaluation(2, math.nan, math.nan),
        Evaluation(3, 3.0, 1.2),
        Evaluation(4, 3.5, 1.4),
    )
    assert state.run is not None
    assert state.run.best == Evaluation(3, 3.0, 1.2)


def test_a_second_run_leaves_the_first_to_compare_with() -> None:
    state = running(step(1), TrainingEnded(1, "stopped"))
    state.asked(Train(data="python-docs"))
    state.take(started(data="python-docs"))
    assert state.run is not None
    assert [run.name for run in state.earlier] == ["tiny on tinyshakespeare"]
    assert (state.earlier[0].number, state.run.number) == (0, 1)
    assert len(state.run.curve) == 0


def test_a_run_that_goes_on_keeps_its_curve_up_to_its_checkpoint() -> None:
    state = running(*(step(number) for number in range(1, 11)), Evaluation(4, 3.0, 1.2), Evaluation(8, 2.9, 1.1))
    state.take(Saved(6, "runs/a/6"))
    state.take(TrainingEnded(10, "failed"))
    assert state.resumable is state.run
    assert state.run is not None
    assert state.run.resumable == "runs/a"
    state.asked(Train(resume="runs/a"))
    assert state.resumable is None
    state.take(started(first_step=6))
    state.take(step(7, 1.0))
    assert (state.earlier, state.run.step) == ([], 7)
    assert list(state.run.curve.steps) == [1, 2, 3, 4, 5, 6, 7]
    assert state.run.curve.losses[-1] == 1.0
    assert [one.step for one in state.run.evaluations] == [4]


def test_a_finished_run_can_not_go_on() -> None:
    state = running(step(100), Saved(100, "runs/a/100"), TrainingEnded(100, "finished"))
    assert state.resumable is None


def test_a_run_of_an_earlier_session_is_remembered_once_and_can_go_on() -> None:
    before = running(step(1), step(2), Saved(2, "runs/a/2"))
    assert before.run is not None
    state = TrainingState(Clock())
    state.remember([before.run])
    state.remember([before.run])
    assert len(state.earlier) == 1
    assert state.resumable is before.run
    state.asked(Train(resume="runs/a"))
    state.take(started(first_step=2))
    assert state.run is before.run
    assert (state.earlier, before.run.remembered) == ([], False)


def test_a_failed_start_is_told_and_keeps_the_finished_run() -> None:
    state = TrainingState(Clock())
    state.asked(Train())
    state.take(Failed("tinyshakespeare is not here"))
    assert (state.status, state.failure) == ("none", "tinyshakespeare is not here")
    finished = running(step(1), TrainingEnded(1, "finished"))
    finished.asked(Train())
    finished.take(Failed("no"))
    finished.take(TrainingEnded(0, "failed"))
    assert (finished.status, finished.failure) == ("ended", "no")
    assert finished.ended is not None
    assert finished.ended.reason == "finished"


@pytest.mark.parametrize("failed_first", [True, False])
def test_the_reason_of_a_failure_is_kept_in_either_order(failed_first: bool) -> None:
    events: list[Event] = [Failed("the loss is not finite"), TrainingEnded(5, "failed")]
    state = running(step(5))
    for event in events if failed_first else reversed(events):
        state.take(event)
    assert (state.status, state.failure) == ("ended", "the loss is not finite")


def test_what_does_not_belong_to_the_training_changes_nothing() -> None:
    state = TrainingState(Clock())
    before = state.version
    for event in (Phase("loading"), Failed("no such model"), Failed("x", request=3), step(1), Sample(1, "a")):
        assert not state.take(event)
    live = running()
    assert not live.take(Loaded("m", CONFIG, "f32", 2))
    assert not live.take(Failed("of a generation", request=1))
    assert (state.version, live.failure) == (before, "")


def test_the_version_grows_with_every_change() -> None:
    state = running()
    version = state.version
    state.take(step(1))
    assert state.version > version


def test_samples_do_not_grow_without_end() -> None:
    state = running(*(Sample(number, "text") for number in range(SAMPLES_KEPT + 20)))
    assert state.run is not None
    assert len(state.run.samples) == SAMPLES_KEPT
    assert state.run.samples[-1].step == SAMPLES_KEPT + 19
