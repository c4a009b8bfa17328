"""The text as turns: taking back, writing again, and the lines of a play."""

from __future__ import annotations

from sg_core.inference.sampling import Sampling
from sg_core.inference.token import Token
from sg_core.text.marked_text import MarkedText
from sg_tui.state.manuscript import Manuscript, Piece
from sg_tui.state.play import Cast, name
from sg_tui.state.writing import Writing


def write(manuscript: Manuscript, *texts: str) -> None:
    for text in texts:
        manuscript.write(Token(5, text, -0.5, ((5, -0.5),), 1.0, {}), (text,))


def two_turns() -> Manuscript:
    manuscript = Manuscript()
    manuscript.begin([Piece("To ", "person")], "To ")
    write(manuscript, "be ", "or ")
    manuscript.begin([Piece("not ", "person")], "not ")
    write(manuscript, "to be")
    return manuscript


def test_the_text_is_what_both_wrote_in_order() -> None:
    manuscript = two_turns()
    assert manuscript.text == "To be or not to be"
    assert [piece.author for piece in manuscript.pieces] == ["person", "model", "model", "person", "model"]


def test_a_turn_is_taken_back_and_put_in_place_again() -> None:
    manuscript = two_turns()
    assert manuscript.undo()
    assert manuscript.text == "To be or "
    assert manuscript.undo()
    assert manuscript.empty
    assert not manuscript.undo()
    assert manuscript.redo()
    assert manuscript.redo()
    assert manuscript.text == "To be or not to be"
    assert not manuscript.redo()


def test_what_was_written_again_can_be_had_back() -> None:
    manuscript = two_turns()
    assert manuscript.begin_again(seed=8)
    assert manuscript.text == "To be or not "
    write(manuscript, "to see")
    assert manuscript.turns[-1].seed == 8
    assert manuscript.undo()
    assert manuscript.text == "To be or not to be"
    assert manuscript.redo()
    assert manuscript.text == "To be or not to see"


def test_a_text_from_the_library_can_be_taken_back_too() -> None:
    manuscript = two_turns().copy()
    assert manuscript.undo()
    assert manuscript.text == "To be or "


def test_a_copy_does_not_follow_the_original() -> None:
    manuscript = two_turns()
    copy = manuscript.copy()
    write(manuscript, "!")
    assert copy.text == "To be or not to be"


def test_the_title_is_the_beginning_on_one_line() -> None:
    manuscript = Manuscript()
    manuscript.begin([Piece("\n ROMEO:\nWhat " + "light " * 40, "person")])
    assert manuscript.title.startswith("ROMEO: What light")
    assert len(manuscript.title) <= 60
    assert "\n" not in manuscript.title


def test_in_a_chat_the_person_speaks_and_the_other_answers() -> None:
    writing = Writing(chat=True, cast=Cast("HAMLET", "GHOST"))
    writing.begin("Who is there?", 0)
    assert writing.manuscript.text == "HAMLET:\nWho is there?\n\nGHOST:\n"
    write(writing.manuscript, "Mark me.")
    writing.begin("I will.\n", 0)
    expected = "HAMLET:\nWho is there?\n\nGHOST:\nMark me.\n\nHAMLET:\nI will.\n\nGHOST:\n"
    assert writing.manuscript.text == expected
    command = writing.command(3, 50, Sampling())
    assert command.prompt == expected
    assert command.stop == ("\n\n", "\nHAMLET:")


def test_an_empty_speech_lets_the_other_one_go_on() -> None:
    writing = Writing(chat=True)
    writing.begin("Speak.", 0)
    write(writing.manuscript, "Aye.\n")
    writing.begin("", 0)
    assert writing.manuscript.text.endswith("Aye.\n\nJULIET:\n")


def test_a_completion_goes_on_the_text_as_typed() -> None:
    writing = Writing()
    writing.begin("To be", 0)
    writing.begin("", 0)
    assert writing.manuscript.text == "To be"
    assert writing.command(1, 5, Sampling()).stop == ()


def test_names_fit_a_play() -> None:
    assert name("  Lady\nMacbeth: ", "ROMEO") == "Lady Macbeth"
    assert name(" : ", "ROMEO") == "ROMEO"
    assert len(name("x" * 500, "ROMEO")) == 40


def test_what_a_stop_found_held_back_belongs_to_the_last_token() -> None:
    manuscript = two_turns()
    before = manuscript.version
    manuscript.complete("!\n")
    assert manuscript.text == "To be or not to be!\n"
    assert manuscript.turns[-1].written[-1].token is not None
    assert manuscript.turns[-1].written[-1].token.text == "to be!\n"
    assert manuscript.version > before  # what stood before has changed
    Manuscript().complete("nothing to add to")


def parts_of(writing: Writing) -> list[object]:
    prompt = writing.command(1, 5, Sampling()).prompt
    assert isinstance(prompt, MarkedText)
    return [marked for _, marked in prompt.parts]


def test_the_model_gets_its_own_tokens_back_and_another_model_the_text() -> None:
    writing = Writing()
    writing.manuscript.model = "one"
    writing.begin("a", 0)
    writing.manuscript.write(Token(7, " b", -0.5, ((7, -0.5), (8, -0.9)), 1.0, {}), (" b", " c"))
    writing.manuscript.complete("")
    assert parts_of(writing) == [True, (7,)]
    writing.manuscript.take(1, 1)
    assert parts_of(writing) == [True, (8,)]
    writing.manuscript.model = "another"
    assert parts_of(writing) == [True, False]


def test_tokens_of_which_a_stop_took_a_part_are_handed_on_as_a_text() -> None:
    writing = Writing()
    writing.manuscript.model = "one"
    writing.begin("a", 0)
    writing.manuscript.write(Token(7, " b", -0.5, ((7, -0.5),), 1.0, {}), (" b\n\n",))
    writing.manuscript.complete("", cut=True)
    assert parts_of(writing) == [True, False]
