"""`sg-tui bench --ablate-each`: the heads and MLPs of a model, ranked by what a text loses without each."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from sg_core.files import shown
from sg_tui.commands.interrupt import Interrupt
from sg_tui.commands.output import DONE, Output
from sg_tui.commands.score import read_text
from sg_tui.figures import duration

if TYPE_CHECKING:
    from sg_core.gpt2 import GPT2
    from sg_core.measure.ablation import Ablation

_HEADER = "rank  muted       loss    change"


def run_ablations(args: argparse.Namespace, model: GPT2, precision: str, output: Output) -> int:
    """Mute each head and MLP in turn, then print them, the most missed one first; a stop prints what is known."""
    from sg_core.measure.ablation import ablate_each
    from sg_core.measure.compilation import warm_up_losses

    ids = model.require_tokenizer().encode(read_text(args.ablate_each))
    ids = ids if args.tokens is None else ids[: args.tokens + 1]
    warm_up_losses(output.compiling, model.storage(precision).kernels)
    began = time.perf_counter()

    def tell(done: int, total: int) -> None:
        left = duration((time.perf_counter() - began) / done * (total - done))
        output.progress(f"muting each head and MLP of {model.name}: pass", done, total, f"about {left} left")

    with Interrupt() as interrupt:
        rows = list(ablate_each(model, ids, precision, args.threads, tell, interrupt))
    wanted = model.config.n_layer * (model.config.n_head + 1)
    if rows and not args.json:
        first = rows[0]
        output.line(
            f"{model.name} on {first.tokens:,} tokens of {shown(args.ablate_each)}, loss {first.plain_loss:.4f}"
        )
        output.line(_HEADER)
    ranked = sorted(rows, key=lambda row: -row.change)
    for rank, row in enumerate(ranked, 1):
        if args.json:
            output.json({"model": model.name, "precision": precision, "rank": rank} | as_json(row))
        else:
            output.line(f"{rank:4}  {row.name:<7}{row.loss:10.4f}{row.change:+10.4f}")
    if len(rows) < wanted:
        output.note(f"stopped after {len(rows)} of {wanted}")
        raise KeyboardInterrupt
    return DONE


def as_json(row: Ablation) -> dict[str, Any]:
    """A row as --json prints it; losses: mean nats per token."""
    return {
        "layer": row.layer,
        "head": row.head,
        "part": "mlp" if row.head is None else "head",
        "loss": row.loss,
        "plain_loss": row.plain_loss,
        "change": row.change,
        "tokens": row.tokens,
    }
