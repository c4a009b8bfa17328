"""Stories about the app itself: starting, choosing a model, views, help, palette, settings, leaving."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cli_support import make_model
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_lines, screen_text, see, wait_until
from textual.content import Content
from textual.widgets import OptionList, Static
from write_stories import by_hand, opened, send

from sg_core import paths
from sg_core.engine.commands import Generate, Load
from sg_core.engine.events import Failed, Notice, Phase
from sg_core.network.optimizations import Optimizations
from sg_tui.app import SgApp
from sg_tui.desk import Desk
from sg_tui.library.store import Store
from sg_tui.screens.help import ABOUT, HelpScreen
from sg_tui.screens.model_picker import ModelPicker
from sg_tui.screens.write import WriteScreen
from sg_tui.widgets.prompt import Prompt


def test_opening_the_app_imports_no_number_cruncher() -> None:
    code = (
        "import sys, sg_tui.app, sg_tui.screens.write, sg_tui.screens.mode\n"
        "heavy = {'numpy', 'numba', 'safetensors', 'huggingface_hub', 'tiktoken', 'textual_plot'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_the_engine_starts_and_loads_the_model_asked_for_after_the_first_paint() -> None:
    engine = ScriptedEngine()
    app = SgApp(model="some/model", threads=3, engine=engine)
    assert not engine.started
    async with app.run_test(size=WIDE) as pilot:
        await wait_until(pilot, lambda: app.desk.generation.loaded)
        assert engine.submitted[0] == Load("some/model", "f32", 3)
        await see(pilot, "some/model 3.5M")
        await see(pilot, "3 threads")
    assert engine.closed


async def test_what_the_engine_does_is_told_with_its_progress() -> None:
    engine = by_hand()
    app = SgApp(engine=engine)
    async with app.run_test(size=STANDARD) as pilot:
        await wait_until(pilot, lambda: engine.submitted)
        engine.advance(3)
        await see(pilot, "compiling 1/3 0:0")


async def test_a_model_that_can_not_be_loaded_is_told_and_another_one_offered() -> None:
    engine = by_hand()
    engine.script(Load, [Phase("loading"), Failed("no folder [x] here; choose another model")])
    app = SgApp(model="nowhere", engine=engine)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: engine.submitted)
        engine.run_until_idle()
        await see(pilot, "no folder [x] here; choose another model")
        assert isinstance(app.screen, ModelPicker)
        await pilot.press("enter")
        await wait_until(pilot, lambda: len(engine.submitted) == 2)
        assert engine.submitted[1] == Load("tinyshakespeare", "f32", None)
        engine.run_until_idle()
        await see(pilot, "tinyshakespeare 3.5M")


async def test_another_model_is_chosen_by_path() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, _):
        await pilot.press("ctrl+l")
        await see(pilot, "a folder, or a Hub id")
        await pilot.press(*"/my/model", "enter")
        await wait_until(pilot, lambda: app.desk.model == "/my/model")
        assert engine.submitted[-1] == Load("/my/model", "f32", None)


async def test_installed_models_are_listed_and_a_click_chooses(home: Path) -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, _):
        await pilot.press("ctrl+l")
        await wait_until(pilot, lambda: app.screen.query(OptionList), "the list")
        submitted = len(engine.submitted)
        await pilot.click(OptionList, offset=(3, 0))
        await wait_until(pilot, lambda: isinstance(app.screen, WriteScreen))
        await see(pilot, "tinyshakespeare is loaded already.")
        assert len(engine.submitted) == submitted


async def test_a_person_s_runs_are_listed_as_models(home: Path) -> None:
    make_model(paths.runs_dir() / "2026-01-02-030405-tiny" / "model")
    (paths.runs_dir() / "2026-01-02-030405-tiny" / "run.json").write_text("{}")
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, _):
        await pilot.press("ctrl+l")
        await see(pilot, "2026-01-02-030405-tiny   run, ")
        await pilot.press(*"2026", "enter")
        await wait_until(pilot, lambda: isinstance(app.screen, WriteScreen))
        assert engine.submitted[-1] == Load("2026-01-02-030405-tiny", "f32", None)


async def test_an_engine_that_can_not_be_made_leaves_the_app_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    import sg_core.engine.engine

    def broken() -> None:
        raise ImportError("no numba [here]")

    monkeypatch.setattr(sg_core.engine.engine, "Engine", broken)
    app = SgApp()
    async with app.run_test() as pilot:
        await see(pilot, "the engine can't start: no numba [here]")
        await pilot.press("escape", "a")
        await wait_until(pilot, lambda: app.screen.query_one(Prompt).text == "a")


async def test_stopping_before_there_is_an_engine_takes_the_order_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Desk, "_make_engine", lambda self: None)
    app = SgApp()
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: app.query(Prompt))
        await pilot.press("a", "enter")
        await wait_until(pilot, lambda: app.desk.generation.running)
        await pilot.press("escape")
        await wait_until(pilot, lambda: not app.desk.generation.running)
        engine = ScriptedEngine()
        app.desk.engine = engine
        await wait_until(pilot, lambda: app.desk.generation.loaded)
        assert [type(command) for command in engine.submitted] == [Load]


async def test_stopping_while_kernels_compile_does_not_wait_for_them() -> None:
    engine = by_hand()
    app = SgApp(engine=engine)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: engine.submitted)
        engine.advance(2)
        await see(pilot, "compiling")
        await pilot.press(*"ab", "enter")
        await wait_until(pilot, lambda: app.desk.generation.running)
        await pilot.press("escape")
        await see(pilot, "stopped · Enter goes on")
        assert engine.stops == 1
        engine.run_until_idle()
        await pilot.pause()
        assert not app.desk.generation.running
        view = app.screen
        assert isinstance(view, WriteScreen)
        assert view.desk.writing.manuscript.text == "ab"


async def test_nothing_is_lost_while_another_view_is_seen() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "ROMEO: ")
        engine.advance(5)
        await pilot.press("f3")
        await wait_until(pilot, lambda: app.current_mode == "train")
        engine.run_until_idle()
        await wait_until(pilot, lambda: not app.desk.generation.running)
        await pilot.press("f4")
        await wait_until(pilot, lambda: app.current_mode == "bench")
        await pilot.press("f2")
        await see(pilot, "Then let me stay, and let the morning find me.")
        assert app.screen is screen


async def test_views_are_changed_by_mouse() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, _):
        column = screen_text(app).splitlines()[0].index("Train")
        await pilot.click("Header", offset=(column, 0))
        await wait_until(pilot, lambda: app.current_mode == "train")


async def test_the_footer_tells_the_keys_and_can_be_clicked() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, _):
        footer = screen_text(app).splitlines()[-1]
        assert "Enter go on" in footer
        await pilot.click("ActionFooter", offset=(footer.index("F1") + 1, 0))
        await see(pilot, "Send the prompt; empty: go on writing")
        await pilot.press("escape", "escape")
        await wait_until(pilot, lambda: "1-9 flip" in screen_text(app).splitlines()[-1])


async def test_help_opens_and_closes_with_its_key() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, screen):
        await pilot.press("f1")
        await see(pilot, "Send the prompt; empty: go on writing")
        await pilot.press("f1")
        await wait_until(pilot, lambda: app.screen is screen)
        for key in ("q", "enter", "escape"):
            await pilot.press("f1")
            await wait_until(pilot, lambda: app.screen is not screen)
            await pilot.press(key)
            await wait_until(pilot, lambda: app.screen is screen)


async def test_the_palette_finds_an_action_and_does_it() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, app, screen):
        await pilot.press("ctrl+p")
        await wait_until(pilot, lambda: app.screen is not screen)
        await pilot.press(*"gelu table")
        await see(pilot, "Switch GELU table on or off")
        await pilot.press("down", "enter")
        await wait_until(pilot, lambda: app.desk.generation.optimizations == Optimizations().without("gelu_table"))


def first_of(app: SgApp, one: str, other: str) -> bool:
    text = screen_text(app)
    return text.index(one) < text.index(other)


async def test_what_was_used_comes_first_in_the_palette_also_at_the_next_start() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, screen):
        assert app.desk.generation.optimizations.lookup is False
        await pilot.press("ctrl+p")
        await wait_until(pilot, lambda: app.screen is not screen)
        await pilot.press(*"switch lookup")
        await see(pilot, "Switch lookup on or off   Alt+8")
        await pilot.press("down", "enter")
        await wait_until(pilot, lambda: app.desk.generation.optimizations.lookup)
    async with opened(ScriptedEngine()) as (pilot, app, _):
        await pilot.press("ctrl+p")
        await see(pilot, "Switch lookup on or off")
        assert first_of(app, "Switch lookup on or off", "What every key does")


async def test_help_begins_with_the_place_one_is_in() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, _):
        for key, first in (("f1", "In the prompt"), ("f4", "Bench"), ("f5", "In the line to search with")):
            await pilot.press(*[key] if key == "f1" else [key, "f1"])
            await wait_until(pilot, lambda: isinstance(app.screen, HelpScreen))
            assert first in screen_lines(app)[app.screen.query_one("#help").region.y]
            await pilot.press("escape")


async def test_on_the_smallest_screen_help_stays_in_two_columns_and_the_header_names_keys() -> None:
    async with opened(ScriptedEngine(), SMALL) as (pilot, app, _):
        await wait_until(pilot, lambda: "F2 Write F3 Train F4 Bench F5 Library" in screen_lines(app)[0])
        app.desk.generation.phase = Phase("decoding")
        await wait_until(pilot, lambda: "Write Train Bench Library decoding" in screen_lines(app)[0])
        app.desk.generation.phase = Phase("idle")
        await pilot.press("f1")
        await see(pilot, "Send the prompt; empty: go")
        lines = screen_lines(app)
        first = next(number for number, line in enumerate(lines) if "Send the prompt" in line)
        assert lines[first + 1].index("on writing") == lines[first].index("Send the prompt")
        words = app.screen.query_one("#help Static", Static)
        shown = words.content
        assert isinstance(shown, Content)
        rows = [line for line in shown.plain.split(ABOUT)[0].splitlines() if line.startswith("  ")]
        assert max(map(len, rows)) <= words.content_size.width  # nothing is wrapped once more


async def test_light_colours_are_remembered_with_the_other_settings() -> None:
    async with opened(ScriptedEngine()) as (pilot, app, screen):
        await pilot.press("f9", "alt+c")
        assert app.theme == "sg-light"
        app.desk.set_sampling("seed", 42)
        app.desk.set_sampling("max_tokens", 9)
    async with opened(ScriptedEngine()) as (pilot, app, screen):
        assert app.theme == "sg-light"
        assert screen.desk.writing.chat
        assert (app.desk.generation.sampling.seed, app.desk.generation.max_tokens) == (42, 9)
        await see(pilot, "ROMEO speaks, JULIET answers")


async def test_broken_settings_and_a_damaged_library_are_told_once_and_kept(home: Path) -> None:
    for folder in ("config", "data"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    (home / "config" / "settings.toml").write_text("nonsense")
    (home / "data" / "library.sqlite3").write_bytes(b"garbage" * 1000)
    async with opened(ScriptedEngine(replies=("b",))) as (pilot, _, screen):
        await see(pilot, "settings.toml can't be used")
        await see(pilot, "the library was damaged")
        await send(pilot, "a")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text == "ab")
    assert (home / "config" / "settings-broken.toml").read_text() == "nonsense"
    store = Store(home / "data")
    assert [one.title for one in store.texts()] == ["ab"]
    store.close()


async def test_leaving_takes_no_time_and_keeps_what_was_written(home: Path) -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, app, _):
        await send(pilot, "ROMEO: ")
        engine.advance(4)
        await see(pilot, "What light is this")
        begin = time.monotonic()
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: not app.is_running or app._exit)
    assert time.monotonic() - begin < 50  # it would be for ever if it waited for the whole text
    assert engine.closed
    store = Store(home / "data")
    assert [one.title for one in store.texts()] == ["ROMEO: What light is this"]
    store.close()
    assert not [one for one in threading.enumerate() if one.name == "sg-library" and one.is_alive()]


async def test_a_flush_that_costs_much_makes_the_next_ones_come_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(ScriptedEngine()) as (_, app, _):
        now = 1e6
        monkeypatch.setattr("sg_tui.app.time.perf_counter", lambda: now)
        monkeypatch.setattr("sg_tui.app.time.thread_time", lambda: now)
        flushed: list[float] = []

        def nothing_there() -> int:
            flushed.append(now)
            return 0

        monkeypatch.setattr(app, "_hand_on", nothing_there)
        app._look()
        now += 0.02
        app._drawn(now - 0.02)  # a tenth of the time: none in the next 180 ms
        for _ in range(6):
            now += 0.06
            app._look()
        assert [round(one - 1e6, 2) for one in flushed] == [0.0, 0.2, 0.26, 0.32, 0.38]
        flushed.clear()
        begin, now = now, now + 1.0
        app._drawn(begin)  # never later than half a second
        for _ in range(6):
            now += 0.12
            app._look()
        assert [round(one - begin, 2) for one in flushed] == [1.6, 1.72]


async def test_a_notice_is_one_harmless_line() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, _, _):
        engine.emit(Notice("kernels [cache] \x1b[2J"))
        await see(pilot, "kernels [cache] ␛[2J")


async def test_without_colours_everything_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    engine = by_hand()
    async with opened(engine) as (pilot, _, _):
        await send(pilot, "ROMEO: ")
        await pilot.press("alt+3")
        await see(pilot, "○ off")
        await see(pilot, "● on")
        assert [one for one in engine.submitted if isinstance(one, Generate)]
