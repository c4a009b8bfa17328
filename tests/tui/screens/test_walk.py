"""Stories about edit and walk: what is typed is text, a chosen token can be acted on, and haste loses nothing."""

from __future__ import annotations

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_lines, screen_text, see, wait_until
from textual import events
from write_stories import by_hand, generations, opened, send, write

from sg_core.network.optimizations import Optimizations
from sg_tui.app import SgApp
from sg_tui.widgets.prompt import Prompt
from sg_tui.widgets.text_view import TextView


def burst(app: SgApp, text: str) -> None:
    """All of it at once, as a terminal sends what is pasted without brackets, or typed in haste."""
    for one in text:
        key = {" ": "space", "\n": "enter"}.get(one, one)
        app.post_message(events.Key(key, one))


# ------------------------------------------------------------------ a hasty person


async def test_an_esc_that_comes_too_late_to_stop_does_not_make_keys_of_the_next_line() -> None:
    async with opened(ScriptedEngine(replies=("one two",)), hasty=True) as (pilot, app, screen):
        await send(pilot, "a ")
        await wait_until(pilot, lambda: not app.desk.generation.running)
        await pilot.press("escape", "escape", "escape")
        assert isinstance(screen.focused, Prompt)
        burst(app, "In 1997 we went")
        await wait_until(pilot, lambda: screen.query_one(Prompt).text == "In 1997 we went")
        assert app.desk.generation.optimizations == Optimizations()


@pytest.mark.parametrize("text", ["1984 was", "In 1997 we went", " 4 of 8", "[1] 2"])
async def test_what_is_typed_in_one_burst_is_text_also_while_walking(text: str) -> None:
    async with opened(ScriptedEngine(), hasty=True) as (pilot, app, screen):
        await pilot.press("escape")
        await wait_until(pilot, lambda: isinstance(screen.focused, TextView))
        burst(app, text)
        await wait_until(pilot, lambda: screen.query_one(Prompt).text == text)
        assert isinstance(screen.focused, Prompt)
        assert app.desk.generation.optimizations == Optimizations()


async def test_a_single_key_acts_after_a_moment() -> None:
    async with opened(ScriptedEngine(), hasty=True) as (pilot, app, screen):
        await pilot.press("escape")
        await wait_until(pilot, lambda: isinstance(screen.focused, TextView))
        await pilot.press("3")
        await wait_until(pilot, lambda: app.desk.generation.optimizations == Optimizations().without("gelu"))
        assert screen.query_one(Prompt).text == ""


async def test_a_paste_never_acts() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, screen):
        await pilot.press("escape")
        app.post_message(events.Paste("1 2 3\n[4]"))
        await wait_until(pilot, lambda: screen.query_one(Prompt).text == "1 2 3\n[4]")
        assert isinstance(screen.focused, Prompt)
        assert app.desk.generation.optimizations == Optimizations()


async def test_tab_does_not_enter_walk_and_a_click_does() -> None:
    async with opened(ScriptedEngine(replies=("one two",))) as (pilot, _, screen):
        await send(pilot, "a ")
        for _ in range(8):
            await pilot.press("tab")
            assert not isinstance(screen.focused, TextView)
        await see(pilot, "edit · a one two")
        await pilot.click("#text", offset=(2 + 3, 1))
        await see(pilot, "walk · a one two")
        await pilot.press("escape")
        await see(pilot, "edit · a one two")


# ------------------------------------------------------------------ alternatives


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_an_alternative_is_taken_and_the_text_forks_there(size: tuple[int, int]) -> None:
    engine = ScriptedEngine(replies=("one two three",))
    async with opened(engine, size) as (pilot, _, screen):
        manuscript = screen.desk.writing.manuscript
        await send(pilot, "a ")
        await wait_until(pilot, lambda: manuscript.text == "a one two three")
        await pilot.press("escape", "left")
        await see(pilot, "▸ “ two”")
        await pilot.press("down", "down")
        await see(pilot, "▸ “ and”")
        await see(pilot, "Enter forks here")
        await pilot.press("enter")
        await wait_until(pilot, lambda: len(generations(engine)) == 2)
        assert generations(engine)[1].prompt == "a one and"
        await wait_until(pilot, lambda: manuscript.text == "a one andone two three")
        assert [piece.author for piece in manuscript.pieces[:3]] == ["person", "model", "taken"]
        await see(pilot, "▸ “ and”")
        await pilot.press("ctrl+z")
        await wait_until(pilot, lambda: manuscript.text == "a one two three")
        await pilot.press("ctrl+y")
        await wait_until(pilot, lambda: manuscript.text == "a one andone two three")


async def test_branches_at_a_token_are_walked_through() -> None:
    engine = ScriptedEngine(replies=("one two three",))
    async with opened(engine) as (pilot, _, screen):
        manuscript = screen.desk.writing.manuscript
        await send(pilot, "a ")
        await pilot.press("escape", "left", "left_square_bracket")
        await see(pilot, "Nothing else was written")
        await pilot.press("down", "enter")
        await wait_until(pilot, lambda: manuscript.text == "a one theone two three")
        await pilot.press("right_square_bracket")
        await wait_until(pilot, lambda: manuscript.text == "a one two three")
        await see(pilot, "↳")
        await pilot.press("right_square_bracket")
        await wait_until(pilot, lambda: manuscript.text == "a one theone two three")


async def test_taking_the_token_itself_goes_back_to_the_prompt() -> None:
    engine = ScriptedEngine(replies=("one two",))
    async with opened(engine) as (pilot, _, screen):
        await send(pilot, "a ")
        await pilot.press("escape", "enter")
        assert isinstance(screen.focused, Prompt)
        assert len(generations(engine)) == 1


