"""Scores of words and of lines: the tokens of a text put together.

A word is what stands between blanks. GPT-2's tokens carry the blank that comes before a word, so that the product of a
word's tokens leaves out that the word ends, and pays for the end of the word before. Words have their probability by
Pimentel and Meister (2024), "How to Compute the Probability of a Word": the probability that a word ends moves to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sg_core.inference.score import Scores


@dataclass(frozen=True, slots=True)
class WordScore:
    """A word: the text without the blanks before it, and the character at which it starts.

    tokens: how many it has, blanks before it included. logprob: corrected; uncorrected: the sum of its tokens'. None
    where the first token of the text, which has no probability, is among them, and where logits are not finite.
    """

    text: str
    start: int
    tokens: int
    logprob: float | None
    uncorrected: float | None


@dataclass(frozen=True, slots=True)
class LineScore:
    """A line, without its end; a token belongs to the line in which it begins.

    number: from 1. start: its first character. tokens, characters: those that have a probability, the end of the line
    included. logprob: their sum, None where there are none.
    """

    number: int
    text: str
    start: int
    tokens: int
    characters: int
    logprob: float | None


def words(scores: Scores) -> Iterator[WordScore]:
    """The words of a text in tokens. Blanks after the last one, and the end of a document, stand for themselves."""
    text, rows = scores.text, scores.rows
    for first, last in _word_places(scores):
        ids = text.ids[first : last + 1]
        raw = "".join(text.texts[first : last + 1])
        word = raw.strip()
        uncorrected = math.fsum(rows.logprobs[first : last + 1])
        logprob = uncorrected
        if text.marks[ids[0]] and first:
            logprob -= rows.marked[first - 1]  # that the word before ends is its own
        if word and ids[-1] not in text.special:
            logprob += rows.marked[last]
        start = text.starts[first] + (len(raw) - len(raw.lstrip()) if word else 0)
        yield WordScore(word or raw, start, len(ids), _number(logprob), _number(uncorrected))


def _word_places(scores: Scores) -> Iterator[tuple[int, int]]:
    """First and last token of each word. What begins with a blank begins a word, unless blanks alone came before."""
    text = scores.text
    first, blank, over = 0, True, False
    for place, id in enumerate(text.ids):
        if place > first and (over or (text.marks[id] and not blank)):
            yield first, place - 1
            first, blank = place, True
        blank = blank and text.marks[id] == 1 and not text.texts[place].strip()
        over = id in text.special
    yield first, len(text.ids) - 1


def lines(scores: Scores) -> Iterator[LineScore]:
    """The lines of a text in which tokens begin."""
    text = scores.text
    number = 1
    first = 0
    for place, token in enumerate(text.texts):
        breaks = token.count("\n")
        if breaks or place == len(scores) - 1:
            yield _line(scores, number, first, place)
            number, first = number + breaks, place + 1


def _line(scores: Scores, number: int, first: int, last: int) -> LineScore:
    text = scores.text
    own = range(max(1, first), last + 1)
    logprob = math.fsum(scores.rows.logprobs[own.start : last + 1]) if own else math.nan
    written = "".join(text.texts[first : last + 1]).rstrip("\n").removesuffix("\r")
    characters = sum(len(text.texts[place]) for place in own)
    return LineScore(number, written, text.starts[first], len(own), characters, _number(logprob))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
