"""Stories about a chat's form: shown, the model's own at first, changeable; its marks are ids, what is typed is not."""

from __future__ import annotations

from scripted_engine import ScriptedEngine
from stories import WIDE, see, wait_until
from textual.pilot import Pilot
from write_stories import generations, opened, send

from sg_core.engine.events import Loaded
from sg_core.text.marked_text import MarkedText
from sg_core.text.templates import CHATML, PLAY, Template
from sg_tui.app import SgApp
from sg_tui.screens.write import WriteScreen
from sg_tui.widgets.cast_bar import CastBar
from sg_tui.widgets.template_choice import TemplateChoice

TAGS = Template("tags", ("<|user|>", ""), ("<|assistant|>", "<|end|>"), stop=("<|end|>",), whole=False)


async def load(engine: ScriptedEngine, screen: WriteScreen, pilot: Pilot[None], *templates: Template) -> None:
    """Another model, which has these templates."""
    engine.emit(Loaded("m", engine.config, "f32", 2, templates))
    await wait_until(pilot, lambda: screen.query_one(TemplateChoice).templates == templates)


async def test_the_models_own_form_is_taken_and_its_marks_alone_are_ids() -> None:
    engine = ScriptedEngine(replies=("Fine.",))
    async with opened(engine) as (pilot, _, screen):
        await pilot.press("alt+c")
        await see(pilot, "‹ play ›")
        await load(engine, screen, pilot, TAGS, PLAY)
        await see(pilot, "‹ tags ›")
        await wait_until(pilot, lambda: not screen.query_one("#names").display)
        await send(pilot, "Hi <|end|>")
        await wait_until(pilot, lambda: generations(engine))
        first = generations(engine)[0]
        assert first.prompt == "<|user|>Hi <|end|><|assistant|>"
        assert isinstance(first.prompt, MarkedText)
        assert first.prompt.parts == (("<|user|>", True), ("Hi <|end|>", False), ("<|assistant|>", True))
        assert (first.prompt.whole, first.stop) == (False, ("<|end|>",))
        await send(pilot, "And?")
        await wait_until(pilot, lambda: len(generations(engine)) == 2)
        assert generations(engine)[1].prompt.endswith("Fine.<|end|><|user|>And?<|assistant|>")


async def test_another_form_can_be_chosen_and_is_kept_for_the_next_model() -> None:
    engine = ScriptedEngine(replies=("Fine.",))
    async with opened(engine) as (pilot, _, screen):
        await pilot.press("alt+c")
        await load(engine, screen, pilot, TAGS, CHATML, PLAY)
        screen.query_one(TemplateChoice).focus()
        await pilot.press("right")
        await see(pilot, "‹ chatml ›")
        await wait_until(pilot, lambda: screen.desk.writing.cast.template is CHATML)
        await pilot.press("right")
        await see(pilot, "ROMEO speaks, JULIET answers")
        await wait_until(pilot, lambda: screen.query_one("#names").display)
        await pilot.press("left")
        await load(engine, screen, pilot, PLAY, CHATML)
        await wait_until(pilot, lambda: screen.desk.writing.cast.template is CHATML)
        await load(engine, screen, pilot, PLAY)
        await wait_until(pilot, lambda: screen.desk.writing.cast.template is PLAY)


async def test_a_click_takes_the_next_form() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, _, screen):
        await pilot.press("alt+c")
        await load(engine, screen, pilot, TAGS, PLAY)
        await pilot.click(TemplateChoice)
        await see(pilot, "‹ play ›")
        assert screen.query_one(CastBar).query_one(TemplateChoice).template is PLAY


async def test_a_completion_reads_special_tokens_in_what_is_typed() -> None:
    engine = ScriptedEngine(replies=("Fine.",))
    async with opened(engine) as (pilot, app, _):
        assert isinstance(app, SgApp)
        await send(pilot, "Hi<|endoftext|>")
        await wait_until(pilot, lambda: generations(engine))
        prompt = generations(engine)[0].prompt
        assert isinstance(prompt, MarkedText)
        assert prompt.parts == (("Hi<|endoftext|>", True),)
        assert prompt.whole


async def test_a_plain_completion_reads_no_special_tokens() -> None:
    engine = ScriptedEngine(replies=("Fine.",))
    app = SgApp(engine=engine, plain=True)
    async with app.run_test(size=WIDE) as pilot:
        await wait_until(pilot, lambda: app.desk.generation.loaded)
        await pilot.press("ctrl+n")
        await send(pilot, "Hi<|endoftext|>")
        await wait_until(pilot, lambda: generations(engine))
        prompt = generations(engine)[0].prompt
        assert isinstance(prompt, MarkedText)
        assert prompt.parts == (("Hi<|endoftext|>", False),)
