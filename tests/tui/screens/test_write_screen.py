"""Stories about the Write view: completing, chatting, stopping, taking back, switches and settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_engine import REPLY, ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_text, see, wait_until
from textual import events
from write_stories import by_hand, generations, opened, send, write

from sg_core.engine.commands import SetOptimizations, SetPace, SetSampling, SetThreads
from sg_core.network.optimizations import Optimizations
from sg_tui.widgets.prompt import Prompt
from sg_tui.widgets.text_view import TextView

# ------------------------------------------------------------------ completing


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_what_is_typed_is_continued_and_streams_in(size: tuple[int, int]) -> None:
    engine = by_hand()
    async with opened(engine, size) as (pilot, app, screen):
        await send(pilot, "ROMEO: ")
        assert generations(engine)[0].prompt == "ROMEO: "
        await write(pilot, engine, 5)
        await see(pilot, "ROMEO: What light is this that")
        await see(pilot, "Esc stops")
        engine.run_until_idle()
        await see(pilot, "Then let me stay, and let the morning")
        await wait_until(pilot, lambda: not app.desk.generation.running)
        assert screen.desk.writing.manuscript.text == "ROMEO: " + REPLY


async def test_enter_on_an_empty_prompt_goes_on_with_the_whole_text() -> None:
    engine = ScriptedEngine(replies=("one two",))
    async with opened(engine) as (pilot, _, screen):
        await send(pilot, "Count: ")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text == "Count: one two")
        await pilot.press("enter")
        await wait_until(pilot, lambda: len(generations(engine)) == 2)
        assert generations(engine)[1].prompt == "Count: one two"


async def test_ctrl_j_is_a_new_line_and_earlier_prompts_come_back() -> None:
    engine = ScriptedEngine(replies=("x",))
    async with opened(engine) as (pilot, _, screen):
        prompt = screen.query_one(Prompt)
        await pilot.press("a", "ctrl+j", "b")
        assert prompt.text == "a\nb"
        await pilot.press("enter")
        await wait_until(pilot, lambda: not prompt.text)
        await pilot.press("d", "up")
        assert prompt.text == "a\nb"
        await pilot.press("down")
        assert prompt.text == "d"


async def test_keys_that_come_in_one_burst_keep_their_order() -> None:
    engine = ScriptedEngine(replies=("x",))
    async with opened(engine) as (pilot, app, screen):
        for key in [*"KING:", "ctrl+j", *"To be", "enter", *"more"]:
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await wait_until(pilot, lambda: generations(engine))
        assert generations(engine)[0].prompt == "KING:\nTo be"
        await wait_until(pilot, lambda: screen.query_one(Prompt).text == "more")


async def test_what_is_typed_while_the_model_writes_is_kept() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, _, screen):
        await send(pilot, "a")
        await write(pilot, engine, 3)
        await pilot.press(*"and then")
        await write(pilot, engine, 3)
        engine.run_until_idle()
        await pilot.pause()
        assert screen.query_one(Prompt).text == "and then"


async def test_sending_while_the_model_writes_stops_it_first() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, _, screen):
        await send(pilot, "a")
        await write(pilot, engine, 2)
        await send(pilot, " BUT ")
        await wait_until(pilot, lambda: len(generations(engine)) == 2)
        assert generations(engine)[1].prompt == "aWhat light BUT "
        assert screen.desk.writing.manuscript.text == "aWhat light BUT "


async def test_two_prompts_sent_at_once_are_both_written() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "a")
        await write(pilot, engine, 2)
        for key in ("B", "enter", "C", "enter"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text == "aWhat lightBC")


async def test_esc_stops_at_once_and_keeps_what_was_written() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "a ")
        await write(pilot, engine, 4)
        await pilot.press("escape")
        await wait_until(pilot, lambda: not app.desk.generation.running)
        engine.advance(5)
        await see(pilot, "stopped · Enter goes on")
        assert screen.desk.writing.manuscript.text == "a What light is this"
        assert isinstance(screen.focused, Prompt)


async def test_ctrl_c_stops_and_never_quits() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, app, _):
        await send(pilot, "a")
        await write(pilot, engine, 1)
        await pilot.press("ctrl+c")
        await wait_until(pilot, lambda: not app.desk.generation.running)
        await pilot.press("ctrl+c")
        await see(pilot, "Ctrl+Q leaves")
        assert app.is_running


# ------------------------------------------------------------------ taking back, writing again


async def test_the_last_part_is_taken_back_into_the_prompt_and_put_in_place_again() -> None:
    engine = ScriptedEngine(replies=("two",))
    async with opened(engine) as (pilot, app, screen):
        manuscript = screen.desk.writing.manuscript
        await send(pilot, "one ")
        await wait_until(pilot, lambda: manuscript.text == "one two")
        await pilot.press("ctrl+z")
        await wait_until(pilot, lambda: manuscript.empty)
        assert screen.query_one(Prompt).text == "one "
        await pilot.press("escape", "ctrl+y")
        await wait_until(pilot, lambda: manuscript.text == "one two")
        assert screen.query_one(Prompt).text == ""
        await see(pilot, "one two")
        assert not app.desk.generation.running


async def test_undo_in_a_prompt_that_was_edited_undoes_the_edit() -> None:
    engine = ScriptedEngine(replies=("two",))
    async with opened(engine) as (pilot, _, screen):
        await send(pilot, "one ")
        await pilot.press(*"abc", "ctrl+z")
        assert screen.query_one(Prompt).text == ""
        assert screen.desk.writing.manuscript.text == "one two"


async def test_retry_writes_the_last_part_again_with_another_seed() -> None:
    engine = ScriptedEngine(replies=("first", "second"))
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "a ")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text == "a first")
        await pilot.press("ctrl+r")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text == "a second")
        assert [one.sampling.seed for one in generations(engine)] == [0, 1]
        assert [one.prompt for one in generations(engine)] == ["a ", "a "]
        assert app.desk.generation.sampling.seed == 1
        await pilot.press("ctrl+z")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text == "a first")


# ------------------------------------------------------------------ chatting


async def test_a_chat_is_a_play() -> None:
    engine = ScriptedEngine(replies=("Aye.\n\nROMEO:\nMore.",))
    async with opened(engine) as (pilot, _, screen):
        await pilot.press("alt+c")
        await see(pilot, "ROMEO speaks, JULIET answers")
        await send(pilot, "Is it day?")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text.endswith("Aye."))
        assert generations(engine)[0].prompt == "ROMEO:\nIs it day?\n\nJULIET:\n"
        assert generations(engine)[0].stop == ("\n\n", "\nROMEO:")
        await send(pilot, "Stay.")
        await wait_until(pilot, lambda: len(generations(engine)) == 2)
        assert generations(engine)[1].prompt.endswith("Aye.\n\nROMEO:\nStay.\n\nJULIET:\n")


async def test_a_chat_after_a_completion_is_a_text_of_its_own() -> None:
    async with opened(ScriptedEngine(replies=("Aye.",))) as (pilot, app, screen):
        await send(pilot, "Once upon")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text.endswith("Aye."))
        before = screen.desk.writing.id
        await pilot.press("alt+c")
        await see(pilot, "the model answers")
        assert screen.desk.writing.chat
        assert screen.desk.writing.manuscript.empty
        assert "goes on with it" not in screen_text(app)
        await send(pilot, "Is it day?")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text.endswith("Aye."))
        chat = screen.desk.writing.id
        await pilot.press("alt+c", "alt+c")  # to and fro stays on the same text
        assert (screen.desk.writing.id, screen.desk.writing.chat) == (chat, True)
        assert chat != before


async def test_both_names_can_be_changed() -> None:
    engine = ScriptedEngine(replies=("Mark me.",))
    async with opened(engine) as (pilot, _, screen):
        await pilot.press("alt+c")
        await pilot.click("#person")
        await pilot.press("ctrl+a", "ctrl+k", *"HAMLET", "tab", "ctrl+a", "ctrl+k", *"GHOST")
        await see(pilot, "HAMLET speaks, GHOST answers")
        screen.query_one(Prompt).focus()
        await send(pilot, "Who?")
        await wait_until(pilot, lambda: generations(engine))
        assert generations(engine)[0].prompt == "HAMLET:\nWho?\n\nGHOST:\n"


# ------------------------------------------------------------------ switches and settings


async def test_a_switch_flips_while_the_text_streams_and_its_worth_is_told() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "a")
        await write(pilot, engine, 12)
        await pilot.press("alt+2")
        await see(pilot, "○ off")
        assert SetOptimizations(Optimizations().without("linear")) in engine.submitted
        await write(pilot, engine, 12)
        await see(pilot, "at 8 (n 11, ")  # 11 tokens of each, none more than 16 positions apart
        await see(pilot, "▴2 off")
        assert screen.query_one(Prompt).text == ""
        engine.run_until_idle()
        await wait_until(pilot, lambda: not app.desk.generation.running)
        assert screen.desk.writing.manuscript.text == "a" + REPLY


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_one_key_goes_to_a_pace_that_can_be_read_and_back_and_it_is_kept(
    size: tuple[int, int], home: Path
) -> None:
    engine = by_hand()
    async with opened(engine, size) as (pilot, _, screen):
        await send(pilot, "a")
        await write(pilot, engine, 12)
        await see(pilot, "full speed")
        await see(pilot, "0.56 ms/token  median of 11")
        await pilot.press("f8")
        await see(pilot, "text at 12 a second")
        await write(pilot, engine, 1)
        await see(pilot, "0.56 ms/token  median of 12")  # the engine's time, whatever the pace
        await pilot.press("f8")
        await see(pilot, "full speed")
        await pilot.press("f8")
        paces = [command for command in engine.submitted if isinstance(command, SetPace)]
        assert paces == [SetPace(12.0), SetPace(0.0), SetPace(12.0)]
        assert screen.query_one(Prompt).text == ""
    assert "pace = 12.0" in (home / "config" / "settings.toml").read_text("utf-8")
    again = by_hand()
    async with opened(again, size) as (pilot, _, _):
        assert SetPace(12.0) in again.submitted
        await see(pilot, "text at 12 a second")


async def test_digits_are_digits_in_the_prompt_and_switches_in_the_text() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, screen):
        await pilot.press("3")
        assert screen.query_one(Prompt).text == "3"
        assert app.desk.generation.optimizations == Optimizations()
        await pilot.press("escape", "3")
        assert app.desk.generation.optimizations == Optimizations().without("gelu")
        await pilot.press("0", "0")
        assert app.desk.generation.optimizations == Optimizations.none()
        assert screen.query_one(Prompt).text == "3"


async def test_a_click_flips_a_switch() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, _):
        await pilot.click("#optimizations", offset=(5, 4))
        assert app.desk.generation.optimizations == Optimizations().without("residual")
    async with opened(ScriptedEngine(), STANDARD) as (pilot, app, _):
        await pilot.click("#compact", offset=(2 + 4, 1))
        assert app.desk.generation.optimizations == Optimizations().without("gelu")


async def test_typing_in_the_text_goes_to_the_prompt() -> None:
    async with opened(ScriptedEngine()) as (pilot, _, screen):
        await pilot.press("escape")
        assert isinstance(screen.focused, TextView)
        await pilot.press("H", "i")
        assert screen.query_one(Prompt).text == "Hi"


async def test_settings_are_changed_by_key_and_typed() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, screen):
        screen.query_one("#sampling").focus()
        await pilot.press("right", "right")
        assert app.desk.generation.sampling.temperature == pytest.approx(1.0)
        await pilot.press("down", *"0.5", "enter")
        assert app.desk.generation.sampling.top_p == 0.5
        await pilot.press("down", "down", "space", *"3", "enter")
        await wait_until(pilot, lambda: app.desk.generation.threads == 3)
        sampling = app.desk.generation.sampling
        assert engine.submitted[-1] == SetThreads(3)
        assert SetSampling(sampling) in engine.submitted
        screen.query_one(Prompt).focus()
        await send(pilot, "a")
        await wait_until(pilot, lambda: generations(engine))
        assert generations(engine)[0].sampling == sampling


async def test_more_threads_than_there_are_processors_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sg_core.processors.usable_processors", lambda: 2)
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, screen):
        screen.query_one("#sampling").focus()
        await pilot.press("down", "down", "down", "space", *"64", "enter")
        await wait_until(pilot, lambda: app.desk.generation.threads == 2)
        assert engine.submitted[-1] == SetThreads(2)


async def test_a_value_out_of_range_is_refused_with_a_line() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, screen):
        screen.query_one("#sampling").focus()
        await pilot.press("down", *"7", "enter")
        await see(pilot, "top_p is 7")
        assert app.desk.generation.sampling.top_p == 0.95


async def test_settings_are_changed_by_mouse() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, _):
        await pilot.click("#sampling", offset=(2 + 18, 1))
        assert app.desk.generation.sampling.temperature == pytest.approx(0.9)
        await pilot.click("#sampling", offset=(2 + 11, 1))
        assert app.desk.generation.sampling.temperature == pytest.approx(0.8)
