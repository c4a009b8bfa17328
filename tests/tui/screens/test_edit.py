"""Stories about changing the text anywhere: characters are text, the model goes on from the cursor, nothing is lost."""

from __future__ import annotations

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_text, see, wait_until
from textual import events
from write_stories import generations, opened, send

from sg_core.network.optimizations import Optimizations
from sg_tui.widgets.prompt import Prompt
from sg_tui.widgets.text_editor import TextEditor


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_the_text_is_changed_and_the_model_goes_on_from_the_cursor(size: tuple[int, int]) -> None:
    engine = ScriptedEngine(replies=("one two three",))
    async with opened(engine, size) as (pilot, app, screen):
        manuscript = screen.desk.writing.manuscript
        await send(pilot, "a ")
        await wait_until(pilot, lambda: not app.desk.generation.running)
        await pilot.press("escape", "left", "e")
        await see(pilot, "edit · in the text")
        assert isinstance(screen.focused, TextEditor)
        await pilot.press("space", "1", "9", "8", "4", "enter")
        await wait_until(pilot, lambda: len(generations(engine)) == 2)
        assert generations(engine)[1].prompt == "a one 1984"
        await wait_until(pilot, lambda: manuscript.text == "a one 1984one two three")
        assert app.desk.generation.optimizations == Optimizations()
        await pilot.press("ctrl+z", "ctrl+z")
        await wait_until(pilot, lambda: manuscript.text == "a one 1984 two three")
        await pilot.press("ctrl+z")
        await wait_until(pilot, lambda: manuscript.text == "a one two three")


async def test_esc_keeps_the_change_and_the_prompt_is_left_alone() -> None:
    engine = ScriptedEngine(replies=("one two",))
    async with opened(engine) as (pilot, app, screen):
        manuscript = screen.desk.writing.manuscript
        await send(pilot, "a ")
        await pilot.press(*"word", "alt+e")
        await see(pilot, "edit · in the text")
        app.post_message(events.Paste("\n3 and"))
        await pilot.press("x")
        await wait_until(pilot, lambda: manuscript.text == "a one two\n3 andx")  # kept while it is typed
        await pilot.press("escape")
        await wait_until(pilot, lambda: "in the text" not in screen_text(app))
        assert screen.query_one(Prompt).text == "word"
        assert isinstance(screen.focused, Prompt)
        assert [piece.author for piece in manuscript.pieces] == ["person", "model", "model", "edit"]
        assert len(generations(engine)) == 1


async def test_another_text_ends_the_change_and_keeps_it() -> None:
    async with opened(ScriptedEngine(replies=("one two",))) as (pilot, app, screen):
        old = screen.desk.writing.manuscript
        await send(pilot, "a ")
        await pilot.press("alt+e", "x", "ctrl+n")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript is not old)
        assert old.text == "a one twox"
        assert "in the text" not in screen_text(app)


@pytest.mark.parametrize("key", ["ctrl+r", "ctrl+g", "alt+t", "alt+c"])
async def test_whatever_else_is_done_with_the_text_ends_the_change_and_keeps_it(key: str) -> None:
    async with opened(ScriptedEngine(replies=("one two", "three"))) as (pilot, app, screen):
        manuscript = screen.desk.writing.manuscript
        await send(pilot, "a ")
        await pilot.press("alt+e", "x", key)
        await wait_until(pilot, lambda: "in the text" not in screen_text(app))
        assert "x" in [node.words for node, _ in manuscript.tree.walk()]
