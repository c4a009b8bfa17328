"""The logit lens (nostalgebraist 2020): what each layer would say, if it were the last.

The final norm is applied to the residual stream after a layer as it stands, then the unembedding, as TransformerLens
does. Row 0 is the stream before the first block, row l + 1 that after block l; the last row is what the model says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sg_core.kernels.team import Team
from sg_core.memory import aligned
from sg_core.network.model import Model
from sg_core.network.unembedding import row_scores
from sg_core.network.weights import Weights
from sg_core.types import FloatArray

LENS_NAMES = ("blocks.0.hook_resid_pre", "blocks.*.hook_resid_post")  # the probes that it needs
_ROWS = 8  # whose logits are made at once


@dataclass(frozen=True, slots=True)
class LensRow:
    """One layer. best: the likeliest token, second: the next one; p: their probabilities.

    token_p, rank: those of the token that came, 1 for the likeliest.
    """

    best: int
    p: float
    second: int
    second_p: float
    token_p: float
    rank: int


@dataclass(frozen=True, slots=True)
class Lens:
    """What L + 1 rows of the residual stream at one position say of the token that came."""

    token: int
    rows: tuple[LensRow, ...]

    @property
    def lead(self) -> int | None:
        """The row at which the token took the lead, to be the likeliest from there to the end; None if it is not."""
        led = None
        for number in reversed(range(len(self.rows))):
            if self.rows[number].rank > 1:
                break
            led = number
        return led


def logit_lens(model: Model, seen: Mapping[str, FloatArray], token: int, weights: Weights, team: Team) -> Lens:
    """The lens of one position. seen: what the probes of `LENS_NAMES` saw there, (C,) each; token: what came next."""
    config = model.config
    names = ["blocks.0.hook_resid_pre", *(f"blocks.{layer}.hook_resid_post" for layer in range(config.n_layer))]
    final = final_norm(model, np.stack([seen[name] for name in names]))
    targets = np.full(len(final), token, np.int32)
    logits = aligned(min(_ROWS, len(final)), config.vocab_size)
    found = row_scores(final, targets, weights, logits, team, min(2, config.vocab_size))
    best, logprobs = found.top_ids, np.exp(found.top_logprobs)
    rows = zip(
        best[:, 0].tolist(), logprobs[:, 0].tolist(), best[:, -1].tolist(), logprobs[:, -1].tolist(),
        np.exp(found.logprobs).tolist(), found.ranks.tolist(), strict=True,
    )  # fmt: skip
    return Lens(token, tuple(LensRow(*row) for row in rows))


def final_norm(model: Model, stream: FloatArray) -> FloatArray:
    """(M, C) rows of the residual stream after the final layer norm."""
    gain, bias = model.parameters.view("ln_f.weight"), model.parameters.view("ln_f.bias")
    centred = stream - stream.mean(-1, keepdims=True)
    scale = np.sqrt(np.square(centred).mean(-1, keepdims=True) + np.float32(model.config.layer_norm_epsilon))
    normed: FloatArray = np.ascontiguousarray(centred / scale * gain + bias, np.float32)
    return normed
