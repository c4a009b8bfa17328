"""Stories about the precision of the weights and the switch of lookup, in the app."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scripted_engine import ScriptedEngine, metrics
from stories import SMALL, STANDARD, WIDE, screen_lines, screen_text, see, wait_until
from write_stories import by_hand, opened, send, write

from sg_core.engine.commands import Load, SetOptimizations, SetPrecision
from sg_core.engine.events import Failed, PrecisionSet
from sg_core.network.optimizations import Optimizations
from sg_tui.app import SgApp
from sg_tui.screens.model_picker import ModelPicker
from sg_tui.screens.write import WriteScreen
from sg_tui.widgets.prompt import Prompt

ALL = Optimizations()


def asked(engine: ScriptedEngine) -> list[str]:
    return [command.precision for command in engine.submitted if isinstance(command, SetPrecision)]


def line_with(app: SgApp, text: str) -> tuple[int, int]:
    """Where `text` stands on the screen: column and line."""
    return next((line.index(text), row) for row, line in enumerate(screen_lines(app)) if text in line)


# ------------------------------------------------------------------ the precision


async def test_a_key_goes_round_the_precisions_while_text_streams() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "a")
        await write(pilot, engine, 12)
        await see(pilot, "0.56 ms/token")
        await pilot.press("alt+p")
        await see(pilot, "○ f32 ● bf16")
        await see(pilot, "bf16 · 2 threads")
        await write(pilot, engine, 20)
        await pilot.press("alt+p", "alt+p", "alt+p", "alt+p")
        await see(pilot, "● f32 ○ bf16")
        assert asked(engine) == ["bf16", "int8", "w8a8", "int4", "f32"]
        assert screen.query_one(Prompt).text == ""
        assert app.desk.generation.running


@pytest.mark.parametrize("size", [WIDE, STANDARD])
async def test_a_click_chooses_a_precision(size: tuple[int, int]) -> None:
    engine = ScriptedEngine()
    async with opened(engine, size) as (pilot, app, _):
        await see(pilot, "○ int8")
        column, row = line_with(app, "○ int8")
        await pilot.click(offset=(column + 3, row))
        await see(pilot, "● int8")
        assert asked(engine) == ["int8"]


async def test_the_smallest_screen_shows_the_present_precision() -> None:
    engine = ScriptedEngine()
    async with opened(engine, SMALL) as (pilot, app, _):
        await see(pilot, "9-  f32")
        await pilot.press("alt+p")
        await see(pilot, "9-  bf16")
        assert "seed 0" in screen_text(app)


async def test_a_click_in_the_header_takes_the_next_one() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, _):
        column, _ = line_with(app, "f32 · 2 threads")
        await pilot.click("Header", offset=(column + 1, 0))
        await see(pilot, "bf16 · 2 threads")


async def test_the_panel_is_enough() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, screen):
        screen.query_one("#optimizations").focus()
        await pilot.press("up", "right")
        await see(pilot, "● bf16")
        await pilot.press("left", "enter", "space")
        await wait_until(pilot, lambda: asked(engine) == ["bf16", "f32", "bf16", "int8"])
        await pilot.press("up", "enter")
        assert app.desk.generation.optimizations == ALL.with_("draft")
        await pilot.press("right")
        assert len(asked(engine)) == 4
        await pilot.press("3")
        assert app.desk.generation.optimizations == ALL.with_("draft").without("gelu")


async def test_what_was_asked_for_is_marked_until_it_is_there() -> None:
    engine = by_hand()
    engine.script(SetPrecision, [PrecisionSet("bf16")])
    async with opened(engine) as (pilot, _, _):
        await pilot.press("alt+p")
        await see(pilot, "● f32 ◌ bf16")
        engine.run_until_idle()
        await see(pilot, "○ f32 ● bf16")


async def test_a_precision_that_does_not_fit_is_told_and_passed_over_by_the_next_key() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, _, _):
        await pilot.press("alt+p", "alt+p", "alt+p")
        await see(pilot, "● w8a8")
        engine.script(SetPrecision, [Failed("int4 shares a scale [among] 32 weights", None, "SetPrecision")])
        await pilot.press("alt+p")
        await see(pilot, "int4 shares a scale [among] 32 weights")
        await see(pilot, "● w8a8")
        await pilot.press("alt+p")
        await see(pilot, "● f32")


async def test_a_refused_precision_is_not_taken_for_a_model_that_can_not_be_loaded() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, app, _):
        app.desk.load("other")
        engine.emit(Failed("int4 does not fit", None, "SetPrecision"))
        await see(pilot, "int4 does not fit")
        assert not isinstance(app.screen, ModelPicker)
        engine.run_until_idle()
        await see(pilot, "other 3.5M")


async def test_the_precision_is_kept_for_other_models_and_remembered() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, _):
        await pilot.press("alt+p")
        await see(pilot, "● bf16")
        app.desk.load("other")
        await wait_until(pilot, lambda: app.desk.model == "other")
        assert engine.submitted[-1] == Load("other", "bf16", None)
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, _):
        assert engine.submitted[0] == Load("tinyshakespeare", "bf16", None)
        await see(pilot, "bf16 · 2 threads")


async def test_the_command_line_goes_before_what_is_remembered() -> None:
    async with opened(ScriptedEngine()) as (pilot, _, _):
        await pilot.press("alt+p")
    engine = ScriptedEngine()
    app = SgApp(precision="int8", engine=engine)
    async with app.run_test(size=WIDE) as pilot:
        await wait_until(pilot, lambda: engine.submitted)
        assert engine.submitted[0] == Load("tinyshakespeare", "int8", None)


async def test_the_precision_changes_in_every_view_and_in_no_dialog() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, _):
        await pilot.press("f4")
        await wait_until(pilot, lambda: app.current_mode == "bench")
        await pilot.press("alt+p")
        await see(pilot, "bf16  ·  2 threads")
        await pilot.press("f2", "f1")
        await wait_until(pilot, lambda: not isinstance(app.screen, WriteScreen))
        await pilot.press("alt+p")
        assert asked(engine) == ["bf16"]


# ------------------------------------------------------------------ lookup


async def test_lookup_is_switch_8_and_tells_how_many_drafts_came_true() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, app, _):
        await send(pilot, "a")
        await write(pilot, engine, 3)
        assert "8 lookup      ○ off" in screen_text(app)
        await pilot.press("alt+8")
        assert engine.submitted[-1] == SetOptimizations(ALL.with_("lookup"))
        await see(pilot, "8 lookup      ● on  no draft yet")
        engine.emit(replace(metrics(app.desk.generation.request, [1.0], 9), drafted=75, accepted=43))
        await see(pilot, "8 lookup      ● on  43 of 75 drafts kept")
        await pilot.press("escape")
        await see(pilot, "stopped")
        await pilot.press("escape", "8")
        await see(pilot, "8 lookup      ○ off")


async def test_all_switches_the_seven_and_leaves_lookup_alone() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, _):
        await pilot.press("alt+8", "alt+0")
        assert app.desk.generation.optimizations == Optimizations.none().with_("lookup")
        await pilot.press("alt+3", "alt+0")
        assert app.desk.generation.optimizations == ALL.with_("lookup")
        await pilot.press("alt+8", "alt+0")
        assert app.desk.generation.optimizations == Optimizations.none()


async def test_a_click_switches_lookup() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, _):
        await pilot.click("#optimizations", offset=(5, 8))
        assert app.desk.generation.optimizations.lookup
    async with opened(ScriptedEngine(), STANDARD) as (pilot, app, _):
        await pilot.click("#compact", offset=(2 + 14, 1))
        assert app.desk.generation.optimizations.lookup


# ------------------------------------------------------------------ room


async def test_the_panel_leaves_room_for_the_token_and_its_alternatives_stand_beside_it() -> None:
    engine = ScriptedEngine(replies=("one two three",))
    async with opened(engine) as (pilot, app, _):
        await send(pilot, "a ")
        await pilot.press("escape")
        await see(pilot, "▸ “ three”")
        assert "“,”" in screen_text(app) or "“ and”" in screen_text(app)
        for words in ("9 draft", "○ int4", "the rest", "alternatives", "context "):
            assert words in screen_text(app), words
