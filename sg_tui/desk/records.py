"""The numbers behind what is seen, as rows for a file: each says of which `kind` it is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from sg_core.network.optimizations import TABLE
from sg_tui.desk.desk import Desk
from sg_tui.state.generation_state import GenerationState
from sg_tui.state.inside_state import changes_text

Record = dict[str, Any]


def records(desk: Desk, view: str) -> list[Record]:
    """Of the view of that name."""
    match view:
        case "write":
            return [*_speed(desk.generation), *_lines(desk.generation), *_tokens(desk)]
        case "train":
            return list(_losses(desk))
        case "bench":
            races = desk.race.records() if desk.race.standings.laps else []
            rows = [{"kind": "row", **row} for row in desk.bench.records()]
            return [*rows, *({"kind": "race", **row} for row in races)]
    return []


def _speed(state: GenerationState) -> Iterator[Record]:
    """ms a token, its operations, what the switches are worth."""
    figure, setting = state.speed.figure, state.speed.setting
    if figure is None or setting is None:
        return
    yield {
        "kind": "ms_per_token", "setting": setting.name, "statistic": figure.statistic, "n": figure.n, "ms": figure.ms,
        "low": figure.low, "high": figure.high, "wall_ms": state.speed.wall_ms, "app_share": state.speed.tax,
        "busy": state.speed.busy, "compiling": state.speed.compiling,
        "bound_ms": state.reads.bound_ms if state.reads else None,
        "bytes_read": state.reads.bytes_per_token if state.reads else None,
    }  # fmt: skip
    for name, ms in state.speed.operations.items():
        yield {"kind": "operation", "name": name, "ms": ms, "n": figure.n}
    for one in TABLE:
        effect = state.effects.of(state.optimizations, one.name)
        if effect is not None:
            yield {
                "kind": "switch", "name": one.name, "on_ms": effect.one, "off_ms": effect.other, "times": effect.times,
                "low": effect.low, "high": effect.high, "n": effect.n, "position": effect.position,
                "busy": effect.unsure,
            }  # fmt: skip


def _lines(state: GenerationState) -> Iterator[Record]:
    """ms a token against position, and where a setting was flipped."""
    for setting, line in state.lines.items():
        for position in sorted(line):
            yield {"kind": "position", "setting": setting.name, "position": position, "ms": line[position]}
    for flip in state.flips:
        yield {"kind": "flip", "setting": flip.after.name, "position": flip.position}


def _tokens(desk: Desk) -> Iterator[Record]:
    """The pieces of the text with what their tokens tell, then the model's scores of the text."""
    pieces, tint = desk.writing.manuscript.pieces, desk.tint
    for number, piece in enumerate(pieces):
        token = piece.token
        told: Record = {} if token is None else {"id": token.id, "logprob": token.logprob, "ms": token.ms}
        if piece.changes:
            told["changes"] = changes_text(piece.changes, len(piece.changes))
        yield {"kind": "piece", "number": number, "text": piece.text, "author": piece.author, **told}
    text, scored = desk.writing.manuscript.text, tint.scored
    if scored is None or tint.known(text) < len(text):
        return
    ends = [*scored.starts[1:], len(text)]
    for number, (start, end) in enumerate(zip(scored.starts, ends, strict=True)):
        logprob, entropy = _finite(scored.logprobs[number]), _finite(scored.entropies[number])
        surprise = {"rank": scored.ranks[number] or None, "logprob": logprob, "entropy": entropy}
        yield {"kind": "score", "number": number, "text": text[start:end], "start": start, **surprise}
    yield {"kind": "scores", "n": len(ends) - 1, "perplexity": _finite(scored.perplexity)}


def _losses(desk: Desk) -> Iterator[Record]:
    """The curves of the present run."""
    run = desk.training.run
    if run is None:
        return
    curve = run.curve
    for step, loss, seconds in zip(curve.steps, curve.losses, curve.seconds, strict=True):
        yield {"kind": "step", "step": int(step), "loss": _finite(loss), "seconds": seconds}
    for one in run.evaluations:
        yield {"kind": "evaluation", "step": one.step, "loss": _finite(one.val_loss)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
