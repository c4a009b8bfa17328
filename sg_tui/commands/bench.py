"""`sg-tui bench`: measure decoding on this machine, beside the least time the machine allows."""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from sg_core.errors import SettingError
from sg_core.measure.benchmark import (
    TOKENS,
    TOKENS_OF_MANY,
    Benchmark,
    Measurement,
    Rung,
    every_combination,
    later_ladder,
    original_ladder,
)
from sg_core.network.optimizations import TABLE, Optimizations
from sg_core.network.precisions import PRECISIONS, Precision
from sg_core.training.settings import PRESETS
from sg_tui.commands.adapters import add_adapter
from sg_tui.commands.interrupt import Interrupt
from sg_tui.commands.options import DEFAULT_MODEL, add_json, add_threads, add_with, names, whole
from sg_tui.commands.output import DONE, Output
from sg_tui.figures import duration
from sg_tui.library.figures_file import flat

if TYPE_CHECKING:
    from sg_core.gpt2 import GPT2

HELP = "measure ms/token on this machine"
DESCRIPTION = """\
Measure greedy decoding from a prompt of one token: by default one row with every usual optimization on. The
figure of a row is the median of its tokens' times, choosing the token included, compiling and warming up not; with
lookup or draft, whose tokens come in bursts, it is the mean. With an optimization off a token costs more the longer the
text is: the median is then the cost near the middle of the run, the minimum and maximum mostly its two ends. The mean
is wall time, all that passed, by the run's tokens. Beside each row stands the bound: the weights a token must read, at
the best rate as many threads of this machine read as many bytes with, measured in the same run. The peak memory is that
of a row's run. With --quality no time is measured, but what each precision costs in perplexity on a validation text;
with --ablate-each what each head and MLP is worth on a text.
"""
_HEADER = "123456789 ms/token    mean      min      max   GB/s x bound x faster  peak MB"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--model", metavar="M", help=f"the model to measure (default: {DEFAULT_MODEL})")
    what.add_argument(
        "--random", choices=list(PRESETS), metavar="SIZE",
        help=f"random weights of a size, no download: {', '.join(PRESETS)}",
    )  # fmt: skip
    add_adapter(parser)
    parser.add_argument(
        "--tokens", type=whole(1), metavar="N",
        help=f"of a row (default: {TOKENS}, {TOKENS_OF_MANY} with --all, or as many as the context takes)",
    )  # fmt: skip
    parser.add_argument(
        "--precision", metavar="P,...",
        help=f"of the weights, several separated by commas: {', '.join(PRECISIONS)} "
        f"(default: {PRECISIONS[0]}; with --quality all that fit the model)",
    )  # fmt: skip
    add_threads(parser)
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument(
        "--ladder", action="store_true",
        help="the original's table of optimizations, its five rows, and the eight rows of its later edition",
    )  # fmt: skip
    rows.add_argument("--all", action="store_true", help="all 128 combinations of optimizations")
    add_with(rows)
    rows.add_argument(
        "--quality", action="store_true",
        help="perplexity, and KL divergence from f32, in each precision; --tokens limits the text",
    )  # fmt: skip
    rows.add_argument(
        "--ablate-each", metavar="FILE",
        help="no times, but what the text of FILE (- for stdin) loses when each head and each MLP is muted alone, the "
        "largest change of the mean loss first; --tokens limits the text",
    )  # fmt: skip
    rows.add_argument(
        "--race", nargs=2, metavar=("LEFT", "RIGHT"),
        help="two settings on one prompt and seed, a token each in turn: f32, int8, f32-kv_cache, f32-all, int8+lookup",
    )  # fmt: skip
    parser.add_argument(
        "--data", default="tinyshakespeare", metavar="DATA",
        help="the text of --quality, its last tenth: tinyshakespeare (default), python-docs, or a text file",
    )  # fmt: skip
    form = parser.add_mutually_exclusive_group()
    add_json(form)
    form.add_argument("--csv", action="store_true", help="print rows of times as comma-separated values")


