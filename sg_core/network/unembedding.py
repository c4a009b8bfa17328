"""Rows of the residual stream, normed, as scores of every token: what is said of them, without keeping the logits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sg_core.kernels.products import PANEL_SIZE
from sg_core.kernels.team import Team
from sg_core.memory import aligned
from sg_core.network.scoring import RowScores, scores_forward
from sg_core.network.weights import Weights
from sg_core.types import FloatArray


def row_scores(
    final: FloatArray,
    targets: npt.NDArray[np.int32],
    weights: Weights,
    logits: FloatArray,
    team: Team,
    top: int,
    marks: FloatArray | None = None,
) -> RowScores:
    """What rows final (M, C) of the final norm say of targets (M,) int32. top: likeliest tokens told of each row.

    logits (R, V) is room for R rows at a time; marks: see `RowScores`.
    """
    found = RowScores.empty(len(final), top)
    team.run(
        scores_forward, *found, final, weights.words, weights.head, weights.stored, weights.scales, weights.share,
        aligned(team.threads, PANEL_SIZE), targets, aligned(0) if marks is None else marks, logits,
        aligned(team.threads, logits.shape[1]),
    )  # fmt: skip
    return found
