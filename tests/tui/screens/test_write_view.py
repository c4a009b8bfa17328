"""Stories about the Write view: figures, screens of every size, hostile text, pasting, the library."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_lines, screen_text, see, wait_until
from textual import events
from textual.screen import Screen
from textual.strip import Strip
from textual.widgets import OptionList
from write_stories import by_hand, generations, opened, send, write

from sg_core.engine.events import Failed
from sg_tui.widgets.compact_panel import speed_line
from sg_tui.widgets.prompt import LONGEST_PASTE, Prompt
from sg_tui.widgets.text_view import TextView

# ------------------------------------------------------------------ figures


async def test_speed_operations_context_and_alternatives_are_shown() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, _, _):
        await send(pilot, "a")
        await write(pilot, engine, 8)
        for words in ("0.56 ms/token  median of 7", "1,786 tokens/s", "app +10%", "first token", "QKV", "unembedding"):
            await see(pilot, words)
        await see(pilot, "sum 0.56 ms · median of 7")
        await see(pilot, "position 64")
        await see(pilot, "9/256")
        await see(pilot, "decoding 0:0")
        await pilot.press("tab", "tab")
        engine.run_until_idle()
        await see(pilot, "20 MB read a token  1.4 × the bound  50 GB/s")


async def test_a_full_context_is_told_in_the_frame_and_counted() -> None:
    engine = by_hand(replies=("word " * 700,))
    async with opened(engine) as (pilot, app, _):
        app.desk.set_sampling("max_tokens", 2000)
        await send(pilot, "a")
        await write(pilot, engine, 200)
        await see(pilot, "201/256")
        engine.advance(400)
        await see(pilot, "moved 3×")
        await see(pilot, "the context was full, 128 tokens are kept · Esc stops")
        assert not app._notifications  # which would cover what is written


async def test_the_cursor_shows_the_alternatives_of_any_token() -> None:
    engine = ScriptedEngine(replies=("one two three",))
    async with opened(engine) as (pilot, _, screen):
        await send(pilot, "a ")
        await pilot.press("escape")
        await see(pilot, "▸ “ three”")
        await pilot.press("left")
        await see(pilot, "▸ “ two”")
        await pilot.click("#text", offset=(2 + 3, 1))
        await see(pilot, "▸ “one”")
        assert screen.query_one(TextView).cursor == 1


# ------------------------------------------------------------------ screens of every size


async def test_the_panel_folds_into_two_lines_and_opens_over_the_text() -> None:
    engine = by_hand()
    async with opened(engine, STANDARD) as (pilot, _, _):
        await send(pilot, "a")
        await write(pilot, engine, 5)
        await see(pilot, "1+2+3+4+5+6+7+8-")
        assert "where the time goes" not in screen_text(pilot.app)
        await pilot.press("ctrl+t")
        for words in ("where the time goes", "8 lookup", "○ int4", "max tokens", "threads"):
            await see(pilot, words)
        await pilot.press("ctrl+t")
        await wait_until(pilot, lambda: "where the time goes" not in screen_text(pilot.app))


async def test_a_resize_keeps_the_text_and_every_line_in_bounds() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, _, _):
        await send(pilot, "ROMEO: ")
        await write(pilot, engine, 30)
        for size in (STANDARD, SMALL, (200, 50), WIDE):
            await pilot.resize_terminal(*size)
            await wait_until(pilot, lambda size=size: len(screen_lines(pilot.app)) == size[1])  # type: ignore[misc]
            await see(pilot, "The lantern of the watch")
            lines = screen_lines(pilot.app)
            assert {len(line) for line in lines} == {size[0]}
        await pilot.resize_terminal(50, 14)
        await see(pilot, "this terminal is 50 x 14")
        await pilot.resize_terminal(*SMALL)
        await see(pilot, "The lantern of the watch")


async def test_the_view_follows_the_tail_unless_the_person_scrolled_away() -> None:
    engine = by_hand(replies=("line\n" * 120,))
    async with opened(engine, STANDARD) as (pilot, _, screen):
        view = screen.query_one(TextView)
        await send(pilot, "a")
        await write(pilot, engine, 100)
        await wait_until(pilot, lambda: view.is_vertical_scroll_end and view.scroll_offset.y > 0)
        await pilot.press(*"a", "ctrl+j", "ctrl+j", "ctrl+j")  # the prompt grows, the view shrinks
        await wait_until(pilot, lambda: view.is_vertical_scroll_end and view.scroll_offset.y > 0)
        await write(pilot, engine, 50)
        await wait_until(pilot, lambda: view.is_vertical_scroll_end)
        await pilot.press("escape")
        engine.run_until_idle()
        await see(pilot, "stopped · Enter goes on")  # else Escape would stop once more
        await pilot.press("escape", "pageup", "pageup")
        await wait_until(pilot, lambda: not view.is_vertical_scroll_end)
        top = view.scroll_offset.y
        await pilot.press("enter", *"x", "enter")
        await wait_until(pilot, lambda: view.is_vertical_scroll_end and view.scroll_offset.y > top)


async def test_new_lines_below_are_announced_while_scrolled_away() -> None:
    engine = by_hand(replies=("line\n" * 120,))
    async with opened(engine, STANDARD) as (pilot, _, screen):
        await send(pilot, "a")
        await write(pilot, engine, 60)
        screen.query_one(TextView).focus()
        await pilot.press("home")
        await write(pilot, engine, 60)
        await see(pilot, "more · End")
        await pilot.press("end")
        await wait_until(pilot, lambda: "more · End" not in screen_text(pilot.app))


# ------------------------------------------------------------------ hostile text

HOSTILE = "a\x1b]52;c;QUJD\x07b\x1b[2J\r\x08[/bold][red]x[ \u202egnp\u200b 漢字e\u0301👍🏽 \x9b31m\ud800 end"


async def test_hostile_output_is_shown_inert_and_kept_as_it_is(tmp_path: Path) -> None:
    engine = ScriptedEngine(replies=(HOSTILE,))
    async with opened(engine) as (pilot, _, screen):
        await send(pilot, "[bold]")
        await see(pilot, "a␛]52;c;QUJD␇b␛[2J␍␈[/bold][red]x[ \ufffdgnp\ufffd 漢字")
        text = screen_text(pilot.app)
        assert not any((ord(one) < 32 and one != "\n") or 0x7F <= ord(one) < 0xA0 for one in text)
        assert screen.desk.writing.manuscript.text == "[bold]" + HOSTILE
        await pilot.press("ctrl+s")
        await see(pilot, "save the text")
        path = screen.app.screen.query_one("#path")
        path.value = str(tmp_path / "out.txt")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await wait_until(pilot, lambda: (tmp_path / "out.txt").exists())
        assert (tmp_path / "out.txt").read_bytes() == ("[bold]" + HOSTILE).encode("utf-8", "replace")


async def test_hostile_failures_and_notices_are_only_words() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, _, _):
        engine.emit(Failed("bad \x1b[31m[/red] [ name\nsecond"))
        await see(pilot, "bad ␛[31m[/red] [ name␊second")


async def test_a_selection_copies_the_raw_text() -> None:
    engine = ScriptedEngine(replies=("one \x1b two three",))
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "a ")
        await see(pilot, "a one ␛ two three")
        view = screen.query_one(TextView)
        await pilot.mouse_down(view, offset=(2 + 2, 1))
        await pilot.hover(view, offset=(2 + 9, 1))
        await pilot.mouse_up(view, offset=(2 + 9, 1))
        await pilot.press("ctrl+c")
        await see(pilot, "Copied")
        assert app.clipboard == "one \x1b tw"


# ------------------------------------------------------------------ pasting


async def test_a_huge_paste_is_shortened_and_that_is_said() -> None:
    async with opened(ScriptedEngine()) as (pilot, _, screen):
        prompt = screen.query_one(Prompt)
        prompt.post_message(events.Paste("word " * 2_000_000))
        await see(pilot, "The paste has 10,000,000 characters")
        assert len(prompt.text) == LONGEST_PASTE


async def test_a_paste_can_not_command_the_terminal() -> None:
    async with opened(ScriptedEngine()) as (pilot, _, screen):
        prompt = screen.query_one(Prompt)
        prompt.post_message(events.Paste("a\r\nb\x1b[31m\x07"))
        await wait_until(pilot, lambda: prompt.text)
        assert prompt.text == "a\nb␛[31m␇"


# ------------------------------------------------------------------ the library


async def test_texts_are_kept_by_themselves_and_opened_again() -> None:
    engine = ScriptedEngine(replies=("first answer",))
    async with opened(engine) as (pilot, _, screen):
        await send(pilot, "My first text: ")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text.endswith("answer"))
        await pilot.press("ctrl+n")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.empty)
    engine = ScriptedEngine(replies=("more",))
    async with opened(engine) as (pilot, app, screen):
        await pilot.press("ctrl+o")
        await see(pilot, "My first text: first answer")
        await pilot.press(*"answer", "tab")
        assert isinstance(app.focused, OptionList)
        await pilot.press("enter")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text == "My first text: first answer")
        await send(pilot, " and ")
        await wait_until(pilot, lambda: generations(engine))
        assert generations(engine)[0].prompt == "My first text: first answer and "


async def test_saving_over_a_file_asks_first(tmp_path: Path) -> None:
    target = tmp_path / "text.txt"
    target.write_text("precious")
    async with opened(ScriptedEngine(replies=("b",))) as (pilot, app, screen):
        await send(pilot, "a")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text == "ab")
        await pilot.press("ctrl+s")
        await see(pilot, "save the text")
        app.screen.query_one("#path").value = str(target)  # type: ignore[attr-defined]
        await pilot.press("enter")
        await see(pilot, "exists: Enter again replaces it")
        assert target.read_text() == "precious"
        await pilot.press("enter")
        await wait_until(pilot, lambda: target.read_text() == "ab")


async def test_a_place_that_can_not_be_written_is_told_in_the_dialog(tmp_path: Path) -> None:
    async with opened(ScriptedEngine(replies=("b",))) as (pilot, app, screen):
        await send(pilot, "a")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text == "ab")
        await pilot.press("ctrl+s")
        await see(pilot, "save the text")
        app.screen.query_one("#path").value = str(tmp_path / "no" / "such" / "folder.txt")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await see(pilot, "can't be saved there")
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is screen)


async def test_on_the_smallest_screen_the_chart_is_a_key_away() -> None:
    engine = by_hand()
    async with opened(engine, SMALL) as (pilot, _, _):
        await send(pilot, "a")
        await write(pilot, engine, 8)
        await pilot.press("ctrl+t")
        await see(pilot, "▸1 KV cache")
        await pilot.press("pageup", "pageup", "pageup")
        await see(pilot, "position 64")
        await pilot.press("pagedown")
        await see(pilot, "▸1 KV cache")


async def test_the_context_in_the_line_of_a_small_screen_is_whole_or_not_there() -> None:
    engine = by_hand(replies=("word " * 40,))
    async with opened(engine, STANDARD) as (pilot, app, _):
        await send(pilot, "a ")
        await write(pilot, engine, 12)
        state = app.desk.generation
        for width in range(40, 100):
            line = speed_line(state, width).plain
            assert len(line) <= width
            assert ("context" in line) == (f"context {state.position}/256" in line), width


@pytest.mark.parametrize("size", [STANDARD, SMALL])
async def test_on_a_small_screen_too_a_switch_that_is_off_is_named_with_what_it_is_worth(size: tuple[int, int]) -> None:
    engine = by_hand(replies=("word " * 60,))
    async with opened(engine, size) as (pilot, _, _screen):
        await send(pilot, "a ")
        await write(pilot, engine, 20)
        await see(pilot, "temp 0.8")
        await pilot.press("alt+1")
        await see(pilot, "KV cache off")
        engine.advance(20)
        await see(pilot, "KV cache off × ")
        await pilot.press("alt+1")
        await see(pilot, "temp 0.8")


# ------------------------------------------------------------------ what drawing costs


async def test_a_token_draws_the_last_rows_again_not_the_whole_text(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = by_hand(replies=("word " * 700,))
    drawn: list[int] = []
    layouts: list[bool] = []
    render_line, layout = TextView.render_line, Screen._refresh_layout

    def counted(view: TextView, y: int) -> Strip:
        drawn.append(y)
        return render_line(view, y)

    def laid_out(screen: Screen[object], *arguments: object, **options: bool) -> None:
        layouts.append(True)
        layout(screen, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("sg_tui.screens.write.FIGURES_SECONDS", 0.0)
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "a")
        await write(pilot, engine, 40)
        view = screen.query_one(TextView)
        await pilot.pause()
        monkeypatch.setattr(TextView, "render_line", counted)
        monkeypatch.setattr(Screen, "_refresh_layout", laid_out)
        for _ in range(20):
            engine.advance(1)
            app.flush_events()
            await pilot.pause()
        rows = view.virtual_size.height
        assert rows > 3
        assert drawn
        assert min(drawn) >= 2
        assert not layouts


async def test_a_frame_is_painted_again_only_when_it_says_something_else() -> None:
    async with opened(by_hand()) as (pilot, _, screen):
        view = screen.query_one(TextView)
        view.border_title = "one"
        await pilot.pause()
        assert not view._repaint_regions
        view.border_title = "one"
        assert not view._repaint_regions
        view.border_title = "other"
        assert view._repaint_regions
        assert view.border_title == "other"
