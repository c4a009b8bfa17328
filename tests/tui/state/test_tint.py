"""The tint of every token: what the scores tell as far as they reach, what a token itself tells beyond them."""

from __future__ import annotations

import math

from sg_core.engine.commands import Scale
from sg_core.engine.events import Scored
from sg_core.inference.token import Token
from sg_tui.state.manuscript import Piece
from sg_tui.state.tint import KINDS, Kind, Tint, bits_level

TEXT = "ab cd"


def piece(text: str, logprob: float | None = None, top: tuple[int, ...] = (7,)) -> Piece:
    if logprob is None:
        return Piece(text, "person")
    return Piece.written(Token(7, text, logprob, tuple((id, -1.0) for id in top), 1.0, {}))


def tinted(kind: Kind, scored: bool = True) -> Tint:
    """ "ab", " c" and "d" are tokens; of the second 4 bits, rank 50, 2 bits of entropy; of the third 0.5, 2, 8."""
    tint = Tint()
    while tint.kind != kind:
        tint.next()
    if scored:
        tint.asked(3, TEXT)
        nats = math.log(2)
        event = Scored(
            3, (0, 2, 4), (math.nan, -4 * nats, -0.5 * nats), (0, 50, 2), (math.nan, 2 * nats, 8 * nats), 5.0, 8, 4
        )
        assert tint.take(event)
    return tint


def levels(tint: Tint, *pieces: Piece) -> list[tuple[int, str]]:
    runs = tint.runs(pieces)
    assert runs is not None
    return list(zip(runs.starts, runs.levels, strict=True))


def test_every_token_of_what_a_person_pasted_has_its_own_tint() -> None:
    pasted = piece(TEXT)
    assert levels(tinted("surprise"), pasted) == [(0, "plain"), (2, "2"), (4, "0")]
    assert levels(tinted("rank"), pasted) == [(0, "plain"), (2, "1"), (4, "0")]
    assert levels(tinted("entropy"), pasted) == [(0, "plain"), (2, "1"), (4, "3")]
    assert tinted("none").runs([pasted]) is None


def test_beyond_the_scores_a_token_tells_what_it_knows_itself() -> None:
    pieces = (piece(TEXT), piece("!", -7 * math.log(2)), piece("?", -0.1, top=(1, 2)))
    assert levels(tinted("surprise"), *pieces)[2:] == [(4, "0"), (5, "3"), (6, "0")]
    assert levels(tinted("rank"), *pieces)[2:] == [(4, "0"), (6, "plain")]  # one of the likeliest, and one that is not
    assert levels(tinted("entropy"), *pieces)[2:] == [(4, "3"), (5, "plain")]
    assert levels(tinted("surprise", scored=False), *pieces) == [(0, "plain"), (5, "3"), (6, "0")]


def test_scores_of_another_text_hold_as_far_as_the_texts_are_alike() -> None:
    assert levels(tinted("surprise"), piece("ab cX!")) == [(0, "plain")]  # " c" might go on with the change
    assert levels(tinted("surprise"), piece("ab X"))[0] == (0, "plain")
    assert tinted("surprise").known("ab") == 2


def test_the_author_needs_no_scores() -> None:
    assert levels(tinted("author"), piece("ab"), piece("c", -1.0)) == [(0, "person"), (2, "model")]
    assert not tinted("author").wants("ab")


def test_scores_are_asked_for_once_a_text_and_only_the_awaited_ones_are_taken() -> None:
    tint = tinted("surprise", scored=False)
    assert tint.wants(TEXT)
    tint.asked(3, TEXT)
    assert not tint.wants(TEXT)
    assert not tint.take(Scored(2, (0,), (math.nan,), (0,), (math.nan,), 1.0, 8, 4))
    tint.given_up()
    assert tint.wants(TEXT)
    tint = tinted("surprise")
    assert not tint.wants(TEXT)
    assert tint.wants(TEXT + "!")
    tint.forget()
    assert tint.wants(TEXT)


def test_a_key_goes_round_the_kinds() -> None:
    tint, seen = Tint(), []
    for _ in KINDS:
        tint.next()
        seen.append(tint.kind)
    assert seen == ["surprise", "rank", "entropy", "author", "none"]


def test_levels_by_bits() -> None:
    assert [bits_level(-bits * math.log(2)) for bits in (0.9, 1.1, 3.1, 6.1)] == ["0", "1", "2", "3"]


def test_what_was_written_while_values_were_changed_is_told_apart() -> None:
    token = Token(7, "b", -1.0, ((7, -1.0),), 1.0, {})
    changed = Piece.written(token, ("b",), (Scale(1, 2, 0.0),))
    assert levels(tinted("author"), piece("a"), piece("b", -1.0), changed) == [
        (0, "person"),
        (1, "model"),
        (2, "changed"),
    ]
