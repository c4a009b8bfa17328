"""The desk without any screen: commands reach the engine, events become states and text; and who may know whom."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_engine import ScriptedEngine

from sg_core.engine.commands import Generate, Load, SetOptimizations
from sg_core.engine.events import Exported, Failed, Notice
from sg_core.network.optimizations import USUAL, Optimizations
from sg_tui.desk import Desk, Severity
from sg_tui.keys import MODES
from sg_tui.library.store import Store

SOURCES = Path(__file__).parents[2] / "sg_tui"


class Told(list[tuple[str, Severity]]):
    """What the person was told."""

    def tell(self, text: str, severity: Severity) -> None:
        self.append((text, severity))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def desk(told: Told) -> Iterator[Desk]:
    desk = Desk(told.tell, "tinyshakespeare")
    yield desk
    desk.close("dark")


def drained(desk: Desk) -> list[str]:
    return [type(event).__name__ for event in desk.drain()]


def test_what_is_asked_for_before_there_is_an_engine_waits_for_it(desk: Desk) -> None:
    desk.load("some/model")
    desk.flip("gelu")
    engine = ScriptedEngine()
    assert drained(desk) == []
    desk.engine = engine
    assert drained(desk)[-1] == "Phase"
    assert engine.submitted == [Load("some/model", "f32"), SetOptimizations(Optimizations().without("gelu"))]
    assert desk.generation.loaded is not None
    assert desk.model == "some/model"


def test_the_text_grows_with_the_tokens_and_is_in_the_library_when_they_end(desk: Desk, home: Path) -> None:
    desk.start(ScriptedEngine(replies=(" or not",)))
    desk.writing.begin("To be", 0)
    desk.generate()
    assert desk.generation.running
    assert "TokenEvent" in drained(desk)
    assert (desk.writing.manuscript.text, desk.generation.running) == ("To be or not", False)
    written = desk.writing.manuscript.turns[-1].written
    assert [piece.top_texts[0] for piece in written] == [piece.text for piece in written]
    desk.librarian.close(timeout=10)
    store = Store(home / "data")
    assert [text.title for text in store.texts()] == ["To be or not"]
    store.close()


def test_tokens_of_another_generation_are_not_for_the_text(desk: Desk) -> None:
    desk.start(ScriptedEngine())
    desk.submit(Generate(desk.next_request(), "a question to the model in training"))
    drained(desk)
    assert desk.writing.manuscript.empty


def test_another_text_is_taken_up_and_the_present_one_kept(desk: Desk, home: Path) -> None:
    desk.start(ScriptedEngine(replies=("b",)))
    desk.writing.begin("a", 0)
    desk.generate()
    drained(desk)
    assert desk.generation.reason
    desk.take_up(type(desk.writing)())
    assert (desk.writing.manuscript.text, desk.generation.reason) == ("", "")
    desk.librarian.close(timeout=10)
    store = Store(home / "data")
    assert [text.title for text in store.texts()] == ["ab"]
    store.close()


def test_several_switches_are_flipped_as_one(desk: Desk) -> None:
    desk.flip("gelu")
    desk.flip(*USUAL)
    assert desk.generation.optimizations == Optimizations()
    desk.flip(*USUAL)
    assert desk.generation.optimizations == Optimizations.none()


def test_what_no_state_shows_is_told(desk: Desk, told: Told) -> None:
    engine = ScriptedEngine()
    desk.start(engine)
    drained(desk)
    engine.emit(Notice("a notice"), Failed("a failure"), Exported(3, "runs/a/model"))
    drained(desk)
    assert [severity for _, severity in told] == ["information", "error", "information"]
    assert "runs/a/model" in told[2][0]


def test_a_setting_out_of_range_is_told_and_changes_nothing(desk: Desk, told: Told) -> None:
    desk.set_sampling("top_p", 7)
    assert told == [("top_p is 7; it must lie from 0 to 1", "warning")]
    assert desk.generation.sampling.top_p == 0.95


def test_a_model_that_can_not_be_loaded_is_left_for_the_app_to_tell(desk: Desk, told: Told) -> None:
    engine = ScriptedEngine()
    engine.script(Load, [Failed("no folder here")])
    desk.start(engine)
    drained(desk)
    assert (desk.load_trouble, told) == ("no folder here", [])


# ------------------------------------------------------------------ who knows whom


def imports(path: Path) -> set[str]:
    """Every module a file names in an import, wherever it stands: in functions and for types too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_screens_and_widgets_know_the_desk_and_never_the_app() -> None:
    knowing = {path.name for path in SOURCES.rglob("*.py") if "sg_tui.app" in imports(path)}
    assert knowing == {"cli.py"}


def test_the_desk_draws_nothing() -> None:
    above = ("textual", "rich", "sg_tui.app", "sg_tui.screens", "sg_tui.widgets")
    imported = [name for path in (SOURCES / "desk").glob("*.py") for name in imports(path)]
    assert "sg_tui.state.writing" in imported
    assert not [name for name in imported if name.startswith(above)]


def test_every_view_of_the_table_is_there_under_its_own_name() -> None:
    for mode in MODES:
        module, name = mode.screen.split(":")
        screen = getattr(importlib.import_module(module), name)
        assert mode.name == screen.MODE
