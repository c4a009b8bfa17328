"""Bench: races, a row taken over as the setting, rows saved and compared with an earlier day's."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_text, see, wait_until
from textual.pilot import Pilot
from write_stories import opened, send

from sg_core.engine.commands import Race, SetOptimizations
from sg_core.network.optimizations import Optimizations
from sg_tui.app import SgApp
from sg_tui.widgets.bench_table import BenchTable
from sg_tui.widgets.race_view import RaceView


async def measured(pilot: Pilot[None], engine: ScriptedEngine) -> None:
    await pilot.press("f4", "enter")
    await see(pilot, "done: 8 rows")


def races(engine: ScriptedEngine) -> list[Race]:
    return [command for command in engine.submitted if isinstance(command, Race)]


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_two_settings_race_side_by_side(size: tuple[int, int]) -> None:
    engine = ScriptedEngine()
    async with opened(engine, size) as (pilot, app, _):
        await send(pilot, "Go")
        await pilot.press("f4", "r")
        await see(pilot, "the left one is ×")
        await see(pilot, "tokens, largest difference of logits 0")
        await see(pilot, "f32, KV cache off")
        (race,) = races(engine)
        assert (race.left.name, race.right.name) == ("f32", "f32-kv_cache")
        assert race.prompt == app.desk.writing.manuscript.text[-200:]
        await pilot.press("right", "right", "r")
        await wait_until(pilot, lambda: len(races(engine)) == 2)
        assert races(engine)[1].right.name == "f32-gelu"


async def test_on_a_small_screen_what_was_asked_for_last_has_the_room() -> None:
    engine = ScriptedEngine()
    async with opened(engine, SMALL) as (pilot, app, _):
        await measured(pilot, engine)
        table, race = app.screen.query_one(BenchTable), app.screen.query_one(RaceView)
        assert table.display
        assert not race.display
        assert "t take  s save" in screen_text(app)
        await pilot.press("r")
        await see(pilot, "the left one is ×")
        assert race.region.height >= 15
        assert not table.display
        await pilot.press("down")
        await wait_until(pilot, lambda: table.display and not race.display)
        assert table.region.height >= 10


async def test_a_race_can_be_stopped_and_nothing_else_is_measured_meanwhile() -> None:
    engine = ScriptedEngine(automatic=False)
    async with opened(engine) as (pilot, app, _):
        await pilot.press("f4", "r")
        await wait_until(pilot, lambda: races(engine))
        engine.advance(12)
        await see(pilot, "token 12 of 64, Esc stops")
        await pilot.press("enter")
        await see(pilot, "under way")
        await pilot.press("escape")
        await wait_until(pilot, lambda: not app.desk.race.running)
        assert app.desk.race.reason == "stopped"


async def test_a_row_is_taken_over_as_the_setting() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, _):
        await pilot.press("f4", "t")
        await see(pilot, "no row to take over")
        await measured(pilot, engine)
        await pilot.press("down", "down", "t")
        setting = Optimizations.none().with_("kv_cache", "linear")
        await wait_until(pilot, lambda: engine.submitted[-1] == SetOptimizations(setting))
        assert app.desk.generation.optimizations == setting


async def test_rows_are_saved_and_stand_beside_a_later_day_s(home: Path) -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, _):
        await pilot.press("f4", "c")
        await see(pilot, "No measurement of this model was saved")
        await measured(pilot, engine)
        await pilot.press("s")
        await wait_until(pilot, lambda: list((home / "data" / "figures").glob("*.csv")))
        folder = home / "data" / "figures"
        (path,) = folder.glob("*.json")
        rows = json.loads(path.read_text("utf-8"))
        assert [row["optimizations"]["kv_cache"] for row in rows] == [False] + 7 * [True]
        table = list(csv.DictReader(path.with_suffix(".csv").open(encoding="utf-8")))
        assert float(table[1]["ms_per_token"]) == rows[1]["ms_per_token"]
        assert table[1]["optimizations.kv_cache"] == "True"
        for row in rows:
            row["ms_per_token"] *= 2
        path.write_text(json.dumps(rows), "utf-8")
        await pilot.press("c")
        await see(pilot, "−50%")
        await see(pilot, "beside")
        await pilot.press("c")
        await wait_until(pilot, lambda: "−50%" not in screen_text(app))
        path.write_text('[{"ms_per_token": "fast"}]', "utf-8")
        await pilot.press("c")
        await see(pilot, "can't be read")


async def test_a_race_is_saved_token_by_token(home: Path) -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, _):
        assert isinstance(app, SgApp)
        await pilot.press("f4", "r")
        await see(pilot, "the left one is ×")
        await pilot.press("s")
        folder = home / "data" / "figures"
        await wait_until(pilot, lambda: list(folder.glob("*-race.csv")))
        (path,) = folder.glob("*-race.json")
        rows = json.loads(path.read_text("utf-8"))
        assert rows[0].keys() >= {"left_ms", "right_ms", "logit_difference"}
        assert rows[-1]["first_difference"] is None
        assert rows[-1]["speed_up"] > 1
