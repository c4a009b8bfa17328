"""The first minute is shown once, on the shipped model; each step waits for its key, and typing skips it."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_text, see, wait_until
from write_stories import by_hand, generations, opened, send, write

from sg_core.engine.commands import Scale, SetPace
from sg_tui.app import SgApp
from sg_tui.widgets.alternatives_box import AlternativesBox
from sg_tui.widgets.prompt import Prompt
from sg_tui.widgets.tour import Tour


@pytest.fixture
def never_here(home: Path) -> Path:
    settings = home / "config" / "settings.toml"
    settings.unlink()
    return settings


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_six_steps_each_with_its_number(never_here: Path, size: tuple[int, int]) -> None:
    engine = by_hand(replies=("To be or not to be, that is the question here. " * 20,))
    async with opened(engine, size) as (pilot, app, screen):
        await see(pilot, "the first minute · 1 of 6")
        assert SetPace(12.0) in engine.submitted
        assert screen.query_one(Prompt).text == "ROMEO:"
        await pilot.press("enter")
        await see(pilot, "2 of 6")
        assert generations(engine)[0].prompt == "ROMEO:"
        await write(pilot, engine, 14)
        await see(pilot, "0.56 ms a token")
        await pilot.press("alt+1")
        await see(pilot, "3 of 6")
        await write(pilot, engine, 14)
        await see(pilot, "Without the KV cache × ")
        await pilot.press("alt+1")
        await see(pilot, "4 of 6")
        engine.stop()
        await wait_until(pilot, lambda: not app.desk.generation.running)
        screen._no_walk_before = 0.0  # as after a while
        await pilot.press("escape", "down")
        box, tour = screen.query_one(AlternativesBox), screen.query_one(Tour)
        await wait_until(pilot, lambda: box.display and box.region.bottom <= tour.region.y)
        await pilot.press("enter")
        await see(pilot, "5 of 6")
        await pilot.press("alt+i", "m", "alt+i")
        await see(pilot, "Muted: what comes now is not")
        assert engine.scales == (Scale(0, 0, 0.0),)
        assert any(piece.author == "taken" for piece in app.desk.writing.manuscript.pieces)
    assert "toured = true" in never_here.read_text("utf-8")


async def test_what_is_typed_instead_is_a_text_of_one_s_own(never_here: Path) -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, _, screen):
        await see(pilot, "the first minute")
        await pilot.press("H", "i")
        await wait_until(pilot, lambda: "the first minute" not in screen_text(pilot.app))
        assert screen.query_one(Prompt).text == "Hi"
    async with opened(ScriptedEngine()) as (pilot, _, screen):
        await pilot.pause(0.2)
        assert not screen.query_one(Tour).display


async def test_another_view_ends_it(never_here: Path) -> None:
    async with opened(ScriptedEngine()) as (pilot, app, _):
        await see(pilot, "the first minute")
        await pilot.press("f4")
        await wait_until(pilot, lambda: app.desk.minute.step is None)


async def test_it_waits_for_the_shipped_model_s_own_minute(never_here: Path) -> None:
    engine = ScriptedEngine()
    app = SgApp(model="mine", engine=engine)
    async with app.run_test(size=WIDE) as pilot:
        await wait_until(pilot, lambda: app.desk.generation.loaded)
        await see(pilot, "edit · a new text")
        await pilot.pause(0.1)
        assert app.desk.minute.step is None
    assert "toured = false" in never_here.read_text("utf-8")


async def test_it_can_be_seen_again() -> None:
    engine = ScriptedEngine(replies=("one",))
    async with opened(engine) as (pilot, app, screen):
        assert not screen.query_one(Tour).display
        await send(pilot, "a")
        await wait_until(pilot, lambda: app.desk.writing.manuscript.text == "aone")
        await pilot.press("alt+m")
        await see(pilot, "1 of 6")
        assert app.desk.writing.manuscript.empty
        assert app.desk.generation.pace == 12.0
