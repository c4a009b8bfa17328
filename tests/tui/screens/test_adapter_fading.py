"""Stories about LoRA adapters in the app: they come with the model, and a key fades them while text streams."""

from __future__ import annotations

from scripted_engine import ScriptedEngine
from stories import STANDARD, WIDE, see, wait_until
from write_stories import by_hand, opened, send, write

from sg_core.engine.commands import Load, SetAdapterScale
from sg_core.engine.events import Loaded
from sg_tui.app import SgApp
from sg_tui.widgets.prompt import Prompt


def asked(engine: ScriptedEngine) -> list[float]:
    return [command.amount for command in engine.submitted if isinstance(command, SetAdapterScale)]


async def test_adapters_given_at_the_start_are_loaded_with_the_first_model_alone() -> None:
    engine = ScriptedEngine()
    app = SgApp("some/model", engine=engine, adapters=("my-lora:0.5",))
    async with app.run_test(size=WIDE) as pilot:
        await wait_until(pilot, lambda: engine.submitted, "the load command")
        assert [one.adapters for one in engine.submitted if isinstance(one, Load)] == [("my-lora:0.5",)]
        await see(pilot, "+ LoRA 100%")
        app.desk.load("another")
        await wait_until(pilot, lambda: app.desk.model == "another", "the other model")
        assert engine.submitted[-1] == Load("another", "f32")
        assert app.desk.generation.adapters == 0


async def test_a_key_fades_the_adapter_out_and_in_again_while_text_streams() -> None:
    engine = by_hand()
    async with opened(engine, STANDARD) as (pilot, app, screen):
        engine.emit(Loaded("tinyshakespeare", engine.config, "f32", 2, adapters=1))
        await see(pilot, "+ LoRA 100%")
        await send(pilot, "a")
        await write(pilot, engine, 3)
        await pilot.press("alt+a", "alt+a")
        await see(pilot, "+ LoRA 80%")
        await pilot.press(*["alt+a"] * 8)
        await see(pilot, "+ LoRA 0%")
        await pilot.press("alt+a")
        await see(pilot, "+ LoRA 100%")
        assert asked(engine) == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0, 1.0]
        assert app.desk.generation.running
        assert screen.query_one(Prompt).text == ""


async def test_without_an_adapter_the_key_says_how_to_get_one() -> None:
    engine = ScriptedEngine()
    async with opened(engine) as (pilot, _, _):
        await pilot.press("alt+a")
        await see(pilot, "has no adapter to fade")
        assert asked(engine) == []