def run(args: argparse.Namespace, output: Output) -> int:
    """Measure and print the rows, each as soon as it is there."""
    precisions = names(args.precision or "")
    if args.precision is not None and not precisions:
        raise SettingError("--precision names none; give f32, or several separated by commas")
    tables = _tables(args)
    if args.csv and (args.quality or args.race or args.ablate_each is not None):
        raise SettingError("--csv is for rows of times; take --json here")
    if args.quality:
        from sg_tui.commands.quality import run_quality

        return run_quality(args, _model(args, output, PRECISIONS[0]), precisions, output)
    if args.race:
        from sg_tui.commands.race import run_race

        return run_race(args, lambda: _model(args, output, PRECISIONS[0]), output)
    precisions = precisions or [PRECISIONS[0]]
    if args.ablate_each is not None:
        from sg_tui.commands.ablation import run_ablations

        if len(precisions) > 1:
            raise SettingError("--ablate-each measures one precision; give one by --precision")
        return run_ablations(args, _model(args, output, precisions[0]), precisions[0], output)
    benchmark = Benchmark(_model(args, output, precisions[0]))
    config = benchmark.model.config
    for precision in precisions:
        Precision.named(precision)  # said before anything is measured
    tokens = args.tokens
    if tokens is None and args.all:
        tokens = min(TOKENS_OF_MANY, config.n_ctx)
    form = "json" if args.json else "csv" if args.csv else "table"
    bench = _Bench(benchmark, tokens, args.threads, form, output)
    bench.compile(precisions)
    bench.rows_to_measure = len(precisions) * len({rung.optimizations for _, rungs in tables for rung in rungs})
    with Interrupt() as bench.interrupt:
        for precision in precisions:
            if benchmark.model.precision != precision:  # each alone, so that its peak memory is its own
                benchmark.replace(partial(_model, args, output, precision))
            for title, rungs in tables:
                bench.table(title, rungs, precision)
    return DONE


def _tables(args: argparse.Namespace) -> list[tuple[str, tuple[Rung, ...]]]:
    if args.ladder:
        return [("original", original_ladder()), ("later edition", later_ladder())]
    if args.all:
        return [("all combinations", every_combination())]
    return [("", (Rung("all", Optimizations().with_(*names(args.with_))),))]


def _model(args: argparse.Namespace, output: Output, precision: str) -> GPT2:
    model = _bare_model(args, output, precision)
    model.load_adapters(args.adapter)
    return model


def _bare_model(args: argparse.Namespace, output: Output, precision: str) -> GPT2:
    output.progress("starting the engine")
    from sg_core.gpt2 import GPT2

    if args.random is None:
        name = args.model or DEFAULT_MODEL
        output.progress(f"loading {name}")
        return GPT2.from_pretrained(name, precision)
    from sg_core.memory import require_memory

    config = PRESETS[args.random].config
    name = f"{args.random} (random weights)"
    size = config.parameter_count * Precision.named(precision).bits // 8
    require_memory(size, name, SettingError, "choose a smaller size")
    output.progress(f"making {name}")
    return GPT2.random(config, name=name, precision=precision)


