"""Stories about choosing a model: typing narrows, one hit is taken, what is not here is fetched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_text, see, wait_until
from textual.pilot import Pilot
from write_stories import opened, send

from sg_core.engine.commands import Load
from sg_core.errors import DownloadError
from sg_core.storage import pull
from sg_core.storage.pull import Pulled
from sg_tui.screens.model_picker import ModelPicker


async def picking(pilot: Pilot[Any]) -> ModelPicker:
    await pilot.press("ctrl+l")
    await wait_until(pilot, lambda: isinstance(pilot.app.screen, ModelPicker))
    assert isinstance(pilot.app.screen, ModelPicker)
    return pilot.app.screen


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_typing_narrows_and_enter_takes_what_is_left(size: tuple[int, int]) -> None:
    engine = ScriptedEngine()
    async with opened(engine, size) as (pilot, app, screen):
        app.desk.generation.loaded = None  # nothing is, so that loading is worth it
        picker = await picking(pilot)
        assert app.focused is picker.query_one("#model-name")
        await see(pilot, "openai-community/gpt2")
        await pilot.press(*"shakes")
        await wait_until(pilot, lambda: "gpt2-medium" not in screen_text(app))
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.screen is screen)
        assert engine.submitted[-1] == Load("tinyshakespeare", "f32", None)


async def test_the_loaded_model_chosen_again_empties_nothing() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "ROMEO:")
        await wait_until(pilot, lambda: not app.desk.generation.running)
        tokens = len(app.desk.generation.ms)
        await picking(pilot)
        await see(pilot, "● tinyshakespeare")
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.screen is screen)
        await see(pilot, "is loaded already")
        assert len(app.desk.generation.ms) == tokens > 0


async def test_words_that_name_nothing_are_told() -> None:
    async with opened(ScriptedEngine()) as (pilot, _, _screen):
        await picking(pilot)
        await pilot.press(*"no such model", "enter")
        await see(pilot, "nothing is called so")


async def test_an_id_of_the_hub_is_fetched_with_its_progress_and_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    come = threading.Event()

    def fetch(id: str, progress: Callable[[str, int, int], None], cancelled: Callable[[], bool]) -> Pulled:
        progress("model.safetensors", 25_000_000, 100_000_000)
        come.wait(20)
        return Pulled(Path(), "verified")

    monkeypatch.setattr(pull, "pull", fetch)
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, screen):
        await picking(pilot)
        await pilot.press(*"someone/tiny-gpt2", "enter")
        await see(pilot, "25.0 MB of 100.0 MB")
        await see(pilot, "Esc stops")
        come.set()
        await wait_until(pilot, lambda: app.screen is screen)
        assert engine.submitted[-1] == Load("someone/tiny-gpt2", "f32", None)


async def test_a_download_is_stopped_and_a_failed_one_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(id: str, progress: Callable[[str, int, int], None], cancelled: Callable[[], bool]) -> Pulled:
        if id == "no/where":
            raise DownloadError("the Hub has no [model] no/where")
        progress("config.json", 1, 2)
        while not cancelled():
            threading.Event().wait(0.01)
        raise DownloadError("stopped")

    monkeypatch.setattr(pull, "pull", fetch)
    async with opened(ScriptedEngine()) as (pilot, app, screen):
        picker = await picking(pilot)
        await pilot.press(*"a/b", "enter")
        await see(pilot, "Esc stops")
        await pilot.press("escape")
        await see(pilot, "stopped; what has come is kept")
        assert app.screen is picker
        await pilot.press("ctrl+u", *"no/where", "enter")
        await see(pilot, "the Hub has no [model] no/where")
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is screen)
