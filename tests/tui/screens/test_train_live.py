"""Stories about a run on its way: samples, talking to the model, the chart, every size."""

from __future__ import annotations

import math

import pytest
from stories import SMALL, STANDARD, WIDE, screen_lines
from train_story import train_view, training

from sg_core.engine.commands import Generate, Train
from sg_core.engine.events import Failed, Sample
from sg_core.training.results import StepResult
from sg_tui.widgets.loss_chart import LossChart

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
        assert story.app.desk.training.status == "running"


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
        await story.emit(StepResult(21, math.nan, 1e-3, math.inf, 100.0), StepResult(22, 2.0, 1e-3, 1.0, 100.0))
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
