"""What a scripted engine tells of the inside of a token: figures from its place alone."""

from __future__ import annotations

import re

import numpy as np

from sg_core.config import GPT2Config
from sg_core.engine.commands import Look, MeasureHeads, Scale
from sg_core.engine.events import HeadsMeasured, Looked
from sg_core.inference.attribution import Attribution
from sg_core.inference.heads import HeadShares
from sg_core.inference.inside import Inside
from sg_core.inference.lens import Lens, LensRow
from sg_core.inference.token import Token


def looked(
    config: GPT2Config, request: int, texts: list[str], token: Token, rival: int | None, scales: tuple[Scale, ...],
    live: bool = False,
) -> Looked:  # fmt: skip
    """Heads of layer l look at the (l + 1)-th token before most of all; in the last two rows the token leads."""
    L, NH, T = config.n_layer, config.n_head, len(texts)
    patterns = np.full((L, NH, T), 0.2 / max(1, T), np.float32)
    for layer in range(L):
        patterns[layer, :, max(0, T - 1 - layer)] += 0.8
    rows = [LensRow(7, 0.3, 8, 0.2, 0.01, 200 - row) for row in range(L - 1)]
    rows += [LensRow(token.id, 0.4, 8, 0.2, 0.4, 1), LensRow(token.id, 0.9, 8, 0.05, 0.9, 1)]
    other = next(id for id, _ in token.top if id != token.id) if rival is None else rival
    heads, mlps = np.full((L, NH), 0.01), np.full(L, -0.02)
    heads[1, 2] = 1.5
    total = float(0.25 + 0.125 + heads.sum() + mlps.sum() - 0.5)
    why = Attribution(token.id, other, total, 0.25, 0.125, heads, mlps, -0.5)
    inside = Inside(T, tuple(range(T)), patterns, Lens(token.id, tuple(rows)), why)
    best = tuple(f" w{row.best}" for row in rows)
    return Looked(request, live, inside, tuple(texts), best, token.text, f" r{other}", scales, 1.25)


def texts_of(command: Look | MeasureHeads, known: dict[int, str]) -> list[str]:
    """The tokens of what is looked at, and the one that is chosen at the end."""
    return [*re.findall(r" ?\w+|\W", command.prompt), *(known.get(id, "?") for id in command.ids)]


def measured(config: GPT2Config, request: int, tokens: int) -> HeadsMeasured:
    """Head 1.0 looks at what repeats, head 0.3 at the first token, the others at nothing."""
    shares = np.full((config.n_layer, config.n_head, 4), 0.1, np.float32)
    shares[1, 0], shares[0, 3] = (0.04, 0.12, 0.03, 0.71), (0.1, 0.9, 0.0, 0.0)
    return HeadsMeasured(request, HeadShares(shares, tokens, tokens // 2), 3.5)
