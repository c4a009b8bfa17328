"""A race tells what differs between two settings, and by how much one is faster, from the same tokens of both."""

from __future__ import annotations

import math

import pytest

from sg_core.config import GPT2Config
from sg_core.errors import SettingError
from sg_core.gpt2 import GPT2
from sg_core.inference.sampling import Sampling
from sg_core.measure.race import BLOCK, PAIRS, Lap, Standings, race
from sg_core.measure.setting import Setting
from sg_core.network.optimizations import Optimizations

USUAL = Setting()


@pytest.fixture(scope="module")
def model() -> GPT2:
    return GPT2.random(GPT2Config(vocab_size=97, n_ctx=32, n_layer=2, n_head=2, n_embd=32), seed=1)


def run(model: GPT2, right: Setting, tokens: int = 12) -> Standings:
    standings = Standings()
    for lap in race(model, [1, 2, 3], USUAL, right, tokens, Sampling(seed=5), threads=1):
        standings.add(lap)
    return standings


def test_switches_write_the_very_same_text_from_the_very_same_logits(model: GPT2) -> None:
    standings = run(model, Setting("f32", Optimizations.none().with_("gelu_table")), 40)  # over the end of the context
    assert len(standings.laps) == 40
    assert standings.first_difference is None
    assert standings.largest_difference == 0.0


def test_the_tokens_are_those_of_a_session_alone(model: GPT2) -> None:
    alone = [token.id for token in model.session(threads=1).generate([1, 2, 3], 12, Sampling(seed=5))]
    assert [lap.ids for lap in run(model, Setting.named("f32-kv_cache")).laps] == [(id, id) for id in alone]


def test_fewer_bits_differ_and_the_difference_is_told_while_the_texts_are_alike(model: GPT2) -> None:
    standings = run(model, Setting("int4"), 30)
    assert standings.largest_difference > 0.0
    number = standings.first_difference
    assert number is not None  # of 30 tokens of random weights in 4 bits one differs
    assert all(one == other for one, other in (lap.ids for lap in standings.laps[: number - 1]))
    assert [math.isnan(lap.difference) for lap in standings.laps] == [n >= number for n in range(30)]


def lap(left: float, right: float) -> Lap:
    return Lap((1, 1), ("a", "a"), (left, right), 0.0)


def test_the_lead_is_of_pairs_and_has_a_spread() -> None:
    standings = Standings()
    standings.add(lap(50.0, 1.0))  # the first has a share of the prompt
    for number in range(PAIRS - 1):
        standings.add(lap(1.0, 2.0 + number % 2))
    assert standings.lead is None
    standings.add(lap(10.0, 30.0))
    lead = standings.lead
    assert lead is not None
    assert (lead.times, lead.low, lead.high, lead.n) == (2.5, 2.0, 3.0, PAIRS)
    assert (standings.ms(0), standings.ms(1)) == (1.0, 2.5)


def test_tokens_in_bursts_are_timed_in_blocks() -> None:
    standings = Standings(bursts=True)
    standings.add(lap(50.0, 1.0))
    for number in range(BLOCK * PAIRS):
        assert standings.lead is None
        standings.add(lap(1.0, 3.0 if number % 3 == 0 else 0.0))  # three tokens in the time of one
    lead = standings.lead
    assert lead is not None
    assert (lead.times, lead.n) == (1.0, PAIRS)
    assert (standings.ms(1), standings.statistic) == (1.0, f"mean of {BLOCK * PAIRS}")


@pytest.mark.parametrize("name", ["f32", "int8-kv_cache", "bf16-gelu-layernorm+lookup", "f32-all", "int4+lookup"])
def test_a_setting_is_read_as_it_is_named(name: str) -> None:
    assert Setting.named(name).name == name


@pytest.mark.parametrize("name", ["", "f31", "f32-nothing", "-kv_cache", "f32-", "f32+"])
def test_a_setting_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(SettingError):
        Setting.named(name)


@pytest.mark.parametrize(
    ("name", "short", "words"),
    [
        ("f32", "all on", "f32"),
        ("f32-kv_cache-gelu", "1 3 off", "f32, KV cache off, GELU off"),
        ("int8-all", "all off", "int8, all off"),
        ("f32+lookup", "8 on", "f32, lookup on"),
    ],
)
def test_a_setting_in_words(name: str, short: str, words: str) -> None:
    setting = Setting.named(name)
    assert (setting.short, setting.words) == (short, words)
