"""Stories about four continuations at once: written side by side, one is taken, and none is lost."""

from __future__ import annotations

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_text, see, wait_until
from textual import events
from write_stories import by_hand, generations, opened, send, write

from sg_tui.library.store import Store
from sg_tui.widgets.prompt import Prompt
from sg_tui.widgets.text_view import TextView

WAYS = ("one two three", "first of all", "second thoughts", "third party", "once more", "and again", "so it", "goes on")


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_four_continuations_stand_side_by_side_and_one_is_taken(size: tuple[int, int]) -> None:
    engine = ScriptedEngine(replies=WAYS)
    async with opened(engine, size) as (pilot, _, screen):
        manuscript = screen.desk.writing.manuscript
        await send(pilot, "a ")
        await wait_until(pilot, lambda: manuscript.text == "a one two three")
        await pilot.press("escape", "left", "space")
        await wait_until(pilot, lambda: len(generations(engine)) == 2)
        assert (generations(engine)[1].prompt, generations(engine)[1].n) == ("a one", 4)
        for words in (*WAYS[:4], "1-4 take", "bits a token", "a one two"):
            await see(pilot, words)
        assert manuscript.text == "a one two three"
        await pilot.press("space")
        for words in WAYS[4:]:
            await see(pilot, words)
        await pilot.press("3")
        await wait_until(pilot, lambda: manuscript.text == "a oneso it")
        await see(pilot, "walk · a oneso it")
        assert isinstance(screen.focused, TextView)
        assert len(manuscript.branches(2)) == 9
        await pilot.press("ctrl+z")
        await wait_until(pilot, lambda: manuscript.text == "a one two three")


async def test_esc_keeps_the_old_text_and_the_four_stay_branches() -> None:
    engine = by_hand(replies=WAYS)
    async with opened(engine) as (pilot, app, screen):
        manuscript = screen.desk.writing.manuscript
        await send(pilot, "a ")
        engine.run_until_idle()
        await wait_until(pilot, lambda: not app.desk.generation.running)
        await pilot.press("ctrl+g")
        await wait_until(pilot, lambda: app.desk.generation.running)
        engine.advance(1)
        await see(pilot, "second")
        await pilot.press("escape")
        await wait_until(pilot, lambda: not app.desk.generation.running)
        await wait_until(pilot, lambda: "1-4 take" not in screen_text(app))
        assert manuscript.text == "a one two three"
        assert isinstance(screen.focused, Prompt)
        assert sorted(node.words for node, _ in manuscript.tree.walk())[1:] == [
            "first", "one", "one two three", "second", "third",
        ]  # fmt: skip
        await send(pilot, "b")
        await write(pilot, engine, 1)
        assert manuscript.text == "a one two threebone"


async def test_what_is_typed_over_the_continuations_is_text() -> None:
    async with opened(ScriptedEngine(replies=WAYS), hasty=True) as (pilot, app, screen):
        await send(pilot, "a ")
        await pilot.press("ctrl+g")
        await see(pilot, "second thoughts")
        for one in "14 lines":
            app.post_message(events.Key("space" if one == " " else one, one))
        await wait_until(pilot, lambda: screen.query_one(Prompt).text == "14 lines")
        assert screen.desk.writing.manuscript.text == "a one two three"


async def test_continuations_survive_a_program_that_is_killed() -> None:
    engine = by_hand(replies=WAYS)
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "a ")
        await write(pilot, engine, 2)
        await pilot.press("ctrl+g")
        await wait_until(pilot, lambda: len(generations(engine)) == 2)
        engine.advance(2)
        await see(pilot, "second thoughts")
        await pilot.pause(0.4)
        found: list[str] = []

        def look(store: Store) -> None:
            other = Store(store.path.parent) if store.path else store
            text = other.load_text(screen.desk.writing.id)
            found.extend(node.words for node, _ in text.tree.walk()) if text else None

        def kept() -> bool:
            app.desk.librarian.ask(look)
            return "second thoughts" in found

        await wait_until(pilot, kept)
        assert "first of" in found


@pytest.mark.parametrize(("key", "text"), [("ctrl+r", "a first of all"), ("ctrl+z", ""), ("alt+c", "")])
async def test_whatever_else_is_done_with_the_text_ends_the_choice(key: str, text: str) -> None:
    async with opened(ScriptedEngine(replies=WAYS)) as (pilot, app, screen):
        await send(pilot, "a ")
        await pilot.press("ctrl+g")
        await see(pilot, "second thoughts")
        await pilot.press(key)
        await wait_until(pilot, lambda: "1-4 take" not in screen_text(app))
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text == text)
        assert isinstance(screen.focused, Prompt)


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_no_message_lies_over_the_continuations(size: tuple[int, int]) -> None:
    async with opened(ScriptedEngine(replies=WAYS), size) as (pilot, app, _):
        await send(pilot, "a ")
        await pilot.press("ctrl+g")
        await see(pilot, "third party")
        before = screen_text(app).splitlines()
        app.desk.say("a message")
        await see(pilot, "a message")
        after = screen_text(app).splitlines()
        top = next(y for y, line in enumerate(before) if line.startswith("╭─ 1 "))
        assert after[top:] == before[top:]
