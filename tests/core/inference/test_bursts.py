"""Tokens that are written several in one call: the same as one by one, whatever is set or asked meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sg_core import GPT2, GPT2Config, Optimizations, Sampling
from sg_core.errors import ModelFileError
from sg_core.inference import bursts
from sg_core.inference.sampler import key
from sg_core.measure.compilation import warm_up
from sg_core.network.burst import BurstPass

PROMPT = [3, 1, 4, 1, 5]
SAMPLERS = {
    "greedy": Sampling(temperature=0.0),
    "one candidate": Sampling(top_k=1),
    "usual": Sampling(seed=7),
    "everything": Sampling(temperature=1.3, top_p=1.0, seed=1 << 60),
    "top-k and min-p": Sampling(temperature=0.7, top_k=9, min_p=0.02, seed=3),
    "repetition": Sampling(repetition_penalty=1.3, seed=2),
}
WARM = SAMPLERS["usual"]


@pytest.fixture(scope="module")
def model() -> GPT2:
    warm_up()  # where nothing is compiled yet, nobody waits for it
    return GPT2.random(GPT2Config(vocab_size=61, n_ctx=32, n_layer=2, n_head=2, n_embd=32), seed=1)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bursts are as long as they may be, however slow the machine is."""
    monkeypatch.setattr(bursts, "LONGEST_NS", 1 << 62)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tokens of each burst."""
    counts: list[int] = []
    run = BurstPass.run

    def counting(self: BurstPass, *arguments: Any) -> int:
        counts.append(run(self, *arguments))
        return counts[-1]

    monkeypatch.setattr(BurstPass, "run", counting)
    return counts


def alone(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Tokens are written one by one."""
    monkeypatch.setattr(bursts, "MOST", 1)
    return monkeypatch


@pytest.mark.parametrize("precision", ["f32", "int8"])
@pytest.mark.parametrize("name", list(SAMPLERS))
def test_tokens_of_bursts_are_those_written_one_by_one_in_every_bit(
    model: GPT2, monkeypatch: pytest.MonkeyPatch, counted: list[int], precision: str, name: str
) -> None:
    sampling = SAMPLERS[name]
    with monkeypatch.context() as patch:
        alone(patch)
        one_by_one = list(model.session(precision=precision, threads=1).generate(PROMPT, 90, sampling))
    assert not counted
    told = [(token.id, token.logprob, token.top, token.context_moved) for token in one_by_one]
    assert any(token.context_moved for token in one_by_one)  # with the context filled and moved
    for threads in (1, 2, 3):
        session = model.session(precision=precision, threads=threads)
        written = list(session.generate(PROMPT, 90, sampling))
        assert [(token.id, token.logprob, token.top, token.context_moved) for token in written] == told
        assert session.finish_reason == "length"
        assert all(abs(sum(token.op_ms.values()) - token.ms) < 1e-9 for token in written)  # rounding of ten sums
    # a prompt's last position, and that before anything is timed, are computed by themselves
    assert sum(counted) == (0 if name == "repetition" else 3 * (90 - sum(t.context_moved > 0 for t in one_by_one) - 1))


def test_what_is_set_between_two_tokens_acts_from_the_next_one_on(
    model: GPT2, monkeypatch: pytest.MonkeyPatch, counted: list[int]
) -> None:
    def written() -> list[tuple[int, float]]:
        session = model.session(threads=1)
        tokens = []
        for place, token in enumerate(session.generate(PROMPT, 60, WARM)):
            tokens.append((token.id, token.logprob))
            if place == 9:
                session.sampling = Sampling(temperature=2.0, seed=5)
            if place == 19:
                session.optimizations = Optimizations().without("gelu")
            if place == 24:
                session.optimizations = Optimizations()
            if place == 29:
                session.precision = "int8"
            if place == 39:
                session.threads = 2
        assert session.ids == PROMPT + [id for id, _ in tokens]
        return tokens

    with monkeypatch.context() as patch:
        alone(patch)
        one_by_one = written()
    assert not counted
    assert written() == one_by_one
    assert counted


def test_a_text_goes_on_from_where_its_reader_stopped(model: GPT2, counted: list[int]) -> None:
    session = model.session(threads=1)
    tokens = session.generate(PROMPT, 60, WARM)
    some = [next(tokens).id for _ in range(6)]
    assert sum(counted) > 6  # more are written than were asked for
    assert session.ids == PROMPT + some
    fork = session.fork(len(session.ids))
    rest = [token.id for token in fork.generate(fork.ids, 14, WARM)]
    assert PROMPT + some + rest == PROMPT + [token.id for token in model.session(threads=1).generate(PROMPT, 20, WARM)]


def test_an_interrupted_burst_ends_with_the_token_that_is_computed(model: GPT2, counted: list[int]) -> None:
    session = model.session(threads=1)
    plain = [token.id for token in session.generate(PROMPT, 20, WARM)]
    counted.clear()
    session.rewind(0)
    session.interrupt[0] = 1
    assert [token.id for token in session.generate(PROMPT, 20, WARM)] == plain
    assert counted
    assert set(counted) == {1}


def test_a_burst_ends_with_a_token_that_nothing_follows(model: GPT2) -> None:
    session = model.session(threads=1)
    tokens = session.generate(PROMPT, 3, SAMPLERS["greedy"])
    expected = [token.id for token in session.generate([*PROMPT, *(token.id for token in tokens)], 8, WARM)]
    session.rewind(len(PROMPT) + 3)
    burst = BurstPass(session.decoder.current_pass, 61, np.empty(0, np.int64), 4, 16)
    keys = np.array([key(WARM.seed, len(session.ids) + step) for step in range(8)], np.uint64)

    def run(*ends: int) -> int:
        decoder = session.decoder
        found: NDArray[np.int64] = np.array(ends, np.int64)
        chance = (WARM.temperature, WARM.top_k, WARM.top_p, float("inf"))
        place = len(decoder.ids) - 1
        return burst.run(decoder.ids[-1], place, decoder.cache, True, session.interrupt, found, False, chance, keys)

    assert run() == 8
    assert burst.ids[:8].tolist() == expected
    assert run(60, expected[2]) == expected.index(expected[2]) + 1


def test_a_damaged_model_is_told_as_it_is_one_by_one(counted: list[int]) -> None:
    damaged = GPT2.random(GPT2Config(vocab_size=61, n_ctx=32, n_layer=1, n_head=2, n_embd=32), seed=1)
    session = damaged.session(threads=1)
    tokens = session.generate(PROMPT, 20, WARM)
    for _ in range(4):
        next(tokens)
    damaged.parameters["transformer.ln_f.bias"][:] = np.nan
    damaged.version += 1
    with pytest.raises(ModelFileError, match="no usable scores"):
        list(tokens)
