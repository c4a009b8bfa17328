"""Which rows the benchmark has, what it measures, and what its figures mean."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from sg_core.config import GPT2Config
from sg_core.errors import SettingError
from sg_core.gpt2 import GPT2
from sg_core.inference.generation import Generation
from sg_core.inference.sampling import Sampling
from sg_core.inference.session import Session
from sg_core.inference.token import Token
from sg_core.kernels.bandwidth import ReadBandwidth, read_all
from sg_core.kernels.team import Team
from sg_core.measure.benchmark import (
    Benchmark,
    Measurement,
    Timing,
    every_combination,
    later_ladder,
    original_ladder,
    peak_memory,
    restart_peak_memory,
    time_tokens,
)
from sg_core.network.optimizations import Optimizations
from sg_core.text.vocabulary import learn_vocabulary

SHAPE = GPT2Config(vocab_size=270, n_ctx=24, n_layer=2, n_head=2, n_embd=16)


@pytest.fixture(scope="module")
def model() -> GPT2:
    return GPT2.random(SHAPE, seed=1)


def on(optimizations: Optimizations) -> list[int]:
    return [number for number, name in enumerate(Optimizations.names(), 1) if getattr(optimizations, name)]


# ---------------------------------------------------------------- rows


def test_the_original_ladder_has_its_five_rows() -> None:
    rows = [on(rung.optimizations) for rung in original_ladder()]
    assert rows == [[], [1, 2, 4], [1, 2, 4, 5], [1, 2, 3, 4], [1, 2, 3, 4, 5]]


def test_the_later_ladder_adds_one_at_a_time_the_table_last() -> None:
    rows = [on(rung.optimizations) for rung in later_ladder()]
    assert rows[:5] == [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]
    assert rows[5:] == [[1, 2, 3, 4, 6], [1, 2, 3, 4, 6, 7], [1, 2, 3, 4, 5, 6, 7]]


def test_all_combinations_are_all() -> None:
    rungs = every_combination()
    assert len({rung.optimizations for rung in rungs}) == len({rung.label for rung in rungs}) == 128
    assert (rungs[0].optimizations, rungs[-1].optimizations) == (Optimizations.none(), Optimizations())


# ---------------------------------------------------------------- runs


def test_every_token_of_the_run_is_timed(model: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    timing = time_tokens(
        model, Optimizations().without("gelu"), 7, threads=2, progress=lambda done, total: told.append((done, total))
    )
    assert timing is not None
    assert told == [(n, 7) for n in range(1, 8)]
    assert (timing.tokens, timing.threads, on(timing.optimizations)) == (7, 2, [1, 2, 4, 5, 6, 7])
    assert 0 < timing.minimum <= timing.ms_per_token <= timing.maximum


def test_the_context_limits_a_run(model: GPT2) -> None:
    whole = time_tokens(model, Optimizations())
    assert whole is not None
    assert whole.tokens == SHAPE.n_ctx
    with pytest.raises(SettingError, match="tokens is 25; it must be a whole number from 1 to 24"):
        time_tokens(model, Optimizations(), 25)


def test_a_model_that_wants_to_end_is_measured_to_the_end() -> None:
    tokenizer = learn_vocabulary("so it goes, " * 50, 262)
    model = GPT2.random(
        GPT2Config(vocab_size=tokenizer.vocab_size, n_ctx=16, n_layer=1, n_head=1, n_embd=8), tokenizer=tokenizer
    )
    end = tokenizer.end_of_text
    assert end is not None
    model.parameters["wte.weight"][:] = 0.0
    model.parameters["wte.weight"][end] = 1.0
    model.parameters["ln_f.weight"][:] = 0.0
    model.parameters["ln_f.bias"][:] = 1.0
    assert len(list(model.session().generate("so", 9))) == 1
    timing = time_tokens(model, Optimizations(), 9)
    assert timing is not None
    assert timing.tokens == 9


def test_a_cancelled_run_gives_nothing(model: GPT2) -> None:
    told: list[int] = []
    timing = time_tokens(
        model,
        Optimizations(),
        9,
        progress=lambda done, total: told.append(done),
        cancelled=lambda: len(told) >= 4,
    )
    assert timing is None
    assert told == [1, 2, 3, 4]


def test_the_tokens_are_greedy_and_the_optimizations_those_asked_for(
    model: GPT2, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions: set[tuple[Optimizations, float]] = set()
    generate = Session.generate

    def watch(self: Session, prompt: Any, count: int, sampling: Sampling, **named: Any) -> Generation:
        sessions.add((self.optimizations, sampling.temperature))
        return generate(self, prompt, count, sampling, **named)

    monkeypatch.setattr(Session, "generate", watch)
    wanted = Optimizations().without("kv_cache", "linear")
    assert time_tokens(model, wanted, 3) is not None
    assert sessions == {(wanted, 0.0)}


# ---------------------------------------------------------------- figures


def test_figures_of_a_run() -> None:
    timing = Timing(Optimizations(), "f32", 1, (1.0, 2.0, 9.0), seconds=0.015)
    assert (timing.ms_per_token, timing.mean, timing.minimum, timing.maximum) == (2.0, 5.0, 1.0, 9.0)
    assert timing.tokens_per_second == 500.0
    row = Measurement("m", timing, weight_bytes=30_000_000, read_rate=20e9, peak_bytes=0)
    assert row.gb_per_second == pytest.approx(15.0)
    assert row.bound_ms == pytest.approx(1.5)
    assert row.ratio_to_bound == pytest.approx(4 / 3)


def test_with_lookup_the_figure_of_a_run_is_the_mean() -> None:
    timing = Timing(Optimizations().with_("lookup"), "f32", 1, (8.0, 0.0, 0.0, 4.0), seconds=0.02)
    assert timing.ms_per_token == 3.0
    assert timing.tokens_per_second == pytest.approx(1000 / 3)


@pytest.mark.parametrize(
    ("precision", "bits"), [("f32", 32), ("bf16", 16), ("int8", 8 + 32 / 64), ("w8a8", 8 + 32 / 64), ("int4", 4 + 1)]
)
def test_a_token_reads_the_weights_of_its_precision(
    precision: str, bits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Matrices in the precision, with a scale for 64 numbers in int8 and for 32 in int4; the rest in f32."""
    monkeypatch.setattr(ReadBandwidth, "measure", lambda self, size: 1e9)
    model = GPT2.random(GPT2Config(vocab_size=256, n_ctx=24, n_layer=2, n_head=2, n_embd=64))
    row = Benchmark(model).measure(Optimizations(), 2, precision=precision)
    assert row is not None
    tensors = model.parameters.items()
    matrices = sum(array.size for name, array in tensors if array.ndim == 2 and "wpe" not in name)
    vectors = sum(array.size for _, array in tensors if array.ndim == 1)
    rows_of_embeddings = 2 * 64
    assert row.weight_bytes == matrices * bits / 8 + 4 * (vectors + rows_of_embeddings)
    assert row.timing.precision == precision


