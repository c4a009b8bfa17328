"""Measuring decoding: the original's ladder of optimizations, all their combinations, and the bound of the machine.

A row is one greedy run from a prompt of one token. Its figure, `ms_per_token`, is the median of the times of the
run's own tokens, choosing the token included; compiling and a few warm-up tokens come before and are not counted.
With lookup or draft tokens come in bursts, most of them free: the figure is then the mean.
With a switch off a token costs more the longer the text is, so the median is the cost near the middle of the run,
and `minimum` and `maximum` are mostly its two ends. `mean` is wall time: all that passed in the run, by its tokens.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress, product
from pathlib import Path
from typing import TYPE_CHECKING

from sg_core.checks import whole
from sg_core.network.optimizations import ROW_SWITCHES, TABLE, USUAL, Optimizations
from sg_core.types import Cancelled, Count

if TYPE_CHECKING:
    from sg_core.gpt2 import GPT2
    from sg_core.kernels.bandwidth import ReadBandwidth
    from sg_core.network.model import Model

TOKENS = 200  # of a row, unless the context is shorter
TOKENS_OF_MANY = 32  # of a row of all combinations, which are many and mostly slow
_WARM_UP_TOKENS = 3
_Reading = tuple[int, int]  # threads, and bytes that they read
_RATE_SECONDS = 0.5  # a read rate that old is measured again: on shared machines it halves and doubles in moments


@dataclass(frozen=True, slots=True)
class Rung:
    """A set of optimizations to be measured, and what it is called."""

    label: str
    optimizations: Optimizations


def original_ladder() -> tuple[Rung, ...]:
    """The five rows of StaticGrad's first table: none, then KV cache, linear and residual together, then the rest.

    Layer norms and unembedding, which it did not tell apart yet, ran for every position.
    """
    none = Optimizations.none()
    base = ("kv_cache", "linear", "residual")
    steps = ((), base, (*base, "gelu_table"), (*base, "gelu"), (*base, "gelu", "gelu_table"))
    return tuple(Rung(_numbers(none.with_(*names)) or "none", none.with_(*names)) for names in steps)


def later_ladder() -> tuple[Rung, ...]:
    """The eight rows of StaticGrad's later table: none, then one optimization more in each row, the GELU table last."""
    rungs = [Rung("no optimization", Optimizations.none())]
    for name in (*ROW_SWITCHES, *(name for name in USUAL if name not in ROW_SWITCHES)):
        rungs.append(Rung(f"+ {name}", rungs[-1].optimizations.with_(name)))
    return tuple(rungs)


def every_combination() -> tuple[Rung, ...]:
    """All 128, from none to all, counting in binary with switch 1 as the highest digit."""
    none = Optimizations.none()
    combinations = (none.with_(*compress(USUAL, switches)) for switches in product((False, True), repeat=len(USUAL)))
    return tuple(Rung(_numbers(one) or "none", one) for one in combinations)


def _numbers(optimizations: Optimizations) -> str:
    return " ".join(str(one.number) for one in TABLE if getattr(optimizations, one.name))


@dataclass(frozen=True, slots=True)
class Timing:
    """One run. ms: the time of each token, in order, as its session tells it. seconds: what passed meanwhile."""

    optimizations: Optimizations
    precision: str
    threads: int
    ms: tuple[float, ...]
    seconds: float

    @property
    def tokens(self) -> int:
        """How many were measured."""
        return len(self.ms)

    @property
    def ms_per_token(self) -> float:
        """The median; where tokens come in bursts the mean."""
        return statistics.fmean(self.ms) if self.optimizations.bursts else statistics.median(self.ms)

    @property
    def mean(self) -> float:
        """Wall time of the run by its tokens, in ms."""
        return 1000.0 * self.seconds / len(self.ms)

    @property
    def minimum(self) -> float:
        """The fastest token, in ms."""
        return min(self.ms)

    @property
    def maximum(self) -> float:
        """The slowest token, in ms."""
        return max(self.ms)

    @property
    def tokens_per_second(self) -> float:
        """At that pace."""
        return 1000.0 / self.ms_per_token


