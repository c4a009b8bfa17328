"""Stories about control of a run while it trains: changes, the way back, forks, and the search for a rate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from stories import STANDARD, WIDE
from train_story import training

from sg_core.engine.commands import BackToBest, ChangeTraining, FindLearningRate, ForkTraining
from sg_core.engine.events import Failed, RateFound
from sg_core.storage.run_log import RunEvent, add_event
from sg_core.training.results import LayerFigures, Trial
from sg_tui.library.run_records import NAME, RunKeeper, load_records

CHANGE = RunEvent(1, 0, 30, "change", {"learning_rate": 5e-4})


@pytest.mark.parametrize("size", [WIDE, STANDARD])
async def test_a_change_is_asked_for_on_a_line_and_marked_on_the_curve(size: tuple[int, int]) -> None:
    async with training(size, steps=60) as story:
        await story.press("e")
        line = story.screen.query_one("#line")
        await story.see("learning rate 0.002, schedule cosine, dropout 0.1")
        line.value = "learning rate 5e-4, schedule cosine, dropout 0.1"  # type: ignore[attr-defined]
        await story.press("enter")
        await story.until(lambda: story.sent(ChangeTraining))
        assert story.sent(ChangeTraining) == [ChangeTraining({"learning_rate": 5e-4})]
        assert not line.display
        await story.emit(CHANGE)
        await story.see("Step 30: learning rate 0.0005.")
        story.screen._drawn = (-1, None)
        story.screen._drawn_at = 0.0
        await story.until(lambda: "┊" in story.text and story.text.count("①") == 2, "a line, and a number with words")
        await story.press("e")
        await story.see("learning rate 0.0005, schedule cosine")  # as it is now


async def test_a_change_that_cant_be_read_stays_on_the_line() -> None:
    async with training() as story:
        await story.press("e")
        line = story.screen.query_one("#line")
        line.value = "faster"  # type: ignore[attr-defined]
        await story.press("enter")
        await story.see("'faster' is no change; write for example")
        assert (line.display, line.value) == (True, "faster")  # type: ignore[attr-defined]
        assert not story.sent(ChangeTraining)


async def test_going_back_cuts_the_curve_and_is_marked_where_it_goes_on() -> None:
    async with training(steps=90) as story:
        await story.press("b")
        await story.until(lambda: story.sent(BackToBest))
        run = story.app.desk.training.run
        assert run is not None
        assert run.step == 90
        await story.emit(RunEvent(1, 0, 90, "back", {"to": 50}))
        assert run.step == 50
        await story.see("back to step 50")
        await story.see("It learns the same")
        await story.emit(Failed("step 50 is the best one so far", command="BackToBest"))
        await story.see("step 50 is the best one so far")


async def test_a_fork_is_asked_for_and_told() -> None:
    async with training() as story:
        await story.press("k")
        await story.until(lambda: story.sent(ForkTraining))
        await story.emit(RunEvent(1, 0, 30, "fork", {"folder": "/runs/[red]other\x1b"}))
        await story.see("Step 30: fork /runs/[red]other")


@pytest.mark.parametrize("size", [WIDE, STANDARD])
async def test_a_search_shows_its_curve_and_one_number_which_enter_takes(size: tuple[int, int]) -> None:
    async with training(size) as story:
        await story.press("r")
        await story.until(lambda: story.sent(FindLearningRate))
        await story.see("Rates are tried on a copy of the run")
        losses = [4.0, 4.0, 3.5, 2.5, 2.0, 3.0, 6.0]
        await story.emit(*(Trial(10.0 ** (n - 6), loss, loss) for n, loss in enumerate(losses)))
        await story.see("1e-06")
        assert "▁" in story.text
        assert "█" in story.text
        await story.emit(RateFound(30, 1e-3, 7))
        await story.see("highest learning rate 0.001: a tenth of where the loss is lowest")
        await story.see("▲ 0.001")
        await story.see("learning rate 0.001, schedule cosine")
        await story.press("enter")
        await story.until(lambda: story.sent(ChangeTraining))
        assert story.sent(ChangeTraining)[0].settings == {"learning_rate": 1e-3}
        await story.press("r")  # the samples again
        await story.until(lambda: not story.screen.query_one("#rates").display, "the samples again")
        assert len(story.sent(FindLearningRate)) == 1


@pytest.mark.parametrize("size", [WIDE, STANDARD])
async def test_rows_of_heat_tell_what_happens_in_each_block(size: tuple[int, int]) -> None:
    async with training(size) as story:
        await story.press("h")
        await story.see("A block is looked at every few steps")
        looks = [LayerFigures(8 * n, n % 2, 0.1 + 0.1 * n, 1e-3 if n % 2 else 3e-2, 0.25) for n in range(1, 9)]
        await story.emit(*looks)
        await story.see("block 1")
        rows = {line.split("block ")[1][0]: line for line in story.text.splitlines() if "block " in line}
        assert "3e-02↑" in rows["0"]  # told without colours too
        assert "1e-03 " in rows["1"]
        assert "25.0%" in rows["1"]
        assert "▅▅▅▅" in rows["1"]  # the middle: as it should be
        await story.press("h")
        await story.until(lambda: "block 1" not in story.text, "the samples again")


async def test_the_marks_of_a_run_are_there_in_the_next_session(tmp_path: Path) -> None:
    async with training(steps=60) as story:
        run = story.app.desk.training.run
        assert run is not None
        run.facts = replace(run.facts, out=str(tmp_path / "one"))
        (tmp_path / "one").mkdir()
        add_event(tmp_path / "one", CHANGE)
        run.acted(CHANGE)
        RunKeeper(lambda: tmp_path).keep(run, now=True)
        assert "learning_rate" in json.loads((tmp_path / "one" / NAME).read_text())["facts"]["training"]
        [again] = load_records(tmp_path)
        assert again.events == [CHANGE]
        (tmp_path / "one" / "events.jsonl").write_text("nonsense\n")
        [again] = load_records(tmp_path)
        assert again.events == []
