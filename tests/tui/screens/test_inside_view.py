"""Stories about Inside: where a token looks, what each layer says, muting while it writes, why not another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_text, see, wait_until
from textual import events
from textual.pilot import Pilot
from write_stories import by_hand, opened, send, write

from sg_core.config import GPT2Config
from sg_core.engine.commands import CompareLoss, Look, MeasureHeads, Scale, SetInterventions, SetProbes
from sg_core.engine.events import Failed
from sg_tui.desk.records import records
from sg_tui.screens.write import WriteScreen
from sg_tui.widgets.head_map import HeadMap
from sg_tui.widgets.inside_panel import PartPanel
from sg_tui.widgets.prompt import Prompt
from sg_tui.widgets.text_view import TextView

SENTENCE = (" the lantern of the watch, and not the sun",)


def looks(engine: ScriptedEngine) -> list[Look]:
    return [command for command in engine.submitted if isinstance(command, Look)]


async def written(pilot: Pilot[Any], screen: WriteScreen) -> None:
    """A text is there, and its last token is chosen."""
    await send(pilot, "See")
    await wait_until(pilot, lambda: screen.desk.writing.manuscript.text.endswith("sun"))
    await pilot.press("escape")


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_a_key_on_a_token_opens_it_at_every_size(size: tuple[int, int]) -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine, size) as (pilot, app, screen):
        await written(pilot, screen)
        await pilot.press("i")
        await see(pilot, "head 0.0")
        await see(pilot, "from “ sun”: “ the” 8")
        await see(pilot, "lens: each layer's best · “ sun” came")
        await see(pilot, "“ w7”")
        await see(pilot, "this look took 1.25 ms")
        assert isinstance(app.focused, HeadMap)
        assert looks(engine)[-1].prompt == "See the lantern of the watch, and not the"
        assert len(looks(engine)[-1].ids) == 1
        await pilot.press("down", "left")
        await see(pilot, "head 1.0")
        await see(pilot, "looks at what followed it before")
        await see(pilot, "r 71%" if size == STANDARD else "repeats 71%")
        await see(pilot, "from “ sun”: “ not” 8")
        await pilot.press("i")
        await wait_until(pilot, lambda: "lens" not in screen_text(app))
        assert isinstance(app.focused, TextView)


async def test_a_key_in_the_prompt_opens_the_newest_token_and_closes_it_again() -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "See")
        await pilot.press("alt+i")
        await see(pilot, "“ sun” came")
        await pilot.press("alt+i")
        await see(pilot, "where the time goes")
        assert isinstance(app.focused, Prompt)
        assert screen.query_one(Prompt).text == ""


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_esc_leads_from_the_map_to_the_shaded_text_and_the_key_back(size: tuple[int, int]) -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine, size) as (pilot, app, screen):
        await written(pilot, screen)
        await pilot.press("i")
        await see(pilot, "“ sun” came")
        await pilot.press("escape")
        await wait_until(pilot, lambda: isinstance(app.focused, TextView))
        await see(pilot, "See the lantern")  # above or below the panel, or instead of it
        await see(pilot, "shaded: where head 0.0 looks")
        await pilot.press("left", "i")
        await wait_until(pilot, lambda: isinstance(app.focused, HeadMap))
        await see(pilot, "“ the” came")
        await pilot.press("i")
        await wait_until(pilot, lambda: not screen.desk.inspector.state.shown)


async def test_in_the_prompt_the_letter_is_text() -> None:
    async with opened(ScriptedEngine(replies=SENTENCE)) as (pilot, _, screen):
        await send(pilot, "See")
        await pilot.press("i")
        await wait_until(pilot, lambda: screen.query_one(Prompt).text == "i")
        assert not screen.desk.inspector.state.shown


async def test_the_alternative_that_is_chosen_in_the_text_is_the_rival() -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine) as (pilot, app, screen):
        await written(pilot, screen)
        await pilot.press("i", "w", "escape")
        await wait_until(pilot, lambda: isinstance(app.focused, TextView))
        await pilot.press("down", "down")
        await see(pilot, "why “ sun” and not “ r1”?")
        assert looks(engine)[-1].rival == 1


async def test_the_text_is_shaded_by_where_the_chosen_head_looks() -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine) as (pilot, _, screen):
        await written(pilot, screen)
        view = screen.query_one(TextView)

        def shaded() -> list[str]:
            segments = list(view.render_line(0))
            plain = [segment.style.bgcolor for segment in segments if segment.style][-1]  # behind the empty cells
            return [one.text for one in segments if one.style and one.style.bgcolor != plain]

        await pilot.press("i")
        await wait_until(pilot, lambda: " the" in shaded())
        before = shaded()
        await pilot.press("down")
        await wait_until(pilot, lambda: " not" in shaded())
        assert " not" not in before
        await pilot.press("i")
        await wait_until(pilot, lambda: " not" not in shaded())


async def test_the_token_is_chosen_from_the_map_too_and_asked_for_once() -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine) as (pilot, _, screen):
        await written(pilot, screen)
        await pilot.press("i")
        await see(pilot, "“ sun” came")
        await pilot.press("comma", "comma")
        await see(pilot, "“ not” came")
        await pilot.press("full_stop")
        await see(pilot, "“ the” came")
        count = len(looks(engine))
        await pilot.press("down", "up", "right")
        screen.draw_all()
        assert len(looks(engine)) == count


async def test_tokens_of_the_prompt_are_looked_into_one_after_another() -> None:
    engine = ScriptedEngine(replies=(" sun",))
    async with opened(engine) as (pilot, _, screen):
        await send(pilot, "See the lantern")
        await wait_until(pilot, lambda: screen.desk.writing.manuscript.text.endswith("sun"))
        await pilot.press("escape", "i", "comma")
        await see(pilot, "“ lantern” came")
        await see(pilot, "from “ lantern”: “ the” 90%")
        await pilot.press("comma", "w")
        await see(pilot, "why “ the” and not “ r")
        state, pieces = screen.desk.inspector.state, screen.desk.writing.manuscript.pieces
        assert [(one.piece, one.start, one.stop) for one in state.seen(pieces)] == [(0, 0, 3)]
        await pilot.press("b")
        await see(pilot, "why “ the” and not “ r8”")
        await pilot.press("comma")
        await see(pilot, "nothing lies before the first token")
        await pilot.press("comma", "full_stop")
        await see(pilot, "why “ the” and not")
        await pilot.press("full_stop")
        await see(pilot, "why “ lantern” and not")
        await pilot.press("full_stop")
        await see(pilot, "why “ sun” and not")


async def test_the_newest_token_is_followed_while_it_writes() -> None:
    engine = by_hand(replies=SENTENCE)
    async with opened(engine) as (pilot, _, screen):
        await send(pilot, "See")
        await write(pilot, engine, 3)
        await pilot.press("alt+i")
        await wait_until(pilot, lambda: engine.probing)
        await write(pilot, engine, 2)
        await see(pilot, "“ watch” came")
        await see(pilot, "looking costs 1.2 ms a token")
        await write(pilot, engine, 3)
        await see(pilot, "“ not” came")
        assert screen.desk.inspector.state.place == len(screen.desk.writing.manuscript.pieces) - 1
        await pilot.press("alt+i")
        await wait_until(pilot, lambda: not engine.probing)
        assert [one for one in engine.submitted if isinstance(one, SetProbes)] == [SetProbes(True), SetProbes(False)]


# ---------------------------------------------------------------- changing


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_muting_acts_while_it_writes_and_the_frame_says_so(size: tuple[int, int]) -> None:
    engine = by_hand(replies=SENTENCE)
    async with opened(engine, size) as (pilot, _, screen):
        await send(pilot, "See")
        await write(pilot, engine, 3)
        await pilot.press("alt+i", "down", "right", "right", "m")
        await see(pilot, "head 1.2 muted: not the model's own text")
        assert engine.scales == (Scale(1, 2, 0.0),)
        await wait_until(pilot, lambda: screen.query_one(TextView).has_class("-changed"))
        await pilot.press("m")
        await wait_until(pilot, lambda: engine.scales == ())
        await wait_until(pilot, lambda: not screen.query_one(TextView).has_class("-changed"))


async def test_tokens_written_meanwhile_are_told_apart_afterwards() -> None:
    engine = by_hand(replies=SENTENCE)
    async with opened(engine, WIDE) as (pilot, app, screen):
        await send(pilot, "See")
        await write(pilot, engine, 3)
        await pilot.press("alt+i", "down", "right", "right", "m")
        await wait_until(pilot, lambda: screen.desk.inspector.state.scales)
        await write(pilot, engine, 2)
        await pilot.press("r")
        await wait_until(pilot, lambda: not screen.desk.inspector.state.scales)
        await write(pilot, engine, 1)
        pieces = screen.desk.writing.manuscript.pieces
        assert [piece.style for piece in pieces] == ["person", *["model"] * 3, "changed", "changed", "model"]
        assert pieces[4].changes == (Scale(1, 2, 0.0),)
        assert [one.get("changes") for one in records(app.desk, "write") if one["kind"] == "piece"] == [
            *[None] * 4, "head 1.2 muted", "head 1.2 muted", None
        ]  # fmt: skip
        engine.stop()
        await wait_until(pilot, lambda: not app.desk.generation.running)
        screen._no_walk_before = 0.0  # as after a while
        await pilot.press("escape", "left")
        await see(pilot, "values were changed here")


async def test_scaling_goes_by_quarters_and_back() -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine) as (pilot, _, screen):
        await written(pilot, screen)
        await pilot.press("i", "plus", "plus", "down", *["right"] * 8, "minus")
        await wait_until(pilot, lambda: engine.scales == (Scale(0, 0, 1.5), Scale(1, None, 0.75)))
        await see(pilot, "head 0.0 × 1.5, MLP 1 × 0.75: not the model's own text")
        await pilot.press("0")
        await wait_until(pilot, lambda: engine.scales == (Scale(0, 0, 1.5),))
        await pilot.press("r")
        await wait_until(pilot, lambda: engine.scales == ())
        asked = [command for command in engine.submitted if isinstance(command, SetInterventions)]
        assert len(asked) == 5


async def test_keys_in_haste_act_on_the_part_that_was_chosen_then() -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine) as (pilot, _, screen):
        await written(pilot, screen)
        await pilot.press("i")
        await see(pilot, "“ sun” came")
        heads = screen.query_one(HeadMap)
        for act in (heads.action_mute, lambda: heads.action_select(0, 1), heads.action_mute):
            act()  # before any of them is dealt with
        await wait_until(pilot, lambda: engine.scales == (Scale(0, 0, 0.0), Scale(0, 1, 0.0)))


async def test_a_key_pressed_right_after_the_one_that_opens_the_map_acts_there() -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine) as (pilot, app, screen):
        await send(pilot, "See")
        await wait_until(pilot, lambda: not screen.desk.generation.running)
        for key in ("alt+i", "m"):  # before any of them is dealt with
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await wait_until(pilot, lambda: engine.scales == (Scale(0, 0, 0.0),))
        assert screen.query_one(Prompt).text == ""


async def test_what_is_changed_is_looked_into_anew() -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine) as (pilot, _, screen):
        await written(pilot, screen)
        await pilot.press("i")
        await see(pilot, "“ sun” came")
        count = len(looks(engine))
        await pilot.press("m")
        await wait_until(pilot, lambda: len(looks(engine)) == count + 1)
        assert len([command for command in engine.submitted if isinstance(command, MeasureHeads)]) >= 2


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_what_muting_does_to_the_loss_is_told_before_and_after(size: tuple[int, int]) -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine, size) as (pilot, app, screen):
        await written(pilot, screen)
        await pilot.press("i")
        await see(pilot, "“ sun” came")
        assert not [command for command in engine.submitted if isinstance(command, CompareLoss)]
        await pilot.press("m")
        await see(pilot, f"loss 2.250 → 2.500 nats{'' if size == STANDARD else ' (+0.250)'}, n 10")
        await pilot.press("left", "comma", "m", "m")
        await see(pilot, "loss 2.250 → 2.500 nats")
        (asked,) = [command for command in engine.submitted if isinstance(command, CompareLoss)]
        assert asked.prompt == screen.desk.writing.manuscript.text
        await pilot.press("m")
        await wait_until(pilot, lambda: "loss" not in screen_text(app))


# ---------------------------------------------------------------- why, and what goes wrong


async def test_why_another_did_not_come_in_parts_that_sum() -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine) as (pilot, _, screen):
        await written(pilot, screen)
        await pilot.press("i", "w")
        await see(pilot, "why “ sun” and not “ r0”?")
        await see(pilot, "head 1.2        +1.500")
        await see(pilot, "embedding       +0.250")
        looked = screen.desk.inspector.state.looked
        assert looked is not None
        assert looked.inside.why is not None
        await see(pilot, f"difference of the logits {looked.inside.why.difference:+.3f} =")
        await pilot.press("b")
        await see(pilot, "why “ sun” and not “ r1”?")
        assert looks(engine)[-1].rival == 1
        await pilot.press("comma", "full_stop")
        await see(pilot, "why “ sun” and not “ r0”?")
        await pilot.press("w")
        await see(pilot, "lens: each layer's best")


async def test_a_look_that_fails_is_told_in_the_panel() -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine) as (pilot, app, screen):
        await written(pilot, screen)
        engine.script(Look, [Failed("the model does not see\x1b[31m this place", 3, "Look")])
        await pilot.press("i")
        await see(pilot, "the model does not see␛[31m this")
        assert not app._notifications


async def test_the_figures_are_saved_as_they_are_shown(tmp_path: Path) -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    async with opened(engine) as (pilot, app, screen):
        await written(pilot, screen)
        await pilot.press("i", "down")
        await see(pilot, "“ sun” came")
        await pilot.press("e")
        await see(pilot, "save what is seen inside")
        await see(pilot, "inside-sun.json")
        app.screen.query_one("#path").value = str(tmp_path / "out.json")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await wait_until(pilot, lambda: (tmp_path / "out.json").exists())
        found = json.loads((tmp_path / "out.json").read_text("utf-8"))
        why = found["why"]
        parts = why["embedding"] + why["position"] + why["biases"] + sum(map(sum, why["heads"])) + sum(why["mlps"])
        assert parts == pytest.approx(why["difference"])
        assert (found["text"], found["attention"]["layer"]) == (" sun", 1)
        assert found["lens"]["lead"] == engine.config.n_layer - 2
        assert len(found["attention"]["pattern"]) == len(found["texts"])
        assert found["heads"]["shares"][1][0][3] == pytest.approx(0.71)


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_a_large_model_scrolls(size: tuple[int, int]) -> None:
    engine = ScriptedEngine(replies=SENTENCE)
    engine.config = GPT2Config(vocab_size=1024, n_ctx=256, n_layer=48, n_head=25, n_embd=1600)
    async with opened(engine, size) as (pilot, _, screen):
        await written(pilot, screen)
        await pilot.press("i")
        await see(pilot, "head 0.0 of 48 × 25")
        screen.desk.inspector.state.move(46, 23)  # far away at once
        await pilot.press("down", "right")
        await see(pilot, "head 47.24 of 48 × 25")
        await see(pilot, "   47 ")
        await pilot.press("right", "m")
        await see(pilot, "MLP 47  muted")
        assert screen.query_one(PartPanel).border_title == "MLP 47  muted"
