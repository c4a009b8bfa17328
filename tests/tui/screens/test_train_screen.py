"""Stories about the Train view, against the scripted engine."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from stories import STANDARD
from train_story import CONFIG, train_view, training

from sg_core.engine.commands import MeasureSteps, PauseTraining, ResumeTraining, SaveTraining, StopTraining, Train
from sg_core.engine.events import Failed, Phase, Saved, TrainingEnded, TrainingStarted
from sg_core.training.results import StepResult
from sg_core.training.settings import TrainingConfig
from sg_tui.screens.train import TrainScreen


def test_the_app_opens_without_charts_or_numbers() -> None:
    heavy = "('textual_plot', 'textual_hires_canvas', 'numpy', 'numba', 'sg_tui.screens.train')"
    code = f"import sys, sg_tui.app; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------ starting


async def test_one_key_starts_a_tiny_model_on_tinyshakespeare() -> None:
    async with train_view() as story:
        await story.see("Start training")
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        [command] = story.sent(Train)
        assert (command.data, command.model, command.config) == ("tinyshakespeare", None, "tiny")
        assert command.training.steps == 2000
        await story.advance(120)
        await story.see("of 2,000")
        await story.see("validation")
        assert "◆" in story.text
        assert "tokens/s" in story.text


async def test_what_stands_in_the_boxes_is_what_is_trained() -> None:
    async with train_view() as story:
        for box, text in (("steps", "77"), ("batch_size", "3"), ("learning_rate", "5e-4"), ("seed", "11")):
            story.screen.query_one(f"#{box}").focus()
            await story.press("home", "ctrl+k")
            await story.write(text)
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        settings = story.sent(Train)[0].training
        assert (settings.steps, settings.batch_size, settings.learning_rate, settings.seed) == (77, 3, 5e-4, 11)


async def test_a_mistake_is_told_at_its_box_as_one_types() -> None:
    async with train_view() as story:
        story.screen.query_one("#batch_size").focus()
        await story.press("home", "ctrl+k")
        await story.write("many")
        await story.see("! it must be a whole number")
        story.screen.query_one("#source").focus()
        await story.press("enter")
        assert not story.sent(Train)
        await story.until(lambda: story.screen.focused is story.screen.query_one("#batch_size"))
        await story.press("home", "ctrl+k")
        await story.write("0")
        await story.until(lambda: "whole number from 1 to 65,536" in " ".join(story.text.split()))
        box = story.screen.query_one("#batch_size-field").region
        words = story.screen.query_one("#batch_size-field .form-wrong").region
        assert (words.x, words.y) == (box.x, box.y + 1)
        await story.press("home", "ctrl+k")
        await story.write("3")
        await story.until(lambda: "must be" not in story.text)
        await story.press("enter")
        await story.until(lambda: story.sent(Train))


async def test_texts_and_fine_tuning_are_chosen_by_keys_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my text.txt", "b.txt"):
        (tmp_path / name).write_text("A text.\n" * 40)
    async with train_view() as story:
        await story.press("down", "down")
        await story.see("! no file is named")
        await story.write("'my text.txt' b*")
        await story.until(lambda: "no file is named" not in story.text)
        await story.see("2 texts, 1 kB")
        story.screen.query_one("#model").focus()
        await story.press("up", "up")
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        [command] = story.sent(Train)
        assert command.data == ("my text.txt", "b*")
        assert command.model == "tinyshakespeare"
        assert command.training.context <= 256
        assert not command.training.lora


async def test_a_text_that_is_not_there_is_told_at_its_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with train_view() as story:
        await story.press("down", "down")
        await story.write("gone.txt")
        await story.until(lambda: "gone.txt can't be read" in story.text)
        await story.press("enter")  # the engine has the last word
        await story.until(lambda: story.sent(Train))


async def test_an_adapter_is_described_in_boxes_of_its_own() -> None:
    async with train_view() as story:
        assert not story.screen.query_one("#lora_r").region
        story.screen.query_one("#model").focus()
        await story.press("up")
        await story.see("rank r")
        for box, text in (("lora_r", "4"), ("lora_targets", ", c_fc"), ("precision", "int8")):
            story.screen.query_one(f"#{box}").focus()
            await story.press("end" if box == "lora_targets" else "home", "ctrl+k")
            await story.write(text)
        await story.see("adapter of")
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        training = story.sent(Train)[0].training
        assert (training.lora, training.precision) == ("r=4,alpha=16,targets=c_attn,c_fc", "int8")


# ------------------------------------------------------------------ the plan


async def test_the_plan_is_shown_and_its_steps_are_measured_once() -> None:
    async with train_view() as story:
        await story.see(" free: weights 3.5 MB, gradients")
        await story.see("about 110 s: 2,000 steps of 50 ms (3 measured), 20 validations of 500 ms")
        await story.see("model of 3.5 MB; checkpoints of")
        [command] = story.sent(MeasureSteps)
        assert command.config.n_ctx == command.training.context == 64
        story.screen.query_one("#steps").focus()
        await story.press("home", "ctrl+k")
        await story.write("200")
        await story.see("about 20 s: 200 steps of 50 ms")
        assert len(story.sent(MeasureSteps)) == 1  # more steps are not other steps


async def test_another_batch_is_planned_as_one_types_and_measured_when_one_stops() -> None:
    async with train_view() as story:
        await story.see("2,000 steps of 50 ms")
        story.screen.query_one("#batch_size").focus()
        await story.press("home", "ctrl+k")
        await story.write("24")
        await story.see("1,536 tokens a step")
        await story.until(lambda: len(story.sent(MeasureSteps)) == 2)
        assert story.sent(MeasureSteps)[1].training.batch_size == 24


async def test_a_training_that_does_not_fit_says_what_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sg_core.memory.available_memory", lambda: 100_000_000)
    async with train_view() as story:
        await story.see("! too much; --recompute would make it fit, in about a third more time, a batch of")
        await story.see("known once it fits")
        assert not story.sent(MeasureSteps)


async def test_steps_that_could_not_be_measured_say_why_and_disturb_nobody() -> None:
    async with train_view() as story:
        story.engine.script(MeasureSteps, [Failed("there is no room", 1, "MeasureSteps")])
        await story.until(lambda: story.sent(MeasureSteps))
        await story.advance(1)
        await story.see("time     there is no room")


async def test_every_part_of_the_form_is_reached_by_tab() -> None:
    async with train_view() as story:
        reached = set()
        assert story.screen.focused is story.screen.query_one("#source")
        for _ in range(12):
            await story.press("tab")
            focused = story.screen.focused
            reached.add(focused.id if focused else None)
        assert {"source", "model", "steps", "batch_size", "context", "learning_rate", "seed", "start"} <= reached


async def test_no_network_offers_the_text_that_every_python_carries() -> None:
    async with train_view() as story:
        wrong = "tinyshakespeare is not here and can't be fetched: no network"
        story.engine.script(Train, [Phase("downloading", "tinyshakespeare", 1, 9), Failed(wrong, command="Train")])
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        await story.advance(1)
        await story.see("downloading")
        await story.advance(2)
        await story.see(f"! {wrong}")
        await story.see("Train on python-docs instead")
        await story.press("enter")
        await story.until(lambda: len(story.sent(Train)) == 2)
        assert story.sent(Train)[1].data == "python-docs"


async def test_a_run_that_ends_before_it_began_brings_the_form_back() -> None:
    async with train_view() as story:
        story.engine.script(Train, [Phase("vocabulary"), TrainingEnded(0, "failed"), Failed("the text is empty")])
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        await story.advance(2)
        await story.until(lambda: story.screen.forming)
        await story.advance(2)
        await story.see("! the text is empty")


# ------------------------------------------------------------------ steering


async def test_pause_and_go_on() -> None:
    async with training() as story:
        await story.press("p")
        await story.until(lambda: story.sent(PauseTraining))
        await story.see("‖ paused")
        await story.press("p")
        await story.until(lambda: story.sent(ResumeTraining))
        await story.see("▶ training")


async def test_stop_saves_and_the_run_can_go_on_with_its_curve() -> None:
    async with training() as story:
        await story.press("s")
        await story.until(lambda: story.sent(StopTraining))
        await story.see("■ stopped")
        await story.see("step 30")
        await story.press("p")
        await story.until(lambda: len(story.sent(Train)) == 2)
        assert story.sent(Train)[1].resume == "runs/scripted"
        run = story.app.desk.training.run
        assert run is not None
        facts = run.facts
        await story.emit(
            TrainingStarted("random", CONFIG, facts.training, facts.data, 1000, 100, 30, facts.out),
            StepResult(31, 3.0, 1e-3, 1.0, 100.0),
        )
        assert story.app.desk.training.earlier == []
        assert list(run.curve.steps) == [float(step) for step in range(1, 32)]


async def test_stopping_what_is_saved_nowhere_asks_once() -> None:
    async with train_view() as story:
        story.engine.script(Train, [])
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        started = TrainingStarted("random", CONFIG, TrainingConfig(steps=50), "python-docs", 1000, 100, 0, None)
        await story.emit(started, StepResult(1, 5.0, 1e-3, 1.0, 100.0))
        await story.press("s")
        await story.see("saved nowhere")
        assert not story.sent(StopTraining)
        await story.press("s")
        await story.until(lambda: story.sent(StopTraining))


async def test_a_failed_save_offers_another_folder() -> None:
    async with training() as story:
        await story.press("p")
        await story.see("‖ paused")
        await story.emit(Failed("runs/scripted: No space left on device", command="Train"))
        await story.see("! runs/scripted: No space left")
        await story.press("f")
        await story.write("/elsewhere")
        await story.press("enter")
        await story.until(lambda: story.sent(SaveTraining))
        assert story.sent(SaveTraining)[0].folder == "/elsewhere"
        await story.until(lambda: "No space left" not in story.app.desk.training.failure)


async def test_what_came_while_another_view_was_shown_is_there() -> None:
    async with training() as story:
        await story.press("f2")
        await story.until(lambda: not isinstance(story.app.screen, TrainScreen))
        await story.advance(70)
        await story.press("f3")
        await story.see("100 of 2,000")
        await story.see("A sample after 100 steps.")


async def test_a_new_run_shows_the_earlier_one_beside_it() -> None:
    async with training() as story:
        await story.press("n")
        await story.see("A run is under way")
        await story.press("s")
        await story.see("■ stopped")
        await story.press("n")
        await story.see("Go on with tiny on tinyshakespeare, step 30 of 2,000")
        await story.press("enter")
        await story.until(lambda: len(story.sent(Train)) == 2)
        await story.advance(12)
        await story.see("A tiny on tinyshakespeare")
        await story.see("earlier runs")


async def test_escape_in_the_form_goes_back_to_the_run() -> None:
    async with training() as story:
        await story.press("s")
        await story.see("■ stopped")
        await story.press("n")
        await story.see("Start training")
        await story.press("escape")
        await story.see("■ stopped")


# ------------------------------------------------------------------ later sessions


async def test_the_next_session_offers_to_go_on_with_an_unfinished_run(home: Path) -> None:
    folder = home / "data" / "runs" / "2025-01-01-tiny"
    folder.mkdir(parents=True)
    facts = TrainingStarted("tiny", CONFIG, TrainingConfig(steps=90), "python-docs", 1000, 100, 0, str(folder))
    async with train_view() as story:
        story.engine.script(Train, [facts, *(StepResult(n, 6.0 - n / 9, 1e-3, 1.0, 9.0) for n in range(1, 31))])
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        await story.advance(31)
        await story.emit(Saved(30, str(folder / "step-30")), TrainingEnded(30, "stopped"))
    async with train_view() as story:
        await story.see("Go on with tiny on python-docs, step 30 of 90")
        await story.press("shift+tab", "enter")  # the last of the form
        await story.until(lambda: story.sent(Train))
        assert story.sent(Train)[0].resume == str(folder)
        await story.emit(replace(facts, first_step=30), StepResult(31, 2.0, 1e-3, 1.0, 9.0))
        await story.see("31 of 90")
        run = story.app.desk.training.run
        assert run is not None
        assert list(run.curve.steps) == [float(step) for step in range(1, 32)]


async def test_runs_beside_this_one_can_be_hidden() -> None:
    async with training() as story:
        await story.press("s")
        await story.see("■ stopped")
        await story.press("n")
        await story.press("enter")
        await story.until(lambda: len(story.sent(Train)) == 2)
        await story.advance(12)
        await story.see("A tiny on tinyshakespeare")
        await story.press("o", "o")
        await story.see("no other run")
        await story.until(lambda: "A tiny on tinyshakespeare" not in story.text.split("earlier runs")[0])


async def test_the_list_of_models_folds_where_there_is_little_room() -> None:
    async with train_view(STANDARD) as story:
        choice = story.screen.query_one("#model")
        await story.see("◉ new, tiny  ↓ 7 more")
        assert choice.size.height == 1
        choice.focus()
        await story.see("↓ 4 more")
        assert "gpt2-xl" not in story.text
        await story.press("up", "up", "up")
        await story.see("new, gpt2-xl")
        await story.see("↑ 3 more")
        await story.pilot.click("#model", offset=(3, 0))
        await story.see("◉ new, gpt2-medium")
