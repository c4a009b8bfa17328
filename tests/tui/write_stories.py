"""What the stories about the Write view share: the app with its model loaded, sending, writing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from scripted_engine import ScriptedEngine
from stories import WIDE, wait_until
from textual.pilot import Pilot

from sg_core.engine.commands import Generate
from sg_tui.app import SgApp
from sg_tui.screens.write import WriteScreen
from sg_tui.widgets.prompt import Prompt


@asynccontextmanager
async def opened(
    engine: ScriptedEngine, size: tuple[int, int] = WIDE, hasty: bool = False
) -> AsyncIterator[tuple[Pilot[Any], SgApp, WriteScreen]]:
    """The app with its model loaded. Unless the person is hasty, the app takes every key as meant."""
    app = SgApp(engine=engine)
    with pytest.MonkeyPatch.context() as patch:
        if not hasty:
            patch.setattr("sg_tui.screens.write_walk.REST_SECONDS", 0.0)
            patch.setattr("sg_tui.widgets.walk_keys.BURST_SECONDS", 0.0)
        async with _running(app, engine, size) as (pilot, screen):
            yield pilot, app, screen


@asynccontextmanager
async def _running(
    app: SgApp, engine: ScriptedEngine, size: tuple[int, int]
) -> AsyncIterator[tuple[Pilot[Any], WriteScreen]]:
    async with app.run_test(size=size, notifications=True) as pilot:
        await wait_until(pilot, lambda: engine.submitted, "the load command")
        engine.run_until_idle()
        await wait_until(
            pilot, lambda: app.desk.generation.loaded and app.desk.generation.phase.name == "idle", "the model"
        )
        screen = app.screen
        assert isinstance(screen, WriteScreen)
        yield pilot, screen


def by_hand(**settings: Any) -> ScriptedEngine:
    return ScriptedEngine(automatic=False, **settings)


async def send(pilot: Pilot[Any], words: str) -> None:
    await pilot.press(*words, "enter")
    await wait_until(pilot, lambda: not pilot.app.screen.query_one(Prompt).text, "an empty prompt")


async def write(pilot: Pilot[Any], engine: ScriptedEngine, tokens: int) -> None:
    """Let the model write so many tokens, and the screen show them."""
    app = pilot.app
    assert isinstance(app, SgApp)
    before = len(app.desk.generation.ms)
    engine.advance(tokens)
    await wait_until(pilot, lambda: len(app.desk.generation.ms) == before + tokens, f"{tokens} tokens")


def generations(engine: ScriptedEngine) -> list[Generate]:
    return [command for command in engine.submitted if isinstance(command, Generate)]