class _Bench:
    """Measures rows and prints them; a row asked for twice is measured once."""

    def __init__(
        self, benchmark: Benchmark, tokens: int | None, threads: int | None, form: str, output: Output
    ) -> None:
        """form: "table", "json" or "csv"."""
        self.rows_to_measure = 1
        self.interrupt = Interrupt()
        self._benchmark = benchmark
        self._tokens = tokens
        self._threads = threads
        self._form, self._columns = form, False  # whether the names of the columns stand there
        self._output = output
        self._measured: dict[tuple[str, Optimizations], Measurement] = {}
        self._first: dict[tuple[str, str], Measurement] = {}  # row of each table
        self._began = 0.0

    def compile(self, precisions: list[str]) -> None:
        """Compile the kernels, and say how long that took."""
        from sg_core.measure.compilation import warm_up

        began = time.perf_counter()
        for precision in precisions:
            model = self._benchmark.model
            kernels = model.storage(precision).kernels if model.has(precision) else precision
            warm_up(progress=self._output.compiling, precision=kernels, adapters=bool(model.adapters))
        self._began = time.perf_counter()
        self._output.note(f"kernels were compiled or loaded in {self._began - began:.1f} s, which no figure contains")

    def table(self, title: str, rungs: tuple[Rung, ...], precision: str) -> None:
        """Measure and print the rows of one table; rows without a title are one table for all precisions."""
        for number, rung in enumerate(rungs):
            row = self._row(rung, precision)
            if number == 0 and self._form == "table":
                self._head(title, row)
            first = self._first.setdefault((title, precision if title else ""), row)
            faster = first.timing.ms_per_token / row.timing.ms_per_token
            record = as_json(row) | ({"table": title, "speed_up": faster} if title else {})
            if self._form == "json":
                self._output.json(record)
            elif self._form == "csv":
                self._csv(flat(record))
            else:
                self._output.line(as_line(row, faster))

    def _csv(self, columns: dict[str, Any]) -> None:
        if not self._columns:
            self._output.csv(columns)
            self._columns = True
        self._output.csv(columns.values())

    def _head(self, title: str, row: Measurement) -> None:
        timing = row.timing
        threads = f"{timing.threads} thread{'s' if timing.threads > 1 else ''}"
        name = f"{title}: " if title else ""
        storage = self._benchmark.model.storage(timing.precision)
        self._output.line(
            f"{name}{row.model}, {storage.label}, {threads}, {timing.tokens} tokens after a prompt of one"
        )
        weights = f"{row.weight_bytes / 1e6:,.4g} MB of weights at {row.read_rate / 1e9:.1f} GB/s"
        self._output.line(f"bound {row.bound_ms:.3g} ms/token: {weights}, the best this machine reads so much with")
        numbered = [f"{one.number} {one.name}" for one in TABLE]
        for part in (numbered[:4], numbered[4:]):
            self._output.line(" ".join(part))
        self._output.line(_HEADER)

    def _row(self, rung: Rung, precision: str) -> Measurement:
        key = (precision, rung.optimizations)
        if key not in self._measured:
            row = self._benchmark.measure(
                rung.optimizations,
                self._tokens,
                precision=precision,
                threads=self._threads,
                progress=lambda done, total: self._tell(rung, done, total),
                cancelled=self.interrupt,
            )
            if row is None:
                raise KeyboardInterrupt
            self._measured[key] = row
        return self._measured[key]

    def _tell(self, rung: Rung, done: int, total: int) -> None:
        rows = len(self._measured)
        left = ""
        if rows:
            left = f"about {duration((time.perf_counter() - self._began) / rows * (self.rows_to_measure - rows))} left"
        self._output.progress(f"row {rows + 1} of {self.rows_to_measure} ({rung.label}): token", done, total, left)


def as_json(row: Measurement) -> dict[str, Any]:
    """A row as --json prints it.

    mean: wall time of the run by its tokens; ms_per_token: the median of its tokens' own times, in bursts their mean.
    """
    timing = row.timing
    return {
        "model": row.model,
        "precision": timing.precision,
        "threads": timing.threads,
        "optimizations": {name: getattr(timing.optimizations, name) for name in Optimizations.names()},
        "tokens": timing.tokens,
        "ms_per_token": timing.ms_per_token,
        "mean": timing.mean,
        "min": timing.minimum,
        "max": timing.maximum,
        "tokens_per_second": timing.tokens_per_second,
        "gb_per_second": row.gb_per_second,
        "bound_ms": row.bound_ms,
        "ratio_to_bound": row.ratio_to_bound,
        "peak_rss_mb": row.peak_bytes / 1e6,
    }


def as_line(row: Measurement, faster: float) -> str:
    """A row under _HEADER: the numbers of the optimizations that are on, then the figures."""
    timing = row.timing
    switches = "".join(str(one.number) if getattr(timing.optimizations, one.name) else "." for one in TABLE)
    times = f"{timing.ms_per_token:9.3f}{timing.mean:8.3f}{timing.minimum:9.3f}{timing.maximum:9.3f}"
    rates = f"{row.gb_per_second:7.1f}{row.ratio_to_bound:8.2f}{faster:9.2f}"
    return f"{switches}{times}{rates}{row.peak_bytes / 1e6:9,.0f}"
