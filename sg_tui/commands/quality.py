"""`sg-tui bench --quality`: what each precision costs in perplexity."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from sg_core.network.precisions import PRECISIONS, Precision
from sg_tui.commands.interrupt import Interrupt
from sg_tui.commands.output import DONE, Output
from sg_tui.figures import duration

if TYPE_CHECKING:
    from sg_core.gpt2 import GPT2
    from sg_core.measure.quality import Quality

_HEADER = "precision  perplexity  to f32      KL, nats/token  nats/char"


def run_quality(args: argparse.Namespace, model: GPT2, precisions: list[str], output: Output) -> int:
    """Measure the precisions, all when none is named, and print a row for each."""
    from sg_core.measure.compilation import warm_up
    from sg_core.measure.quality import measure_quality, validation_text

    precisions = precisions or list(PRECISIONS)
    for precision in precisions:
        Precision.named(precision)  # said before a text is fetched or read
    with Interrupt() as interrupt:
        text = validation_text(model, args.data, args.tokens, output.progress, interrupt)
        for precision in dict.fromkeys([PRECISIONS[0], *precisions]):
            kernels = model.storage(precision).kernels
            warm_up(progress=output.compiling, precision=kernels, adapters=bool(model.adapters))
        began = time.perf_counter()

        def tell(done: int, total: int) -> None:
            left = duration((time.perf_counter() - began) / done * (total - done))
            output.progress(f"measuring {', '.join(precisions)}: token", done, total, f"about {left} left")

        rows = measure_quality(model, precisions, text, args.threads, tell, interrupt)
    if rows is None:
        raise KeyboardInterrupt
    if not args.json:
        what = f"{text.tokens:,} tokens, {text.characters:,} characters of the last tenth of {args.data}"
        output.line(f"{model.name} on {what}, in windows of {model.config.n_ctx}")
        output.line(_HEADER)
    for row in rows:
        if args.json:
            output.json(as_json(model.name, row))
        else:
            output.line(as_line(row))
    return DONE


def as_json(model: str, row: Quality) -> dict[str, Any]:
    """A row as --json prints it. kl: mean nats per token, of f32 to this precision."""
    return {
        "model": model,
        "precision": row.precision,
        "perplexity": row.perplexity,
        "perplexity_ratio": row.perplexity_ratio,
        "kl": row.kl,
        "nats_per_char": row.nats_per_char,
        "tokens": row.tokens,
    }


def as_line(row: Quality) -> str:
    """A row under _HEADER."""
    more = 100 * (row.perplexity_ratio - 1)
    return f"{row.precision:<9}{row.perplexity:12.4f}{more:+8.3f}%{row.kl:20.3g}{row.nats_per_char:11.5f}"
