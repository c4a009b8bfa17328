"""Stories about the Train view, against the scripted engine."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_lines, screen_text, see, wait_until
from textual.pilot import Pilot

from sg_core.config import GPT2Config
from sg_core.messages import (
    Event,
    Failed,
    Generate,
    PauseTraining,
    Phase,
    ResumeTraining,
    Sample,
    Saved,
    SaveTraining,
    StopTraining,
    Train,
    TrainingEnded,
    TrainingStarted,
    TrainStep,
)
from sg_core.settings import TrainingConfig
from sg_tui.app import SgApp
from sg_tui.screens.train import TrainScreen
from sg_tui.widgets.loss_chart import LossChart

CONFIG = GPT2Config(vocab_size=512, n_ctx=64, n_layer=2, n_head=2, n_embd=32)


class Story:
    """An app in the Train view whose engine moves only when the story says so."""

    def __init__(self, app: SgApp, engine: ScriptedEngine, pilot: Pilot[Any]) -> None:
        self.app, self.engine, self.pilot = app, engine, pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def write(self, text: str) -> None:
        await self.pilot.press(*text)

    async def see(self, text: str) -> None:
        await see(self.pilot, text)

    async def until(self, predicate: Any, what: str = "") -> None:
        await wait_until(self.pilot, predicate, what)

    async def advance(self, units: int) -> None:
        self.engine.advance(units)
        await self.until(lambda: not self.engine.events, "the events are taken")

    async def emit(self, *events: Event) -> None:
        self.engine.emit(*events)
        await self.until(lambda: not self.engine.events, "the events are taken")

    def sent(self, kind: type) -> list[Any]:
        return [command for command in self.engine.submitted if isinstance(command, kind)]

    @property
    def text(self) -> str:
        return screen_text(self.app)

    @property
    def screen(self) -> TrainScreen:
        assert isinstance(self.app.screen, TrainScreen)
        return self.app.screen


@asynccontextmanager
async def train_view(size: tuple[int, int] = WIDE) -> AsyncIterator[Story]:
    engine = ScriptedEngine(automatic=False)
    app = SgApp(engine=engine)
    async with app.run_test(size=size, notifications=True) as pilot:
        story = Story(app, engine, pilot)
        await story.until(lambda: engine.submitted, "the app asks for its model")
        engine.run_until_idle()
        await story.until(lambda: app.generation.loaded, "the model is loaded")
        await story.press("f3")
        await story.until(lambda: isinstance(app.screen, TrainScreen) and app.screen.focused, "the Train view")
        yield story


@asynccontextmanager
async def training(size: tuple[int, int] = WIDE, steps: int = 30) -> AsyncIterator[Story]:
    """A run on its way, `steps` steps far."""
    async with train_view(size) as story:
        await story.press("enter")
        await story.until(lambda: story.sent(Train), "the run is asked for")
        await story.advance(steps)
        await story.until(lambda: not story.screen.forming, "the run is shown")
        yield story


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


async def test_a_wrong_box_is_named_and_gets_the_focus() -> None:
    async with train_view() as story:
        story.screen.query_one("#batch_size").focus()
        await story.press("home", "ctrl+k")
        await story.write("many")
        await story.press("enter")
        await story.see("batch size is 'many'; it must be a whole number")
        assert story.screen.focused is story.screen.query_one("#batch_size")
        await story.press("home", "ctrl+k")
        await story.write("0")
        await story.press("enter")
        await story.see("batch_size is 0; it must be a whole number from 1")
        assert not story.sent(Train)


async def test_a_file_and_fine_tuning_are_chosen_by_keys_alone() -> None:
    async with train_view() as story:
        story.screen.query_one("#source").focus()
        await story.press("down", "down")
        await story.see("path")
        await story.write("/tmp/my text.txt")
        story.screen.query_one("#model").focus()
        await story.press("up")
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        [command] = story.sent(Train)
        assert (command.data, command.model) == ("/tmp/my text.txt", "tinyshakespeare")
        assert command.training.context <= 256


async def test_every_part_of_the_form_is_reached_by_tab() -> None:
    async with train_view() as story:
        reached = set()
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
        run = story.app.training.run
        assert run is not None
        facts = run.facts
        await story.emit(
            TrainingStarted("random", CONFIG, facts.training, facts.data, 1000, 100, 30, facts.out),
            TrainStep(31, 3.0, 1e-3, 1.0, 100.0),
        )
        assert story.app.training.earlier == []
        assert list(run.curve.steps) == [float(step) for step in range(1, 32)]


async def test_stopping_what_is_saved_nowhere_asks_once() -> None:
    async with train_view() as story:
        story.engine.script(Train, [])
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        started = TrainingStarted("random", CONFIG, TrainingConfig(steps=50), "python-docs", 1000, 100, 0, None)
        await story.emit(started, TrainStep(1, 5.0, 1e-3, 1.0, 100.0))
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
        await story.until(lambda: "No space left" not in story.app.training.failure)


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


# ------------------------------------------------------------------ samples and talking


async def test_the_newest_sample_is_shown_and_older_ones_are_a_key_away() -> None:
    async with training(steps=210) as story:
        await story.see("A sample after 200 steps.")
        await story.press("comma")
        await story.see("A sample after 100 steps.")
        await story.advance(100)
        assert "A sample after 100 steps." in story.text
        await story.press("full_stop", "full_stop")
        await story.see("A sample after 300 steps.")


async def test_talking_to_the_model_streams_its_answer_and_escape_stops_it() -> None:
    async with training() as story:
        await story.press("t")
        await story.write("ROMEO:")
        await story.press("enter")
        await story.until(lambda: story.sent(Generate))
        [question] = story.sent(Generate)
        assert (question.prompt, question.from_training) == ("ROMEO:\n", True)
        await story.advance(9)
        await story.see("What light is this that burns")
        await story.see("the model after step 30")
        await story.press("escape")
        await story.until(lambda: story.engine.stops == 1)
        await story.until(lambda: not story.screen.talk.running)
        await story.press("escape")
        await story.until(lambda: not story.screen.query_one("#line").display)
        assert story.app.training.status == "running"


async def test_a_sample_can_be_asked_for() -> None:
    async with training() as story:
        await story.press("g")
        await story.until(lambda: story.sent(Generate))
        assert story.sent(Generate)[0].prompt == "\n"
        await story.advance(9)
        await story.see("What light is this")


@pytest.mark.parametrize("evil", ["\x1b]52;c;aGk=\x07", "\x9b2J", "[/bold][red]x", "\u202eabc", "[", "a\rb\x08"])
async def test_whatever_a_model_or_an_error_says_is_inert(evil: str) -> None:
    async with training() as story:
        await story.emit(Sample(31, evil), Failed(f"no {evil}", command="Train"))
        await story.see("sample after step 31")
        text = story.text
        assert text.replace("\n", "").isprintable()
        assert "\u202e" not in text
        if "[" in evil and "\x1b" not in evil:
            assert evil in text
        assert {len(line) for line in screen_lines(story.app)} == {WIDE[0]}


# ------------------------------------------------------------------ the chart


async def test_the_axes_of_the_chart_change_by_keys() -> None:
    async with training(steps=60) as story:
        await story.see("loss, nats a token, by step, log scale")
        await story.press("l")
        await story.see("by step")
        assert "log scale" not in story.text
        await story.press("x")
        await story.see("by tokens")
        await story.see("40k")
        await story.press("x")
        await story.see("by time")
        await story.press("x", "l")
        await story.see("by step, log scale")


async def test_zooming_shows_a_part_and_zero_shows_all() -> None:
    async with training(steps=60) as story:
        await story.see("━━ average")
        await story.press("plus", "plus")
        await story.see("a part: 0 shows all")
        await story.press("right")
        await story.advance(5)
        chart = story.screen.query_one(LossChart)
        await story.until(lambda: chart.fitted[1] > 65, "the new steps are drawn")
        assert "a part: 0 shows all" in story.text
        await story.press("0")
        await story.until(lambda: "a part" not in story.text)


async def test_steps_that_are_not_finite_are_marked_and_counted() -> None:
    async with training(steps=20) as story:
        await story.emit(TrainStep(21, math.nan, 1e-3, math.inf, 100.0), TrainStep(22, 2.0, 1e-3, 1.0, 100.0))
        await story.see("× skipped 1")
        await story.see("not finite")
        await story.until(lambda: sum("×" in line for line in screen_lines(story.app)) >= 3, "a mark in the chart")


async def test_nanogpt_is_named_on_tinyshakespeare_only() -> None:
    async with training(steps=120) as story:
        await story.see("nanoGPT 1.4697")
        await story.press("s")
        await story.see("■ stopped")
        await story.press("n")
        story.screen.query_one("#source").focus()
        await story.press("down", "enter")
        await story.until(lambda: len(story.sent(Train)) == 2)
        await story.advance(120)
        await story.see("python-docs")
        await story.until(lambda: "nanoGPT" not in story.text)


# ------------------------------------------------------------------ sizes


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL, (60, 16)])
async def test_what_matters_is_seen_at_every_size(size: tuple[int, int]) -> None:
    async with training(size, steps=120) as story:
        for words in ("▶ training", "120 of 2,000", "loss", "average", "◆", "ROMEO:", "p pause", "┏"):
            await story.see(words)
        lines = screen_lines(story.app)
        assert len(lines) == size[1]
        assert {len(line) for line in lines} == {size[0]}


@pytest.mark.parametrize("size", [STANDARD, (60, 16)])
async def test_the_form_can_be_used_at_every_size(size: tuple[int, int]) -> None:
    async with train_view(size) as story:
        await story.see("Start training")
        story.screen.query_one("#steps").focus()
        await story.see("steps")
        await story.press("enter")
        await story.until(lambda: story.sent(Train))


async def test_below_the_least_size_the_view_says_what_is_needed() -> None:
    async with training() as story:
        await story.pilot.resize_terminal(50, 12)
        await story.see("60 x 16")
        await story.pilot.resize_terminal(80, 24)
        await story.see("▶ training")


# ------------------------------------------------------------------ later sessions


async def test_the_next_session_offers_to_go_on_with_an_unfinished_run(home: Path) -> None:
    folder = home / "data" / "runs" / "2025-01-01-tiny"
    folder.mkdir(parents=True)
    facts = TrainingStarted("tiny", CONFIG, TrainingConfig(steps=90), "python-docs", 1000, 100, 0, str(folder))
    async with train_view() as story:
        story.engine.script(Train, [facts, *(TrainStep(n, 6.0 - n / 9, 1e-3, 1.0, 9.0) for n in range(1, 31))])
        await story.press("enter")
        await story.until(lambda: story.sent(Train))
        await story.advance(31)
        await story.emit(Saved(30, str(folder / "step-30")), TrainingEnded(30, "stopped"))
    async with train_view() as story:
        await story.see("Go on with tiny on python-docs, step 30 of 90")
        await story.press("tab", "enter")
        await story.until(lambda: story.sent(Train))
        assert story.sent(Train)[0].resume == str(folder)
        await story.emit(replace(facts, first_step=30), TrainStep(31, 2.0, 1e-3, 1.0, 9.0))
        await story.see("31 of 90")
        run = story.app.training.run
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
