"""How what a person types becomes the text a model continues: plainly, or as the lines of a play."""

from __future__ import annotations

from dataclasses import dataclass

from sg_tui.state.manuscript import Manuscript, Piece

NAME_LENGTH = 40
BLANK_LINE = "\n\n"


@dataclass(frozen=True, slots=True)
class Cast:
    """Who speaks in a chat: the person as `person`, the model as `model`."""

    person: str = "ROMEO"
    model: str = "JULIET"

    @property
    def stop(self) -> tuple[str, ...]:
        """The model's speech ends at a blank line."""
        return (BLANK_LINE,)


def completion(typed: str) -> list[Piece]:
    """What is typed goes on the text as it is."""
    return [Piece(typed, "person")]


def speech(manuscript: Manuscript, typed: str, cast: Cast) -> list[Piece]:
    """The person's speech under its name, then the model's name; without a speech the model's name alone."""
    ending = "".join(piece.text for piece in manuscript.pieces[-8:])
    begin = "" if not ending or ending.endswith(BLANK_LINE) else "\n" if ending.endswith("\n") else BLANK_LINE
    if not typed.strip():
        return [Piece(f"{begin}{cast.model}:\n", "cue")]
    return [
        Piece(f"{begin}{cast.person}:\n", "cue"),
        Piece(typed.strip("\n"), "person"),
        Piece(f"{BLANK_LINE}{cast.model}:\n", "cue"),
    ]


def name(typed: str, otherwise: str) -> str:
    """A character's name as it can stand in the play: one line, without the colon."""
    words = " ".join(typed.replace(":", " ").split())[:NAME_LENGTH]
    return words or otherwise
