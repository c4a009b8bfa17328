"""What a switch is worth is told from tokens that were timed, and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sg_core.config import GPT2Config
from sg_core.engine.commands import Generate
from sg_core.engine.events import Failed, Loaded, Metrics, Phase, PrecisionSet, TokenEvent
from sg_core.inference.token import Token
from sg_core.network.optimizations import Optimizations
from sg_tui.state.effects import Effect, Effects
from sg_tui.state.generation_state import GenerationState
from sg_tui.widgets.optimizations_panel import drafts_text, effect_text, switches_text

ON, OFF = Optimizations(), Optimizations().without("kv_cache")


def medians(effect: Effect | None) -> tuple[float, float] | None:
    return None if effect is None else (effect.one, effect.other)


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
    assert medians(effects.of(ON, "kv_cache")) == (0.5, 3.0)
    assert medians(effects.of(OFF, "kv_cache")) == (0.5, 3.0)


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
    effect = effects.of(ON, "kv_cache")
    assert effect is not None
    assert effect.other == pytest.approx(2 * effect.one)
    assert (effect.times, effect.low, effect.high) == pytest.approx((2.0, 2.0, 2.0))
    assert (effect.n, effect.position) == (64, 78)  # of the newest 64, at 46 to 109


def effect(times: float, low: float, high: float, one: float = 1.0) -> Effect:
    return Effect(one, times * one, times, low, high, 40, 212)


@pytest.mark.parametrize(
    ("told", "room", "text"),
    [
        (effect(6.1, 5.8, 6.4), 29, "× 6.1 at 212 (n 40, 5.8–6.4)"),
        (effect(6.1, 5.8, 6.4), 25, "× 6.1 at 212 (n 40)"),
        (effect(6.1, 5.8, 6.4), 15, "× 6.1 at 212"),
        (effect(6.1, 5.8, 6.4), 5, "× 6.1"),
        (effect(26.4, 25.6, 30.1), 40, "× 26 at 212 (n 40, 26–30)"),
        (effect(1.2, 1.1, 1.24), 40, "+0.20 ms at 212 (n 40, 0.10–0.24)"),
        (effect(1.1, 1.0, 1.2, one=0.5), 40, "+0.050 ms at 212 (n 40, 0.000–0.100)"),
        (effect(1.01, 1.0, 1.02), 40, "no change at 212 (n 40, 0.000–0.020)"),
        (effect(0.8, 0.7, 0.9), 40, "−0.20 ms at 212 (n 40, −0.30–−0.10)"),
        (effect(6.1, 2.0, 9.0), 40, "busy: can't tell"),
        (effect(6.1, 2.0, 9.0), 9, "busy"),
    ],
)
def test_an_effect_in_words(told: Effect, room: int, text: str) -> None:
    assert effect_text(told, room) == text


def test_switches_in_one_line() -> None:
    assert switches_text(ON.without("gelu")) == "1+2+3-4+5+6+7+8-9-"


def token(ms: float, request: int = 1, optimizations: Optimizations = ON, precision: str = "f32") -> TokenEvent:
    return TokenEvent(request, Token(1, "x", -1.0, (), ms, {"linear": ms}), (), optimizations, precision, 0, ms or 0.1)


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
    assert medians(state.effects.of(OFF, "kv_cache")) == (1.0, 5.0)


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
    assert medians(state.effects.of(ON, "kv_cache")) == (0.5, 2.5)
    state.take(PrecisionSet("f32"))
    assert medians(state.effects.of(ON, "kv_cache")) == (1.0, 5.0)


def test_tokens_that_lookup_may_have_computed_are_not_counted() -> None:
    state = GenerationState()
    state.asked(Generate(1, "x"))
    looked_up = ON.with_("lookup")
    for optimizations, ms in ((ON, 1.0), (looked_up, 0.0), (OFF, 5.0), (OFF.with_("lookup"), 0.0)):
        for number in range(20):
            state.take(token(ms, optimizations=optimizations))
            state.take(metrics(number + 1))
    assert medians(state.effects.of(ON, "kv_cache")) == (1.0, 5.0)
    assert medians(state.effects.of(looked_up, "kv_cache")) == (1.0, 5.0)  # what is known is still told


def test_the_next_precision_is_the_one_after_the_last_that_was_asked_for() -> None:
    state = GenerationState()
    state.take(Loaded("m", GPT2Config.gpt2(), "int8", 1))
    assert state.next_precision == "w8a8"
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


def test_the_clock_of_a_phase_starts_when_its_name_changes() -> None:
    now = [0.0]
    state = GenerationState(clock=lambda: now[0])
    state.take(Phase("loading"))
    now[0] = 3.0
    state.take(Phase("loading", "weights", 1, 2))
    assert state.phase_seconds == 3.0
    state.take(Phase("idle"))
    assert state.phase_seconds == 0.0


def test_a_flip_is_marked_where_it_happened_and_the_figures_are_old_until_then() -> None:
    state = GenerationState()
    state.asked(Generate(1, "a"))
    for _ in range(5):
        state.take(token(1.0))
    assert not state.old
    state.switch(OFF)
    assert state.old
    state.take(token(1.0))
    assert state.old  # on its way when the switch was flipped
    state.take(token(2.0, optimizations=OFF))
    assert not state.old
    assert state.speed.figure is not None
    assert (state.speed.figure.ms, state.speed.figure.n) == (2.0, 1)
    (flip,) = state.flips
    assert (flip.position, flip.before.short, flip.after.short) == (7, "all on", "1 off")
    state.ask_precision("int8")
    assert state.old
    state.take(Failed("int8 does not fit", None, "SetPrecision"))
    assert not state.old
    state.set_threads(2)
    assert state.old
    state.take(token(3.0, optimizations=OFF))
    assert not state.old
    assert state.speed.figure.ms == 3.0


def test_lines_are_told_by_setting_and_position() -> None:
    state = GenerationState()
    state.asked(Generate(1, "a"))
    for _ in range(4):
        state.take(token(1.0))
    for _ in range(3):
        state.take(token(2.0, optimizations=OFF))
    assert {setting.short: line for setting, line in state.lines.items()} == {
        "all on": {2: 1.0, 3: 1.0, 4: 1.0},
        "1 off": {6: 2.0, 7: 2.0},  # the first of each still pays for what was before
    }


def test_a_token_that_found_cold_caches_is_not_counted() -> None:
    state = GenerationState()
    state.asked(Generate(1, "a"))
    for number in range(30):
        event = token(9.0 if number % 4 == 0 else 1.0)
        state.take(replace(event, wall_ms=0.0) if number % 4 == 0 else event)
    figure = state.speed.figure
    assert figure is not None
    assert (figure.ms, figure.high, figure.n) == (1.0, 1.0, 22)
    assert 1 not in state.lines[state.setting]
