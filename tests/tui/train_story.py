"""What the stories about the Train view share: an app in that view, whose engine moves on command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from scripted_engine import ScriptedEngine
from stories import WIDE, screen_text, see, wait_until
from textual.pilot import Pilot

from sg_core.config import GPT2Config
from sg_core.engine.commands import Train
from sg_core.engine.events import Event
from sg_tui.app import SgApp
from sg_tui.screens.train import TrainScreen

CONFIG = GPT2Config(vocab_size=512, n_ctx=64, n_layer=2, n_head=2, n_embd=32)


class Story:
    """An app in the Train view whose engine moves only when the story says so."""

    def __init__(self, app: SgApp, engine: ScriptedEngine, pilot: Pilot[Any]) -> None:
        self.app, self.engine, self.pilot = app, engine, pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def write(self, text: str) -> None:
        await self.pilot.press(*text)

    async def see(self, text: str) -> None:
        await see(self.pilot, text)

    async def until(self, predicate: Any, what: str = "") -> None:
        await wait_until(self.pilot, predicate, what)

    async def advance(self, units: int) -> None:
        self.engine.advance(units)
        await self.until(lambda: not self.engine.events, "the events are taken")

    async def emit(self, *events: Event) -> None:
        self.engine.emit(*events)
        await self.until(lambda: not self.engine.events, "the events are taken")

    def sent(self, kind: type) -> list[Any]:
        return [command for command in self.engine.submitted if isinstance(command, kind)]

    @property
    def text(self) -> str:
        return screen_text(self.app)

    @property
    def screen(self) -> TrainScreen:
        assert isinstance(self.app.screen, TrainScreen)
        return self.app.screen


@asynccontextmanager
async def train_view(size: tuple[int, int] = WIDE) -> AsyncIterator[Story]:
    engine = ScriptedEngine(automatic=False)
    app = SgApp(engine=engine)
    async with app.run_test(size=size, notifications=True) as pilot:
        story = Story(app, engine, pilot)
        await story.until(lambda: engine.submitted, "the app asks for its model")
        engine.run_until_idle()
        await story.until(lambda: app.desk.generation.loaded, "the model is loaded")
        await story.press("f3")
        await story.until(lambda: isinstance(app.screen, TrainScreen) and app.screen.focused, "the Train view")
        yield story


@asynccontextmanager
async def training(size: tuple[int, int] = WIDE, steps: int = 30) -> AsyncIterator[Story]:
    """A run on its way, `steps` steps far."""
    async with train_view(size) as story:
        await story.press("enter")
        await story.until(lambda: story.sent(Train), "the run is asked for")
        await story.advance(steps)
        await story.until(lambda: not story.screen.forming, "the run is shown")
        yield story
