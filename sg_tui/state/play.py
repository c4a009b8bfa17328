"""How what a person types becomes the text a model continues: plainly, or as a turn of a chat."""

from __future__ import annotations

from dataclasses import dataclass

from sg_core.text.templates import PLAY, Template
from sg_tui.state.manuscript import Manuscript, Piece

NAME_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Cast:
    """Who speaks in a chat, the person as `person`, the model as `model`, and the form in which turns become a text."""

    person: str = "ROMEO"
    model: str = "JULIET"
    template: Template = PLAY

    @property
    def form(self) -> Template:
        """The template with the names in it."""
        return self.template.named(self.person, self.model)


def completion(typed: str) -> list[Piece]:
    """What is typed goes on the text as it is."""
    return [Piece(typed, "person")]


def speech(manuscript: Manuscript, typed: str, cast: Cast) -> list[Piece]:
    """The person's words between their cues; without words the one that gives the model its turn."""
    words = typed.strip("\n") if typed.strip() else ""
    before, after = cast.form.cues(manuscript.text, words)
    return [Piece(before, "cue"), Piece(words, "person"), Piece(after, "cue")]


def name(typed: str, otherwise: str) -> str:
    """A character's name as it can stand in the play: one line, without the colon."""
    words = " ".join(typed.replace(":", " ").split())[:NAME_LENGTH]
    return words or otherwise
