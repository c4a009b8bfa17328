"""`sg-tui complete --n`: several continuations of one prompt, written at once."""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

from sg_core.inference.sampling import Sampling
from sg_tui.commands.interrupt import Interrupt
from sg_tui.commands.output import DONE, Output

if TYPE_CHECKING:
    from sg_core.inference.session import Session
    from sg_core.inference.token import Token


def as_json(token: Token) -> dict[str, Any]:
    """A token as --json prints it; top: the likeliest (id, logprob)."""
    return {
        "id": token.id,
        "text": token.text,
        "logprob": token.logprob,
        "top": token.top,
        "ms": token.ms,
        "op_ms": token.op_ms,
    }


def complete_many(
    args: argparse.Namespace, session: Session, prompt: str, sampling: Sampling, output: Output, began: float
) -> int:
    """Print the continuations: with --json as they are written, else in their order once all are there.

    began: when all was loaded and compiled, seconds of time.perf_counter.
    """
    times: list[list[float]] = [[] for _ in range(args.n)]
    texts = [""] * args.n
    first_token_ms = 0.0
    with Interrupt() as interrupt:
        several = session.generate_many(
            prompt,
            args.n,
            args.max_tokens,
            sampling,
            args.stop,
            progress=lambda done, total: output.progress("reading the prompt", done, total),
            cancelled=interrupt,
            special=not args.plain,
        )
        for number, token in several:
            if not any(times):
                first_token_ms = (time.perf_counter() - began) * 1e3
            times[number].append(token.ms)
            texts[number] += token.text
            if args.json:
                output.json(as_json(token) | {"number": number})
            else:
                output.progress("writing: token", max(map(len, times)), args.max_tokens)
    rest = several.rest()
    for number, reason in enumerate(several.reasons):
        typical = statistics.median(times[number]) if times[number] else 0.0
        if args.json:
            output.json(
                {
                    "done": reason,
                    "tokens": len(times[number]),
                    "ms_per_token": typical,
                    "first_token_ms": first_token_ms,
                    "prefill_ms": several.prefill_ms,
                    "number": number,
                    **({"rest": rest[number]} if rest[number] else {}),
                }
            )
        else:
            output.line(texts[number] + rest[number])
            output.note(f"{number}: {len(times[number])} tokens, {typical:.3g} ms a pass (median), ended by {reason}")
    return interrupt.end(output, "sg-tui complete") if several.finish_reason == "stopped" else DONE
