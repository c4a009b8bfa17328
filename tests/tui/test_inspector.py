"""What the engine is asked to look into, and when."""

from __future__ import annotations

from sg_core.engine.commands import Command, Look, SetProbes
from sg_core.engine.events import Failed
from sg_core.inference.token import Token
from sg_tui.desk.inspector import Inspector
from sg_tui.state.writing import Writing


def a_text(words: int) -> Writing:
    writing = Writing()
    writing.begin("See", 0)
    for number in range(words):
        writing.manuscript.write(Token(number, f" w{number}", -1.0, (), 1.0, {}), ())
    return writing


def test_a_token_that_the_writing_model_does_not_see_is_asked_for_again_when_it_rests() -> None:
    asked: list[Command] = []
    inspector = Inspector(asked.append, lambda: len(asked) + 1)
    writing, index = a_text(9), 2
    inspector.show(True)
    inspector.look(writing, index, True, "f32")
    looks = [one for one in asked if isinstance(one, Look)]
    assert len(looks) == 1
    inspector.take(Failed("not seen while it writes", looks[0].request, "Look"), writing.manuscript.pieces)
    for _ in range(3):
        inspector.look(writing, index, True, "f32")
    assert inspector.state.elsewhere
    assert [one for one in asked if isinstance(one, SetProbes)] == [SetProbes(newest=True)]
    assert sum(isinstance(one, Look) for one in asked) == 1
    for _ in range(3):
        inspector.look(writing, index, False, "f32")
    assert not inspector.state.elsewhere
    again = [one for one in asked if isinstance(one, Look)][1:]
    assert [(one.prompt, one.ids) for one in again] == [(looks[0].prompt, looks[0].ids)]


def test_another_token_is_asked_for_at_once_though_the_one_before_was_not_seen() -> None:
    asked: list[Command] = []
    inspector = Inspector(asked.append, lambda: len(asked) + 1)
    writing = a_text(9)
    inspector.show(True)
    inspector.look(writing, 2, True, "f32")
    inspector.take(Failed("not seen while it writes", 1, "Look"), writing.manuscript.pieces)
    inspector.look(writing, 2, True, "f32")
    inspector.look(writing, 8, True, "f32")
    assert [one.ids for one in asked if isinstance(one, Look)] == [(1,), (7,)]
    assert not inspector.state.elsewhere
