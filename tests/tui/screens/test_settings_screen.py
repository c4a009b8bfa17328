"""Stories about the settings: typed, refused at the field, put back, kept; keys that move."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, see, wait_until
from textual.pilot import Pilot
from textual.widgets import Input
from write_stories import opened, send

from sg_core import paths
from sg_tui.keys import ACTIONS, choose
from sg_tui.screens.settings import SettingsScreen
from sg_tui.theme import LIGHT


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    yield
    choose({}, ACTIONS)


async def at(pilot: Pilot[Any], words: str) -> None:
    """The settings, narrowed to these words."""
    if not isinstance(pilot.app.screen, SettingsScreen):
        await pilot.press("f10")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, SettingsScreen))
    pilot.app.screen.query_one("#find", Input).value = words
    await wait_until(pilot, lambda: pilot.app.screen._words == words)  # type: ignore[attr-defined]


async def type_in(pilot: Pilot[Any], line: str) -> None:
    await pilot.press("enter")
    await wait_until(pilot, lambda: pilot.app.screen.query("#line"))
    pilot.app.screen.query_one("#line", Input).value = line
    await pilot.press("enter")


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_a_number_is_checked_where_it_is_typed_and_can_be_put_back(size: tuple[int, int]) -> None:
    async with opened(ScriptedEngine(), size) as (pilot, app, _):
        await at(pilot, "temperature")
        await see(pilot, "0 is greedy (0 to 100; usually 0.8)")
        await type_in(pilot, "hot")
        await see(pilot, "'hot' is no number")
        await pilot.press("escape")
        await type_in(pilot, "200")
        await see(pilot, "it must lie from 0 to 100")
        await pilot.press("escape")
        await type_in(pilot, "0.3")
        await wait_until(pilot, lambda: app.desk.generation.sampling.temperature == 0.3)
        await see(pilot, "* temperature")
        await pilot.press("ctrl+r")
        await wait_until(pilot, lambda: app.desk.generation.sampling.temperature == 0.8)


async def test_a_choice_goes_on_with_enter_and_the_file_is_named() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, _):
        await at(pilot, "theme")
        await see(pilot, "settings.toml")
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.theme == LIGHT.name)
        await at(pilot, "precision")
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.desk.precision == "bf16")
        await at(pilot, "no such thing")
        await see(pilot, "Nothing is called so.")
    kept = tomllib.loads((paths.config_dir() / "settings.toml").read_text("utf-8"))
    assert (kept["theme"], kept["precision"]) == ("light", "bf16")


async def test_a_key_moves_at_once_and_is_kept_and_a_taken_one_is_refused() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, screen):
        await send(pilot, "ROMEO:")
        await at(pilot, "write the last part again")
        await type_in(pilot, "ctrl+z")
        await see(pilot, "Ctrl+Z is taken")
        await pilot.press("escape")
        await type_in(pilot, "Alt+K")
        await see(pilot, "Alt+K")
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is screen)
        await see(pilot, "Alt+K retry")
        await pilot.press("ctrl+r")
        assert app.desk.generation.sampling.seed == 0
        await pilot.press("alt+k")
        await wait_until(pilot, lambda: app.desk.generation.sampling.seed == 1)
    choose({}, ACTIONS)
    async with opened(ScriptedEngine()) as (pilot, app, screen):
        await see(pilot, "Alt+K retry")
        await at(pilot, "write the last part again")
        await pilot.press("ctrl+r", "escape")
        await see(pilot, "Ctrl+R retry")


async def test_a_letter_chosen_for_walking_acts_at_once() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, screen):
        await send(pilot, "ROMEO:")
        await wait_until(pilot, lambda: not app.desk.generation.running)
        await at(pilot, "at the chosen token")
        await type_in(pilot, "y")
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is screen)
        await pilot.press("escape")
        await see(pilot, "y inside")
        await pilot.press("y")
        await wait_until(pilot, lambda: screen.inspecting)
    choose({}, ACTIONS)


async def test_keys_of_the_file_that_mean_two_things_are_told() -> None:
    paths.config_dir().mkdir(parents=True, exist_ok=True)
    (paths.config_dir() / "settings.toml").write_text('[keys]\n"write.retry" = "ctrl+z"\n"app.help" = "f13"\n')
    async with opened(ScriptedEngine()) as (pilot, app, screen):
        await wait_until(pilot, lambda: any("Ctrl+Z is taken" in one.message for one in app._notifications))
        await pilot.press("f13")
        await wait_until(pilot, lambda: app.screen is not screen)
