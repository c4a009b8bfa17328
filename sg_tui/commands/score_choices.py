"""`sg-tui score --choices`: which ending a model finds likeliest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sg_core.errors import DataError
from sg_tui.commands.output import Output
from sg_tui.commands.score_rows import print_csv
from sg_tui.figures import nats
from sg_tui.terminal.textsafe import safe_line

if TYPE_CHECKING:
    from sg_core.inference.score import Scores

_DASH = "-"


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, maybe empty, and the choices that may follow it."""

    prompt: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of a question: its tokens that have a probability, their characters, nats, and ranks, 1 the likeliest.

    rank: by the nats of all; rank_per_character: by nats a character, which does not favour short ones.
    """

    question: int
    prompt: str
    text: str
    tokens: int
    characters: int
    nats: float
    rank: int = 0
    rank_per_character: int = 0

    @property
    def nats_per_character(self) -> float | None:
        """None without characters."""
        return self.nats / self.characters if self.characters else None


def questions(text: str) -> list[Question]:
    """The questions of a text. Raises DataError where there is nothing to choose."""
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    found: list[Question] = []
    if not any(line.startswith(_DASH) for line in lines):
        found = [Question("", tuple(line for line in lines if line.strip()))]
    else:
        prompt: list[str] = []
        choices: list[str] = []
        for line in [*lines, ""]:
            if line.startswith(_DASH):
                choices.append(line.removeprefix(_DASH))
            else:
                if choices:
                    found.append(Question("\n".join(prompt).strip("\n"), tuple(choices)))
                    prompt, choices = [], []
                prompt.append(line)
    for number, question in enumerate(found, 1):
        if len(question.choices) < 2:
            raise DataError(
                f"question {number} has {len(question.choices)} choices; give two or more, each on a line of its own "
                "that begins with a dash"
            )
        if "" in question.choices:
            raise DataError(f"question {number} has an empty choice; write something after its dash")
    return found


def ranked(text: str, score: Callable[[str], Scores]) -> Iterator[list[Choice]]:
    """The choices of each question in their order, ranked. score: gives the scores of a text. Raises DataError."""
    for number, question in enumerate(questions(text), 1):
        choices = [_choice(number, question.prompt, ending, score) for ending in question.choices]
        totals = sorted(one.nats for one in choices)
        means = sorted(_mean(one) for one in choices)
        yield [
            Choice(
                one.question, one.prompt, one.text, one.tokens, one.characters, one.nats,
                totals.index(one.nats) + 1, means.index(_mean(one)) + 1,
            )
            for one in choices
        ]  # fmt: skip


def _mean(choice: Choice) -> float:
    return math.inf if choice.nats_per_character is None else choice.nats_per_character


def _choice(number: int, prompt: str, ending: str, score: Callable[[str], Scores]) -> Choice:
    scores = score(prompt + ending)
    # a token that holds the end of the prompt too is the ending's: without it the ending would lack its beginning
    own = [token for token in scores[1:] if token.start + len(token.text) > len(prompt)]
    characters = sum(len(token.text) for token in own)
    surprise = -sum(math.nan if token.logprob is None else token.logprob for token in own)
    return Choice(number, prompt, ending, len(own), characters, surprise)


def print_questions(found: list[list[Choice]], form: str, output: Output) -> None:
    """Print the choices. form: "table", "json" or "csv"."""
    records = [_record(choice) for choices in found for choice in choices]
    if form == "json":
        for record in records:
            output.json(record)
        output.json({"questions": len(found), "choices": len(records)})
    elif form == "csv":
        print_csv(records, output)
    else:
        for choices in found:
            _print_table(choices, output)
    if not all(choice.prompt for choices in found for choice in choices):
        output.note("without a prompt the first token of a choice has no probability: only what follows it is counted")


def _record(choice: Choice) -> dict[str, Any]:
    return {
        "question": choice.question, "prompt": choice.prompt, "text": choice.text, "tokens": choice.tokens,
        "characters": choice.characters, "nats": choice.nats, "nats_per_character": choice.nats_per_character,
        "rank": choice.rank, "rank_per_character": choice.rank_per_character,
    }  # fmt: skip


def _print_table(choices: list[Choice], output: Output) -> None:
    output.line(f"{choices[0].question}. {safe_line(choices[0].prompt)}".rstrip())
    output.line(f"{'nats':>9}{'rank':>6}{'nats/char':>11}{'rank':>6}  choice")
    for choice in choices:
        mean = "–" if choice.nats_per_character is None else nats(choice.nats_per_character)
        places = f"{nats(choice.nats):>9}{choice.rank:>6}{mean:>11}{choice.rank_per_character:>6}"
        output.line(f"{places}  {safe_line(choice.text.strip())}")
