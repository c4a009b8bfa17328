"""The engine thread and adapters: loaded with the model, faded while text streams, real ones beside fakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_fakes import Driver, FakeSession, World

from sg_core import GPT2, GPT2Config
from sg_core.engine.commands import Generate, Load, SetAdapterScale, SetPrecision
from sg_core.engine.events import AdapterScaleSet, Failed, Loaded
from sg_core.network.adapters import Adapters, new_adapter
from sg_core.network.lora_settings import LoraSettings

CONFIG = GPT2Config(vocab_size=61, n_ctx=32, n_layer=2, n_head=3, n_embd=48)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def driver(world: World) -> Iterator[Driver]:
    driver = Driver(world)
    yield driver
    driver.engine.close(timeout=10)
    assert not driver.engine._thread.is_alive()


def adapters() -> Adapters:
    made = new_adapter(LoraSettings(), CONFIG, 0)
    made.arena[:] = np.random.default_rng(0).standard_normal(made.arena.size)
    return Adapters().with_(made)


def test_adapters_are_loaded_with_the_model_and_faded_at_the_next_token(driver: Driver, world: World) -> None:
    amounts = []

    def on_token(session: FakeSession, number: int) -> None:
        amounts.append(session.model.adapters.amount)
        if number == 2:
            driver.submit(SetAdapterScale(0.9), SetAdapterScale(0.4))

    world.on_token = on_token
    driver.finish(Load("a", adapters=("x:0.5", "y")))
    assert world.log == ["compile f32", "adapters x:0.5, y on a", "compile adapters f32"]
    assert driver.of(Loaded)[0].adapters == 2
    world.models[0].adapters = adapters()
    driver.finish(Generate(1, "x", max_tokens=5))
    assert amounts == [1.0, 1.0, 1.0, 0.4, 0.4]
    assert driver.of(AdapterScaleSet) == [AdapterScaleSet(0.4)]  # of several that wait the last


def test_an_adapter_in_place_of_a_model_brings_the_model_it_was_made_for(driver: Driver, world: World) -> None:
    world.bases["my-lora"] = "a"
    driver.finish(Load("my-lora"))
    assert world.log == ["compile f32", "adapters my-lora on a", "compile adapters f32"]
    (loaded,) = driver.of(Loaded)
    assert (loaded.model, loaded.adapters) == ("my-lora", 1)


def test_another_precision_compiles_what_adapters_need_in_it(driver: Driver, world: World) -> None:
    driver.finish(Load("a", adapters=("x",)))
    world.models[0].adapters = adapters()
    driver.finish(SetPrecision("int8"))
    driver.finish(SetPrecision("bf16"))
    assert world.log[3:] == ["compile bf16", "compile adapters bf16"]


def test_fading_without_an_adapter_or_beyond_its_ends_is_refused(driver: Driver, world: World) -> None:
    driver.finish(SetAdapterScale(0.5))
    driver.finish(Load("a"))
    driver.finish(SetAdapterScale(0.5))
    world.models[0].adapters = adapters()
    driver.finish(SetAdapterScale(1.5))
    told = [failed.message for failed in driver.of(Failed)]
    assert "no model is loaded" in told[0]
    assert "has no adapter to fade; start with one: sg-tui --adapter FOLDER" in told[1]
    assert "adapters fade from 0 to 1, not to 1.5" in told[2]
    assert world.models[0].adapters.amount == 1.0


def test_a_load_with_an_adapter_that_is_not_there_leaves_the_model_before(tmp_path: Path) -> None:
    model = GPT2.random(CONFIG)
    with pytest.raises(Exception, match="is no folder"):
        model.load_adapters([str(tmp_path / "nowhere")])
    assert not model.adapters.stack
