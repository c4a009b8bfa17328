"""How far to write ahead is learned from what guesses and passes take, and from what comes true."""

from __future__ import annotations

from sg_core.inference.drafting import Drafting


def rounds(drafting: Drafting, count: int, *, guess: int, plain: int, row: int, true: float) -> list[int]:
    """Lengths of drafts, a round each, where things take so many ns and the share `true` of guesses comes true."""
    lengths = []
    luck = 0.0
    for _ in range(count):
        length = drafting.length(7)
        lengths.append(length)
        drafting.passed(1 + length, plain + length * row)
        if length:
            for _ in range(length):
                drafting._guess.learn(guess)
            kept = 0
            while kept < length and (luck := luck + true) >= 1.0:
                luck -= 1.0
                kept += 1
            drafting.learn(length, kept)
    return lengths


def test_cheap_guesses_that_come_true_are_written_far_ahead() -> None:
    lengths = rounds(Drafting(), 300, guess=270, plain=1000, row=40, true=0.99)
    assert lengths[:2] == [0, 0]  # a pass without drafts is measured first
    assert lengths.count(7) > 250


def test_what_does_not_pay_is_hardly_tried() -> None:
    tried = [length for length in rounds(Drafting(), 3000, guess=950, plain=1000, row=300, true=0.9) if length]
    assert len(tried) < 30


def test_a_machine_that_gets_quieter_is_noticed() -> None:
    drafting = Drafting()
    rounds(drafting, 400, guess=950, plain=1000, row=300, true=0.95)
    assert rounds(drafting, 4000, guess=200, plain=1000, row=40, true=0.95)[-1000:].count(7) > 800


def test_guesses_that_never_come_true_are_given_up() -> None:
    lengths = rounds(Drafting(), 1000, guess=270, plain=1000, row=40, true=0.0)
    assert sum(map(bool, lengths[40:])) < 20


def test_one_hiccup_does_not_end_it() -> None:
    drafting = Drafting()
    rounds(drafting, 100, guess=270, plain=1000, row=40, true=0.97)
    drafting._guess.learn(10**9)
    assert sum(map(bool, rounds(drafting, 100, guess=270, plain=1000, row=40, true=0.97))) > 90
