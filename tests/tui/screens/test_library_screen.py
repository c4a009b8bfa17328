"""Stories about the library: texts, runs and models found, opened, named, deleted, exported, taken in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_support import make_model
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_text, see, wait_until
from textual.pilot import Pilot
from textual.widgets import Input, OptionList
from write_stories import opened, send

from sg_core import paths
from sg_core.engine.commands import Load, SaveTraining
from sg_core.storage.runs import REQUEST
from sg_tui.library.export import as_json, read
from sg_tui.screens.library import LibraryScreen
from sg_tui.screens.write import WriteScreen
from sg_tui.widgets.search_line import SearchLine


async def wrote(pilot: Pilot[Any], screen: WriteScreen, *texts: str) -> None:
    """Each of these as a text of its own; the last one stays on the screen."""
    for number, text in enumerate(texts):
        if number:
            await pilot.press("ctrl+n")
            await wait_until(pilot, lambda: screen.desk.writing.manuscript.empty)
        await send(pilot, text)
        await wait_until(pilot, lambda: not screen.desk.generation.running)


async def library(pilot: Pilot[Any]) -> LibraryScreen:
    await pilot.press("f5")
    await wait_until(pilot, lambda: isinstance(pilot.app.screen, LibraryScreen) and pilot.app.screen.shelf.listed)
    assert isinstance(pilot.app.screen, LibraryScreen)
    return pilot.app.screen


def titles(screen: LibraryScreen) -> list[str]:
    return [item.title for item in screen.shelf.listed if item.kind == "text"]


def a_run(name: str = "2026-01-02-030405-tiny") -> Path:
    folder = paths.runs_dir() / name
    make_model(folder / "model")
    (folder / REQUEST).write_text('{"format": 1}')
    return folder


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_a_text_is_found_by_a_word_within_it_and_opened(size: tuple[int, int]) -> None:
    engine = ScriptedEngine(replies=("where is the Servingman?",))
    async with opened(engine, size) as (pilot, app, screen):
        await wrote(pilot, screen, "First: ", "Second: ")
        shelf = await library(pilot)
        assert isinstance(app.focused, SearchLine)
        await pilot.press(*"second servingm")
        await wait_until(pilot, lambda: titles(shelf) == ["Second: where is the Servingman?"])
        await see(pilot, "is the Servingman")
        await pilot.press("backspace", *"x nowhere")
        await see(pilot, "Nothing found")
        await pilot.press("escape")
        await wait_until(pilot, lambda: len(titles(shelf)) == 2)
        await pilot.press(*"first", "enter")
        await wait_until(pilot, lambda: app.screen is screen)
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text.startswith("First: "))


async def test_a_text_is_called_as_the_person_wants() -> None:
    async with opened(ScriptedEngine(replies=("yes",))) as (pilot, _, screen):
        await wrote(pilot, screen, "First: ")
        shelf = await library(pilot)
        await pilot.press("tab", "r")
        await see(pilot, "the name of the text")
        pilot.app.screen.query_one(Input).value = "my [b]poem"
        await pilot.press("enter")
        await wait_until(pilot, lambda: titles(shelf) == ["my [b]poem"])
        await see(pilot, "my [b]poem")


async def test_what_was_deleted_is_brought_back_or_removed_for_good() -> None:
    async with opened(ScriptedEngine(replies=("yes",))) as (pilot, app, screen):
        await wrote(pilot, screen, "First: ", "Second: ")
        shelf = await library(pilot)
        await pilot.press("tab", "delete")
        await wait_until(pilot, lambda: titles(shelf) == ["First: yes"])
        await pilot.press("u")
        await wait_until(pilot, lambda: titles(shelf) == ["Second: yes", "First: yes"])
        await pilot.press("home", "delete")
        await wait_until(pilot, lambda: titles(shelf) == ["First: yes"])
        await pilot.press("left")
        await see(pilot, "deleted 1")
        assert titles(shelf) == ["Second: yes"]
        await pilot.press("x")
        await see(pilot, "once more")
        await pilot.press("x")
        await wait_until(pilot, lambda: shelf.shelf.count("deleted") == 0)
        await pilot.press("f2")
        await wait_until(pilot, lambda: app.screen is screen and screen.desk.writing.manuscript.empty)


async def test_a_deleted_text_does_not_come_back_at_the_next_start() -> None:
    async with opened(ScriptedEngine(replies=("yes",))) as (pilot, _, screen):
        await wrote(pilot, screen, "First: ")
        await library(pilot)
        await pilot.press("tab", "delete")
        await see(pilot, "Deleted: First: yes")
    async with opened(ScriptedEngine()) as (pilot, _, screen):
        shelf = await library(pilot)
        await wait_until(pilot, lambda: shelf.shelf.count("deleted") == 1)
        assert screen.desk.writing.manuscript.empty


async def test_runs_and_models_are_listed_and_a_run_opens_in_write() -> None:
    a_run()
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, screen):
        shelf = await library(pilot)
        await wait_until(pilot, lambda: shelf.shelf.count("runs") == 1 and shelf.shelf.count("models") >= 1)
        await pilot.press("tab", "right", "right")
        await see(pilot, "2026-01-02-030405-tiny")
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.screen is screen)
        await wait_until(pilot, lambda: engine.submitted[-1] == Load("2026-01-02-030405-tiny", "f32", None))


async def test_a_run_is_put_aside_and_brought_back() -> None:
    folder = a_run()
    async with opened(ScriptedEngine()) as (pilot, _, _screen):
        shelf = await library(pilot)
        await wait_until(pilot, lambda: shelf.shelf.count("runs") == 1)
        await pilot.press(*"2026-01", "tab", "d")
        await wait_until(pilot, lambda: shelf.shelf.count("deleted") == 1 and not folder.exists())
        await pilot.press("u")
        await wait_until(pilot, lambda: shelf.shelf.count("runs") == 1 and folder.exists())


async def test_the_shipped_model_can_not_be_deleted() -> None:
    async with opened(ScriptedEngine()) as (pilot, _, _screen):
        shelf = await library(pilot)
        await wait_until(pilot, lambda: shelf.shelf.count("models") >= 1)
        await pilot.press(*"tinyshakespeare", "tab", "d")
        await see(pilot, "This model is a part of the program.")


async def test_a_text_leaves_as_a_page_and_comes_back_from_json(tmp_path: Path) -> None:
    async with opened(ScriptedEngine(replies=("a <b> & c",))) as (pilot, _, screen):
        await wrote(pilot, screen, "First: ")
        shelf = await library(pilot)
        for name in ("page.html", "text.json"):
            await pilot.press("tab", "e")
            await see(pilot, ".html with its tints")
            pilot.app.screen.query_one(Input).value = str(tmp_path / name)
            await pilot.press("enter")
            await wait_until(pilot, (tmp_path / name).exists)
            await wait_until(pilot, lambda: pilot.app.screen is shelf)
        page = (tmp_path / "page.html").read_text()
        assert "&lt;" in page
        assert "<b>" not in page
        await pilot.press("i")
        await see(pilot, "take in a text")
        pilot.app.screen.query_one(Input).value = str(tmp_path / "nowhere.json")
        await pilot.press("enter")
        await see(pilot, "can't be taken in: No such file")
        pilot.app.screen.query_one(Input).value = str(tmp_path / "text.json")
        await pilot.press("enter")
        await wait_until(pilot, lambda: titles(shelf) == ["First: a <b> & c"] * 2)
        assert json.loads((tmp_path / "text.json").read_text())["model"] == "tinyshakespeare"
        assert as_json(read(tmp_path / "text.json")) == (tmp_path / "text.json").read_text()


async def test_a_library_with_nothing_in_it_says_what_comes_into_it() -> None:
    async with opened(ScriptedEngine(), STANDARD) as (pilot, app, _):
        await library(pilot)
        await pilot.press("tab", "right")
        await see(pilot, "No texts yet: what you write is kept here by itself.")
        assert not app.screen.query_one("#items", OptionList).display or "No texts yet" in screen_text(app)


async def test_a_run_under_way_is_saved_before_its_weights_are_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_run()
    engine = ScriptedEngine()
    async with opened(engine) as (_, app, _screen):
        monkeypatch.setattr(app.desk, "trains_in", lambda where: where == str(folder))
        app.desk.open_run(folder.name, str(folder))
        assert engine.submitted[-2:] == [SaveTraining(str(folder)), Load(folder.name, "f32", None)]
