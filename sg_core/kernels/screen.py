"""Scores of a vocabulary by weights in 8 bits, and those of a few tokens by the weights themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.jit import entry
from sg_core.kernels.linear import linear_forward
from sg_core.kernels.products import dots_int8
from sg_core.kernels.simd import ONE, ZERO
from sg_core.kernels.team import barrier, share_start


@entry
def screen_forward(
    thread: int, threads: int, cells: Any, scores: Any, final: Any, words: Any, place: int, scales: Any, share: int,
    panels: Any,
) -> None:  # fmt: skip
    """scores (M, V) = final (M, C)·headᵀ, the head in int8 from number `place` on; see `linear.linear_forward`."""
    M, V = scores.shape
    n0, n1 = share_start(V, thread, threads), share_start(V, thread + 1, threads)
    scores[:, n0:n1] = np.float32(0.0)
    dots_int8(scores, final, words, place, scales, share, panels[thread], ZERO, M, n0, n1)
    barrier(cells, threads)


@entry
def chosen_forward(
    thread: int, threads: int, cells: Any, logits: Any, chosen: Any, final: Any, words: Any, place: int, stored: int,
    scales: Any, share: int, panels: Any,
) -> None:  # fmt: skip
    """logits (n, 1) of tokens `chosen` (n,) after final (1, C), with the bits that the whole product gives them."""
    n, C = chosen.shape[0], final.shape[1]
    none = final.reshape(-1)[0:0]
    for i in range(share_start(n, thread, threads), share_start(n, thread + 1, threads)):
        linear_forward(
            logits[i : i + 1], final, words, place + chosen[i] * C, stored, scales, share, panels[thread], none,
            ZERO, ONE, ZERO, ONE,
        )  # fmt: skip
    barrier(cells, threads)
