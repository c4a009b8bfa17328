"""Stories about runs beside each other, the timeline of samples, and writing with what a run has learned."""

from __future__ import annotations

from pathlib import Path

import pytest
from stories import SMALL, STANDARD, WIDE, screen_lines
from train_story import CONFIG, Story, train_view, training

from sg_core.engine.commands import Generate, Load, SaveTraining, Train
from sg_core.engine.events import Sample, Saved, TrainingEnded, TrainingStarted
from sg_core.training.results import StepResult
from sg_core.training.settings import NEW_MODEL, PRESETS, TrainingConfig
from sg_tui.screens.write import WriteScreen
from sg_tui.state.normal_run import NormalRun
from sg_tui.state.training_run import Run
from sg_tui.widgets.sample_view import SampleView


async def two_runs(story: Story) -> None:
    """The second one has another batch size, and has written less."""
    await story.press("s")
    await story.see("■ stopped")
    await story.press("n")
    story.screen.query_one("#batch_size").focus()
    await story.press("home", "ctrl+k", "2", "4", "enter")
    await story.until(lambda: len(story.sent(Train)) == 2)
    await story.advance(120)


# ------------------------------------------------------------------ the timeline of samples


async def test_arrows_walk_through_the_samples_with_the_loss_at_each() -> None:
    async with training(steps=310) as story:
        story.screen.query_one(SampleView).focus()
        await story.see("sample after step 300 · average 1.4")
        await story.press("left")
        await story.see("sample after step 200 · average 1.4")
        await story.press("home")
        await story.see("sample after step 100 · average")
        await story.see("[▇]")
        await story.press("end")
        await story.see("A sample after 300 steps.")


# ------------------------------------------------------------------ runs compared


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_runs_are_compared_side_by_side_at_every_size(size: tuple[int, int]) -> None:
    async with training(size, steps=210) as story:
        await two_runs(story)
        await story.press("c")
        await story.see("runs compared" if size == WIDE else "batch size")
        lines = screen_lines(story.app)
        row = next(line for line in lines if "batch size" in line)
        assert "24" in row
        assert "12" in row
        assert {len(line) for line in lines} == {size[0]}
        story.screen.query_one("#comparison").scroll_end(animate=False)
        await story.see("A sample after")
        await story.press("c")
        await story.see("▶ training")


async def test_samples_of_two_runs_are_walked_together() -> None:
    async with training(steps=210) as story:
        await two_runs(story)
        await story.press("c", "home")
        await story.until(lambda: story.text.count("A sample after 100 steps.") == 2, "both at the same step")
        await story.press("end")
        await story.see("A sample after 200 steps.")
        assert "A sample after 100 steps." in story.text  # the present run is not that far


async def test_a_run_with_nothing_beside_it_says_so() -> None:
    async with training() as story:
        await story.press("c")
        await story.see("No earlier run is known to compare with this one.")
        await story.see("None of them has written a sample.")


async def test_a_run_of_an_earlier_session_is_looked_at_with_its_samples(home: Path) -> None:
    folder = home / "data" / "runs" / "2025-01-01-tiny"
    folder.mkdir(parents=True)
    facts = TrainingStarted("tiny", CONFIG, TrainingConfig(steps=90), "python-docs", 1000, 100, 0, str(folder))
    async with train_view() as story:
        story.engine.script(Train, [facts, *(StepResult(n, 6.0 - n / 9, 1e-3, 1.0, 9.0) for n in range(1, 31))])
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        await story.advance(31)
        await story.emit(Sample(30, "What it wrote."), Saved(30, str(folder / "step-30")), TrainingEnded(30, "stopped"))
    async with train_view() as story:
        await story.see("Go on with tiny on python-docs")
        await story.press("escape")
        await story.see("What it wrote.")
        await story.press("w")
        await story.until(lambda: isinstance(story.app.screen, WriteScreen))
        assert story.sent(Load)[-1].model == "2025-01-01-tiny"


# ------------------------------------------------------------------ writing with it


async def test_one_key_saves_what_runs_and_writes_with_it() -> None:
    async with training() as story:
        await story.press("w")
        await story.until(lambda: isinstance(story.app.screen, WriteScreen))
        assert story.sent(SaveTraining)[-1].folder == "runs/scripted"
        await story.until(lambda: story.sent(Load)[-1].model == "runs/scripted")
        assert story.app.desk.training.status == "running"


async def test_a_run_that_is_saved_opens_at_once() -> None:
    async with training() as story:
        await story.press("s")
        await story.see("■ stopped")
        await story.press("w")
        await story.until(lambda: story.sent(Load)[-1].model == "runs/scripted")
        assert not story.sent(SaveTraining)


async def test_the_footer_names_no_run_that_is_not_there_and_no_stop_of_what_has_stopped() -> None:
    async with train_view() as story:
        await story.see("Enter start")
        assert "Esc the run" not in story.text
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        await story.advance(5)
        await story.see("s stop")
        await story.press("s")
        await story.until(lambda: "s stop" not in story.text)
        await story.press("n")
        await story.see("Esc the run")


# ------------------------------------------------------------------ talking


async def test_enter_alone_lets_the_model_go_on_also_after_the_end() -> None:
    async with training() as story:
        await story.press("t")
        await story.write("But soft,")
        await story.press("enter")
        await story.until(lambda: story.sent(Generate))
        await story.advance(9)
        await story.press("escape")
        await story.until(lambda: not story.screen.talk.running)
        answer = story.screen.talk.text
        await story.press("enter")
        await story.until(lambda: len(story.sent(Generate)) == 2)
        assert story.sent(Generate)[1].prompt == f"But soft,{answer}"
        await story.emit(TrainingEnded(30, "finished"))
        await story.press("enter")
        await story.until(lambda: len(story.sent(Generate)) == 3)


# ------------------------------------------------------------------ what is normal


@pytest.mark.parametrize("size", [WIDE, STANDARD])
async def test_behind_the_curve_of_a_new_run_lies_the_band_of_the_shipped_one(size: tuple[int, int]) -> None:
    async with training(size) as story:
        preset = PRESETS["tinyshakespeare"]
        facts = TrainingStarted(
            NEW_MODEL, preset.config, preset.training, "tinyshakespeare", 411_268, 49_422, 0, None
        )  # fmt: skip
        normal = NormalRun(Run(facts, 0, "tinyshakespeare"))
        middle = [sum(normal.at(step)) / 2 for step in range(1, 601)]
        await story.emit(facts, *(StepResult(step, loss, 1e-3, 1.0, 9e3) for step, loss in enumerate(middle, 1)))
        await story.see("░░ ◇ shipped model")
        chart = [line for line in screen_lines(story.app) if "░" in line]
        assert len(chart) > 2  # of the chart, below the legend
        if size == WIDE:
            await story.see(f"{normal.at(600)[0]:.2f}–{normal.at(600)[1]:.2f}  within")
        await story.press("x", "x")  # time is that of the machine
        await story.until(lambda: "░" not in story.text.replace("normal ░", ""), "no band")
