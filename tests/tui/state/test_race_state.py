"""What a race tells in words."""

from __future__ import annotations

import pytest

from sg_core.engine.commands import Race
from sg_core.engine.events import Raced
from sg_core.measure.race import Lap, Standings
from sg_core.measure.setting import Setting
from sg_tui.state.race_state import RIGHT_SIDES, RaceState, lead_words, same_words


def standings(*pairs: tuple[float, float], differs_at: int = 0) -> Standings:
    made = Standings()
    for number, ms in enumerate(((1.0, 1.0), *pairs), 1):
        made.add(Lap((1, 2 if number == differs_at else 1), ("a", "b"), ms, 0.25))
    return made


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(1.0, 2.0), (1.0, 2.2)] * 10, "the left one is × 2.10 as fast (half within 2.00–2.20, n 20)"),
        ([(2.0, 1.0), (2.2, 1.0)] * 10, "the right one is × 2.10 as fast (half within 2.00–2.20, n 20)"),
        ([(1.0, 0.9), (1.0, 1.2)] * 10, "no clear winner: × 1.05 (half within 0.90–1.20, n 20)"),
        (
            [(1.0, 2.0), (1.0, 9.0)] * 10,
            "the left one is × 5.50 as fast (half within 2.00–9.00, n 20); the machine was busy",
        ),
        ([(1.0, 2.0)] * 3, "a speed-up is told after 8 tokens"),
    ],
)  # fmt: skip
def test_the_lead_is_told_with_its_spread(pairs: list[tuple[float, float]], words: str) -> None:
    assert lead_words(standings(*pairs)) == words


def test_it_is_told_whether_the_texts_are_the_same() -> None:
    assert same_words(standings((1.0, 1.0))) == "the same 2 tokens, largest difference of logits 0.25"
    told = same_words(standings((1.0, 1.0), differs_at=2))
    assert told == "token 2 is the first that differs, largest difference of logits 0.25 up to it"


def test_the_first_token_that_differs_is_found_in_both_texts() -> None:
    race = RaceState()
    race.asked(Race(5, Setting(), Setting("int8")))
    for ids, texts in (((1, 1), ("ab", "ab")), ((2, 3), ("cd", "e")), ((4, 5), ("f", "g"))):
        assert race.take(Raced(5, Lap(ids, texts, (1.0, 1.0), 0.0)))
    assert race.texts == ["abcdf", "abeg"]
    assert [text[slice(*span)] for text, span in zip(race.texts, race.differing, strict=True)] == ["cd", "e"]
    assert not race.take(Raced(4, Lap((1, 1), ("x", "x"), (1.0, 1.0), 0.0)))
    assert [row["token"] for row in race.records()[:-1]] == [1, 2, 3]


def test_the_rivals_are_settings_and_never_the_present_one() -> None:
    race = RaceState()
    for name in RIGHT_SIDES:
        assert Setting.named(name).name == name
        assert race.right(Setting.named(name)) != Setting.named(name)
        race.choose(1)