def time_tokens(
    model: Model,
    optimizations: Optimizations,
    tokens: int | None = None,
    *,
    precision: str = "f32",
    threads: int | None = None,
    progress: Count | None = None,
    cancelled: Cancelled | None = None,
) -> Timing | None:
    """Measure `tokens` greedy tokens from a prompt of one; None when cancelled, which is asked before every token.

    tokens None: TOKENS, or as many as the context takes. progress(done, total) is called after each.
    Raises SettingError.
    """
    from sg_core.inference.sampling import Sampling
    from sg_core.inference.session import Session

    count = _token_count(model, tokens)
    prompt = [model.config.vocab_size - 1]  # the end of a text, in a vocabulary such as GPT-2's
    session = Session(model, None, optimizations, precision, threads)  # without a tokenizer no token ends the text
    greedy = Sampling(temperature=0.0)
    for _ in session.generate(prompt, min(_WARM_UP_TOKENS, count), greedy, cancelled=cancelled):
        pass
    session.rewind(0)
    ms: list[float] = []
    seconds, begun = 0.0, time.perf_counter()
    for token in session.generate(prompt, count, greedy, cancelled=cancelled):
        seconds += time.perf_counter() - begun
        ms.append(token.ms)
        if progress is not None:
            progress(len(ms), count)
        begun = time.perf_counter()
    return Timing(optimizations, precision, session.threads, tuple(ms), seconds) if len(ms) == count else None


def _token_count(model: Model, tokens: int | None) -> int:
    most = model.config.n_ctx
    if tokens is None:
        return min(TOKENS, most)
    return whole("tokens", tokens, 1, most, "the model's context")


@dataclass(frozen=True, slots=True)
class Measurement:
    """A row: a run, beside what the machine could do at best.

    weight_bytes: read for each token in the precision of the run; read_rate: the best bytes per second the machine
    reads so many bytes with, by as many threads; peak_bytes: the most memory the process held during the run.
    """

    model: str
    timing: Timing
    weight_bytes: int
    read_rate: float
    peak_bytes: int

    @property
    def gb_per_second(self) -> float:
        """Weights read a second if each token reads them all, in 1e9 bytes."""
        return self.weight_bytes / self.timing.ms_per_token * 1e-6

    @property
    def bound_ms(self) -> float:
        """The least time of a token: its weights at the best read rate."""
        return self.weight_bytes / self.read_rate * 1e3

    @property
    def ratio_to_bound(self) -> float:
        """How many times the bound a token takes."""
        return self.timing.ms_per_token / self.bound_ms


class Benchmark:
    """Measures rows on one model, and beside each row how fast as many threads read as many bytes."""

    def __init__(self, model: GPT2) -> None:
        self.model = model
        self._bandwidths: dict[_Reading, ReadBandwidth] = {}
        self._measured_at: dict[_Reading, float] = {}

    def replace(self, load: Callable[[], GPT2]) -> None:
        """Measure another model from now on; the one before is given up first."""
        del self.model
        self.model = load()

    def measure(
        self,
        optimizations: Optimizations,
        tokens: int | None = None,
        *,
        precision: str = "f32",
        threads: int | None = None,
        progress: Count | None = None,
        cancelled: Cancelled | None = None,
    ) -> Measurement | None:
        """As `time_tokens`, with the bound and the peak memory."""
        from sg_core.inference.threads import default_threads
        from sg_core.network.weights import bytes_read

        weights = bytes_read(self.model.config, self.model.storage(precision)) + self.model.adapters.nbytes
        readers = (threads or default_threads(4 * self.model.config.parameter_count), weights)
        peaks = [0]

        def between_tokens(done: int, total: int) -> None:
            if progress is not None:
                progress(done, total)
            if time.monotonic() - self._measured_at[readers] > _RATE_SECONDS:
                peaks.append(peak_memory())  # before the bandwidth takes memory of its own
                self._read_rate(readers)
                restart_peak_memory()

        self._read_rate(readers)
        restart_peak_memory()
        timing = time_tokens(
            self.model, optimizations, tokens,
            precision=precision, threads=threads, progress=between_tokens, cancelled=cancelled,
        )  # fmt: skip
        if timing is None:
            return None
        peaks.append(peak_memory())
        return Measurement(self.model.name, timing, weights, self._read_rate(readers), max(peaks))

    def _read_rate(self, reading: _Reading) -> float:
        """The best bytes per second so far; measured again when the last time is a while ago."""
        from sg_core.kernels.bandwidth import LEAST, MOST, ReadBandwidth

        now, (threads, count) = time.monotonic(), reading
        if reading not in self._bandwidths or now - self._measured_at[reading] > _RATE_SECONDS:
            self._bandwidths.setdefault(reading, ReadBandwidth(threads)).measure(size=min(max(count, LEAST), MOST))
            self._measured_at[reading] = now
        return self._bandwidths[reading].bytes_per_second


def peak_memory() -> int:
    """The most bytes the process has held, on Linux since `restart_peak_memory`; 0 where no one tells."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def restart_peak_memory() -> None:
    """Let `peak_memory` count from now on, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")
