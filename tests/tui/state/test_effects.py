"""What a switch is worth is told from tokens that were timed, and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sg_core.config import GPT2Config
from sg_core.engine.commands import Generate
from sg_core.engine.events import Failed, Loaded, Metrics, Phase, PrecisionSet, TokenEvent
from sg_core.inference.token import Token
from sg_core.network.optimizations import Optimizations
from sg_tui.state.effects import Effects
from sg_tui.state.generation_state import GenerationState
from sg_tui.widgets.optimizations_panel import drafts_text, effect_text, switches_text

ON, OFF = Optimizations(), Optimizations().without("kv_cache")


def measured(on: float, off: float, positions: range = range(10, 40)) -> Effects:
    effects = Effects()
    for position in positions:
        effects.add(ON, position, on)
        effects.add(OFF, position, off)
    return effects


def test_nothing_is_told_before_both_ways_were_timed() -> None:
    effects = Effects()
    for position in range(50):
        effects.add(ON, position, 1.0)
    assert effects.of(ON, "kv_cache") is None
    assert effects.of(ON, "gelu") is None


def test_the_times_with_and_without_are_told_whichever_holds_now() -> None:
    effects = measured(0.5, 3.0)
    assert effects.of(ON, "kv_cache") == (0.5, 3.0)
    assert effects.of(OFF, "kv_cache") == (0.5, 3.0)


def test_tokens_far_apart_are_not_compared() -> None:
    effects = Effects()
    for position in range(30):
        effects.add(ON, position, 1.0)
        effects.add(OFF, position + 200, 9.0)
    assert effects.of(ON, "kv_cache") is None


def test_other_switches_must_stand_alike() -> None:
    effects = measured(0.5, 3.0)
    assert effects.of(ON.without("gelu"), "kv_cache") is None


def test_a_cost_that_grows_with_the_position_is_compared_at_like_positions() -> None:
    effects = Effects()
    for position in range(10, 110):
        effects.add(OFF, position, position * 1.0)
        effects.add(ON, position, position * 0.5)
    on, off = effects.of(ON, "kv_cache") or (0.0, 0.0)
    assert off == pytest.approx(2 * on)


@pytest.mark.parametrize(
    ("on", "off", "text"),
    [(1.0, 6.1, "× 6.1"), (1.0, 26.4, "× 26"), (1.0, 1.2, "+0.20 ms"), (0.5, 0.55, "+0.050 ms"),
     (1.0, 1.01, "no change"), (1.0, 0.8, "−0.20 ms"), (0.0, 1.0, "")],
)  # fmt: skip
def test_an_effect_in_words(on: float, off: float, text: str) -> None:
    assert effect_text(on, off) == text


def test_switches_in_one_line() -> None:
    assert switches_text(ON.without("gelu")) == "1+2+3-4+5+6+7+8-9-"


def token(ms: float, request: int = 1, optimizations: Optimizations = ON, precision: str = "f32") -> TokenEvent:
    return TokenEvent(request, Token(1, "x", -1.0, (), ms, {"linear": ms}), (), optimizations, precision)


def metrics(used: int) -> Metrics:
    return Metrics(1, 1, 1.0, 1.0, 1000.0, 9.0, 5.0, used, 256)


def test_the_first_token_after_a_change_is_not_counted() -> None:
    state = GenerationState()
    state.asked(Generate(1, "x"))
    for number in range(20):
        state.take(token(100.0 if number == 0 else 1.0))
        state.take(metrics(number + 1))
    state.switch(OFF)
    state.take(token(1.0))  # written before the engine heard of it
    for number in range(20):
        state.take(token(100.0 if number == 0 else 5.0, optimizations=OFF))
        state.take(metrics(20 + number))
    assert state.effects.of(OFF, "kv_cache") == (1.0, 5.0)


def test_precisions_are_kept_apart() -> None:
    state = GenerationState()
    state.take(Loaded("m", GPT2Config.gpt2(), "f32", 1))
    state.asked(Generate(1, "x"))
    for precision, on_ms in (("f32", 1.0), ("int8", 0.5)):
        state.take(PrecisionSet(precision))
        for optimizations, ms in ((ON, on_ms), (OFF, 5 * on_ms)):
            for number in range(20):
                state.take(token(ms, optimizations=optimizations, precision=precision))
                state.take(metrics(number + 1))
    assert state.effects.of(ON, "kv_cache") == (0.5, 2.5)
    state.take(PrecisionSet("f32"))
    assert state.effects.of(ON, "kv_cache") == (1.0, 5.0)


def test_tokens_that_lookup_may_have_computed_are_not_counted() -> None:
    state = GenerationState()
    state.asked(Generate(1, "x"))
    looked_up = ON.with_("lookup")
    for optimizations, ms in ((ON, 1.0), (looked_up, 0.0), (OFF, 5.0), (OFF.with_("lookup"), 0.0)):
        for number in range(20):
            state.take(token(ms, optimizations=optimizations))
            state.take(metrics(number + 1))
    assert state.effects.of(ON, "kv_cache") == (1.0, 5.0)
    assert state.effects.of(looked_up, "kv_cache") == (1.0, 5.0)  # what is known is still told


def test_the_next_precision_is_the_one_after_the_last_that_was_asked_for() -> None:
    state = GenerationState()
    state.take(Loaded("m", GPT2Config.gpt2(), "int8", 1))
    assert state.next_precision == "int4"
    state.ask_precision("int4")
    assert (state.precision, state.asked_precision, state.next_precision) == ("int8", "int4", "f32")
    state.take(Failed("int4 does not fit", None, "SetPrecision"))
    assert (state.precision, state.asked_precision, state.next_precision) == ("int8", "", "f32")
    state.ask_precision("f32")
    state.take(PrecisionSet("f32"))
    assert (state.precision, state.asked_precision, state.next_precision) == ("f32", "", "bf16")


@pytest.mark.parametrize(
    ("room", "text"), [(20, "43 of 75 drafts kept"), (19, "43 of 75 kept"), (13, "43 of 75 kept"), (9, "43 of 75")]
)
def test_drafts_in_words(room: int, text: str) -> None:
    figures = replace(metrics(3), drafted=75, accepted=43)
    assert drafts_text(figures, room) == text
    assert drafts_text(metrics(3), room) == drafts_text(None, room) == "no draft yet"


def test_only_tokens_of_the_own_generation_count() -> None:
    state = GenerationState()
    state.asked(Generate(1, "x"))
    assert not state.take(token(1.0, request=2))
    assert state.take(token(1.0))
    assert list(state.ms) == [1.0]


def test_the_mean_time_of_an_operation_is_of_tokens_with_the_present_switches() -> None:
    state = GenerationState()
    state.asked(Generate(1, "x"))
    for ms in (1.0, 3.0):
        state.take(token(ms))
    assert state.average_op_ms() == {"linear": 2.0}
    state.switch(OFF)
    assert state.average_op_ms() == {"linear": 2.0}
    state.take(token(9.0, optimizations=OFF))
    assert state.average_op_ms() == {"linear": 9.0}


def test_the_clock_of_a_phase_starts_when_its_name_changes() -> None:
    now = [0.0]
    state = GenerationState(clock=lambda: now[0])
    state.take(Phase("loading"))
    now[0] = 3.0
    state.take(Phase("loading", "weights", 1, 2))
    assert state.phase_seconds == 3.0
    state.take(Phase("idle"))
    assert state.phase_seconds == 0.0


def test_slow_tokens_and_fast_ones_are_not_compared() -> None:
    state = GenerationState()
    state.asked(Generate(1, "a"))
    for ms, optimizations in ((1.0, ON), (2.0, ON.without("gelu"))):
        for _ in range(10):
            state.take(token(ms, optimizations=optimizations))
    assert state.effects.of(ON, "gelu") == (1.0, 2.0)
    state.set_slow_motion(True)
    assert state.effects.of(ON, "gelu") is None
