"""Stories about an app around which things fail: small terminals, lost sessions, trainings that must be saved."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from scripted_engine import ScriptedEngine
from stories import STANDARD, WIDE, see, wait_until

from sg_core.engine.commands import StopTraining, Train
from sg_tui.app import IDLE_SECONDS, QUIET_LOOKS, SgApp
from sg_tui.library import preferences
from sg_tui.library.librarian import Librarian
from sg_tui.library.text_keeper import TextKeeper
from sg_tui.state.writing import Writing
from sg_tui.widgets.prompt import Prompt


def told(app: SgApp, words: str) -> bool:
    return any(words in one.message for one in app._notifications)


@pytest.mark.parametrize("key", ["f2", "f3"])
async def test_a_terminal_that_was_too_small_gives_the_keys_back(key: str) -> None:
    app = SgApp(engine=ScriptedEngine())
    async with app.run_test(size=STANDARD) as pilot:
        await see(pilot, "3.5M")
        await pilot.press(key)
        await wait_until(pilot, lambda: app.screen.focused)
        before = app.screen.focused
        await pilot.resize_terminal(50, 12)
        await see(pilot, "this terminal is 50 x 12")
        await pilot.resize_terminal(*WIDE)
        await wait_until(pilot, lambda: app.screen.focused is before)


async def test_an_app_that_began_in_a_small_terminal_takes_words_when_it_grows() -> None:
    app = SgApp(engine=ScriptedEngine())
    async with app.run_test(size=(50, 12)) as pilot:
        await see(pilot, "this terminal is 50 x 12")
        await pilot.resize_terminal(*STANDARD)
        await wait_until(pilot, lambda: app.screen.focused)


def lost_session(home: Path, typed: str, prompt: str) -> None:
    """What a session that was killed leaves behind."""
    (home / "data").mkdir(parents=True, exist_ok=True)
    librarian = Librarian(lambda: home / "data")
    writing = Writing()
    if typed:
        writing.begin(typed, 7)
    TextKeeper(librarian).keep(writing, "m", prompt)
    assert librarian.close(10)


async def test_what_was_on_the_screen_of_a_killed_session_is_there_again(home: Path) -> None:
    lost_session(home, "Once upon", "a ti")
    app = SgApp(engine=ScriptedEngine())
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "Once upon")
        await wait_until(pilot, lambda: app.screen.query_one(Prompt).text == "a ti")
        await see(pilot, "your last text · Ctrl+N begins a new one")


async def test_words_alone_come_back_too_and_the_text_after_leaving(home: Path) -> None:
    lost_session(home, "", "a ti")
    app = SgApp(engine=ScriptedEngine())
    async with app.run_test(size=WIDE) as pilot:
        await wait_until(pilot, lambda: app.screen.query_one(Prompt).text == "a ti")
        await pilot.press("ctrl+u", "enter")
        await wait_until(pilot, lambda: not app.screen.query_one(Prompt).text)
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: not app.is_running)
    other = SgApp(engine=ScriptedEngine())
    async with other.run_test(size=WIDE) as pilot:
        await see(pilot, "3.5M")
        await wait_until(pilot, lambda: other.desk.librarian._work.empty())
        assert other.screen.query_one(Prompt).text == ""
        assert other.desk.writing.manuscript.text == app.desk.writing.manuscript.text


async def test_settings_are_kept_when_they_change(home: Path) -> None:
    app = SgApp(engine=ScriptedEngine())
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "3.5M")
        app.desk.set_sampling("temperature", 1.25)
        folder = home / "config"
        await wait_until(pilot, lambda: preferences.read(folder)[0].sampling.temperature == 1.25)


async def in_training(app: SgApp, engine: ScriptedEngine) -> None:
    engine.automatic = False
    command = Train(out="runs/one")
    app.desk.training.asked(command)
    app.desk.submit(command)
    engine.advance(5)
    app.flush_events()
    assert app.desk.training.unsaved_steps > 0


async def test_leaving_saves_the_training_first() -> None:
    engine = ScriptedEngine()
    app = SgApp(engine=engine)
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "3.5M")
        await in_training(app, engine)
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: StopTraining() in engine.submitted)
        assert told(app, "The training is being saved; Ctrl+Q again leaves")
        engine.run_until_idle()
        await wait_until(pilot, lambda: not app.is_running)


async def test_a_second_wish_to_leave_gives_up_what_is_being_saved() -> None:
    engine = ScriptedEngine()
    app = SgApp(engine=engine)
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "3.5M")
        await in_training(app, engine)
        engine._jobs.clear()  # it takes for ever
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: StopTraining() in engine.submitted)
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: not app.is_running)


async def test_an_app_that_rests_looks_seldom_and_wakes_when_asked() -> None:
    app = SgApp(engine=ScriptedEngine())
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "3.5M")
        await wait_until(pilot, lambda: app._quiet > QUIET_LOOKS)
        await wait_until(pilot, lambda: app._timer is not None and app._timer._interval == IDLE_SECONDS)
        await pilot.press("a", "enter")
        await wait_until(pilot, lambda: app._quiet < QUIET_LOOKS)


async def test_a_fault_of_the_app_itself_becomes_a_report(home: Path) -> None:
    app = SgApp(engine=ScriptedEngine())

    def fail() -> None:
        raise ZeroDivisionError("oh")

    async def fall() -> None:
        async with app.run_test(size=WIDE) as pilot:
            await see(pilot, "3.5M")
            app.call_later(fail)
            await wait_until(pilot, lambda: app.crash)

    with pytest.raises(ZeroDivisionError):
        await fall()
    (report,) = (home / "data").glob("crash-*.txt")
    assert str(report) in app.crash
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert app.return_code == 1