def test_the_bound_is_that_of_the_threads_and_the_bytes_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    model = GPT2.random(GPT2Config(vocab_size=2048, n_ctx=24, n_layer=2, n_head=2, n_embd=256))
    asked: list[tuple[int, int]] = []

    def measure(self: ReadBandwidth, size: int) -> float:
        asked.append((self.threads, size))
        self.bytes_per_second = 1e9 * self.threads
        return self.bytes_per_second

    monkeypatch.setattr(ReadBandwidth, "measure", measure)
    benchmark = Benchmark(model)
    weights = 0
    for threads in (1, 2, 1):
        row = benchmark.measure(Optimizations(), 2, threads=threads)
        assert row is not None
        weights = row.weight_bytes
        assert row.read_rate == 1e9 * threads
        assert row.peak_bytes > 1e6
    assert asked == [(1, weights), (2, weights)]  # a fresh figure is used again
    row = benchmark.measure(Optimizations(), 2, precision="bf16", threads=1)
    assert row is not None
    assert asked[2:] == [(1, row.weight_bytes)]
    assert row.weight_bytes < weights


def test_peak_memory_sees_what_was_taken_since_it_was_restarted() -> None:
    restart_peak_memory()
    before = peak_memory()
    block = np.ones(64 << 20, np.uint8)
    grown = peak_memory() - before
    assert grown >= (0.9 * block.nbytes if sys.platform == "linux" else 0)  # elsewhere it can't be restarted


# ---------------------------------------------------------------- read bandwidth


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("streams", [4, 8])
def test_every_number_is_read_once(threads: int, streams: int) -> None:
    values = np.random.default_rng(0).integers(0, 4, 16 * 8 * threads * 5).astype(np.float32)
    sums = np.zeros(threads, np.float32)
    Team(threads).run(read_all, values, sums, streams)
    assert sums.sum() == values.sum()


def test_the_best_rate_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    bandwidth = ReadBandwidth(1)
    first = bandwidth.measure(passes=2, size=1 << 20)
    assert first > 1e8  # any machine reads its cache faster than that
    assert bandwidth.measure(passes=1, size=1 << 10) >= first
    assert bandwidth.bytes_per_second >= first


def test_token_times_are_those_of_the_session(model: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens: list[Token] = []
    generate = Session.generate

    def watch(self: Session, *arguments: object, **named: object) -> object:
        for token in generate(self, *arguments, **named):  # type: ignore[arg-type]
            tokens.append(token)
            yield token

    monkeypatch.setattr(Session, "generate", watch)
    timing = time_tokens(model, Optimizations(), 6)
    assert timing is not None
    assert timing.ms == tuple(token.ms for token in tokens[-6:])