async def test_a_token_is_taken_while_the_model_writes() -> None:
    engine = by_hand(replies=("one two three four",))
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "a ")
        await write(pilot, engine, 3)
        await pilot.click("#text", offset=(2 + 3, 1))
        await see(pilot, "▸ “one”")
        await pilot.press("down", "enter")
        await wait_until(pilot, lambda: len(generations(engine)) == 2)
        assert generations(engine)[1].prompt == "a  the"
        engine.run_until_idle()
        await wait_until(pilot, lambda: not app.desk.generation.running)
        assert screen.desk.writing.manuscript.text == "a  theone two three four"


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL, (60, 16)])
async def test_the_box_leaves_its_token_and_no_message_lies_over_it(size: tuple[int, int]) -> None:
    engine = ScriptedEngine(replies=("line\n" * 30 + "end",))
    async with opened(engine, size) as (pilot, app, screen):
        await send(pilot, "a ")
        await wait_until(pilot, lambda: not app.desk.generation.running)
        await pilot.press("escape")
        await see(pilot, "▸ “end”")
        for number in range(6):
            app.desk.say(f"message {number}")
        await see(pilot, "message")
        lines = screen_lines(app)
        box = [y for y, line in enumerate(lines) if "what else" in line or "choose ─╯" in line]
        offset = screen.query_one(TextView).cursor_offset
        assert offset is not None
        assert len(box) == 2
        assert not box[0] <= offset.y <= box[1]
        assert "end" in lines[offset.y]


async def test_the_box_follows_its_token_and_goes_with_it() -> None:
    engine = ScriptedEngine(replies=("line\n" * 60 + "end",))
    async with opened(engine, STANDARD) as (pilot, _, _):
        await send(pilot, "a ")
        await pilot.press("escape")
        await see(pilot, "what else")
        await pilot.press("home")
        await wait_until(pilot, lambda: "what else" not in screen_text(pilot.app))
        await pilot.press("end")
        await see(pilot, "what else")
        for size in (SMALL, (200, 50), WIDE):
            await pilot.resize_terminal(*size)
            await see(pilot, "▸ “end”")
        await pilot.press("escape")
        await wait_until(pilot, lambda: "what else" not in screen_text(pilot.app))


# ------------------------------------------------------------------ scrolling


async def test_the_text_is_scrolled_from_the_prompt_while_it_streams() -> None:
    engine = by_hand(replies=("line\n" * 200,))
    async with opened(engine, STANDARD) as (pilot, app, screen):
        view = screen.query_one(TextView)
        await send(pilot, "a")
        await write(pilot, engine, 100)
        await pilot.press("pageup", "pageup")
        await wait_until(pilot, lambda: not view.is_vertical_scroll_end)
        top = view.scroll_offset.y
        await write(pilot, engine, 20)
        assert view.scroll_offset.y == top
        await see(pilot, "more · End")
        assert app.desk.generation.running
        assert isinstance(screen.focused, Prompt)
        await pilot.press("home")
        await wait_until(pilot, lambda: view.scroll_offset.y == 0)
        await pilot.press("pagedown")
        await wait_until(pilot, lambda: view.scroll_offset.y > 0)
        await pilot.press("end")
        await wait_until(pilot, lambda: view.is_vertical_scroll_end)
        await write(pilot, engine, 20)
        await wait_until(pilot, lambda: view.is_vertical_scroll_end)
        await pilot.press(*"ab", "home", "c")
        assert screen.query_one(Prompt).text == "cab"


async def test_who_wrote_what_is_told_beside_it() -> None:
    async with opened(ScriptedEngine(replies=("one two",))) as (pilot, _, screen):
        await send(pilot, "a ")
        await pilot.press("escape", "down", "enter")
        await see(pilot, "you took this")
        await see(pilot, "[ ] 2 ways")
        await pilot.press("left", "left")
        await see(pilot, "you typed this")
        await pilot.press("escape", "alt+e", "x", "escape", "escape")
        await see(pilot, "you changed this")
        assert [piece.author for piece in screen.desk.writing.manuscript.pieces][-1] == "edit"


async def test_a_token_that_is_being_chosen_is_not_moved_away_by_what_is_written() -> None:
    engine = by_hand(replies=("line\n" * 60,))
    async with opened(engine, STANDARD) as (pilot, _, screen):
        view = screen.query_one(TextView)
        await send(pilot, "a ")
        await write(pilot, engine, 20)
        await pilot.click("#text", offset=(3, 3))
        await see(pilot, "what else")
        offset = view.cursor_offset
        await write(pilot, engine, 60)
        await see(pilot, "more · End")
        assert view.cursor_offset == offset
        await see(pilot, "what else")
        await pilot.press("end")
        await write(pilot, engine, 20)
        await wait_until(pilot, lambda: view.is_vertical_scroll_end)


async def test_the_last_line_says_what_esc_does_now() -> None:
    engine = by_hand(replies=("one two three four",))
    async with opened(engine, STANDARD) as (pilot, app, _):
        assert "Esc" not in screen_lines(app)[-1]  # there is no text yet, and nothing to stop
        await send(pilot, "a ")
        await write(pilot, engine, 2)
        await wait_until(pilot, lambda: "Esc stop " in screen_lines(app)[-1])
        engine.stop()
        await wait_until(pilot, lambda: "Esc walk " in screen_lines(app)[-1])
        await pilot.press("escape")
        await wait_until(pilot, lambda: "Esc edit " in screen_lines(app)[-1])
        assert "Space 4 ways" in screen_lines(app)[-1]
        await pilot.press("escape", "ctrl+t")
        await wait_until(pilot, lambda: "Esc close " in screen_lines(app)[-1])
