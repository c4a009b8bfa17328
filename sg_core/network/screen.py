"""The unembedding with a quarter of the bytes: an int8 copy tells which tokens can't be the likeliest one.

A token's score differs from that of its row in int8 by no more than its slack times the length of the vector both
were multiplied with. Whoever can still be the likeliest is computed from the weights themselves, with the bits that
the whole product gives: the token chosen, and its logit, are the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sg_core.config import GPT2Config
from sg_core.errors import SettingError
from sg_core.kernels.products import PANEL_SIZE
from sg_core.kernels.screen import chosen_forward, screen_forward
from sg_core.memory import aligned, require_memory
from sg_core.network.block import UNEMBEDDING_TIME
from sg_core.network.forward import Pass
from sg_core.network.parameters import PIECE, head_name
from sg_core.network.precisions import Precision
from sg_core.network.weights import Weights
from sg_core.types import Bytes, FloatArray

_LEAST = 1 << 24  # bytes of an unembedding from which on reading it is what takes the time
_MOST = 16  # a part of the vocabulary: where more can be the likeliest, all are computed
_VAIN = 8  # times all were, more than the times they were not, after which nothing is hoped for
_ROUNDING = 2.0**-24  # of a float32 operation, relative
_UNDERFLOW = 2.0**-120  # far above what the sums can lose to numbers too small for float32
_OVERFLOW = 1e30  # bounds below this are of sums far below the largest float32


@dataclass(frozen=True, slots=True)
class HeadScreen:
    """An unembedding (V, C) in int8: words, from number `place` on, and scales, one for `share` numbers.

    slack (V,) float64: how far a score can be from that in int8, for a vector of length 1: what rounding to int8
    changes (Cauchy and Schwarz), and what both sums round, each at most (C + 8)·2⁻²⁴ of the product of the lengths
    (Higham 2002, 3.1: in any order, with fused operations or not). nbytes: held for it beside other weights.
    """

    words: Bytes
    place: int
    scales: FloatArray
    share: int
    slack: npt.NDArray[np.float64]
    nbytes: int


def head_screen(config: GPT2Config, weights: Weights, int8: Weights | None = None) -> HeadScreen:
    """The screen of the unembedding of some weights without scales. int8: the same ones, where they are there already.

    Raises SettingError where there is no memory for it.
    """
    V, C = config.vocab_size, config.n_embd
    storage, name = Precision.named("int8"), head_name(config)
    share, held = (storage.group_size(C), V * C) if int8 is None else (int8.share, 0)
    if int8 is None:
        require_memory(held, "the int8 copy of the unembedding", SettingError)
        words, place, scales = np.empty(V * C, np.int8).view(np.uint8), 0, np.zeros(V * C // share, np.float32)
    else:
        words, place, scales = int8.words, int(int8.head), int8.scales  # type: ignore[assignment]  # bytes
    slack = np.empty(V)
    rounding = 1.01 * (C + 8) * _ROUNDING
    step = max(1, PIECE // C)
    for first in range(0, V, step):
        rows = weights.rows(name, first, min(step, V - first))
        start, count = place + first * C, rows.size
        some = scales[start // share : (start + count) // share]
        if int8 is None:
            storage.store(words, some, start, rows.reshape(-1))
        levels = words.view(np.int8)[start : start + count].reshape(-1, share)
        worth = (levels * some[:, None].astype(np.float64)).reshape(rows.shape)
        norms = np.linalg.norm(rows.astype(np.float64), axis=1) + np.linalg.norm(worth, axis=1)
        slack[first : first + len(rows)] = np.linalg.norm(worth - rows, axis=1) + rounding * norms
    slack = (slack + _UNDERFLOW) * (1.0 + 1e-9)  # float64 rounds too
    return HeadScreen(words, place, scales, share, slack, held + scales.nbytes * (int8 is None) + slack.nbytes)


class Screen:
    """Finds the likeliest of the tokens that are allowed, (V,) bool; for one text. made: the screen of some weights.

    computed: how many were, of how many tokens in all.
    """

    def __init__(self, made: Callable[[Weights], HeadScreen], allowed: npt.NDArray[np.bool_]) -> None:
        self.computed = self.asked = 0
        self._made, self._allowed = made, allowed
        self._forbidden = np.flatnonzero(~allowed)
        self._vain = 0
        self._held: tuple[Weights, HeadScreen] | None = None
        self._panels = aligned(1, PANEL_SIZE)

    def fits(self, weights: Weights) -> bool:
        """Whether fewer bytes are read through it than without."""
        if weights.storage.scaled or self._vain > _VAIN or weights.head_bytes < _LEAST:
            return False
        if self._held is None or self._held[0] is not weights:
            self._held = (weights, self._made(weights))
        return True

    def fill(self, logits: FloatArray, final: FloatArray, after: Pass) -> None:
        """logits (M, V) of final (M, C): those of tokens that can be the likeliest; of all others -inf.

        after: the pass that gave `final`, to whose times it is added.
        """
        assert self._held is not None
        screen, weights, team, began = self._held[1], after.weights, after.team, time.perf_counter_ns()
        if len(self._panels) < team.threads:
            self._panels = aligned(team.threads, PANEL_SIZE)
        team.run(
            screen_forward, logits, final, screen.words, screen.place, screen.scales, screen.share, self._panels
        )  # fmt: skip
        for scores, row in zip(logits, np.split(final, len(final)), strict=True):
            chosen = self._candidates(scores, row, screen.slack)
            exact = np.empty((len(chosen), 1), np.float32)
            team.run(
                chosen_forward, exact, chosen, row, weights.words, weights.head, weights.stored, weights.scales,
                weights.share, self._panels,
            )  # fmt: skip
            scores.fill(-np.inf)
            scores[chosen] = exact[:, 0]
            self.computed += len(chosen)
            self.asked += len(scores)
        after.times[UNEMBEDDING_TIME] += time.perf_counter_ns() - began

    def _candidates(
        self, scores: FloatArray, row: FloatArray, slack: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int64]:  # fmt: skip
        """Tokens that can be the likeliest, by scores (V,) in int8 of a row (1, C)."""
        bound = slack * float(np.linalg.norm(row.astype(np.float64))) + _UNDERFLOW
        scores[self._forbidden] = -np.inf
        if bound.max() < _OVERFLOW:  # false for NaN too
            least = (scores - bound).max()
            chosen = np.flatnonzero(scores + bound >= least)
            if len(chosen) <= len(scores) // _MOST:
                self._vain = max(0, self._vain - 1)
                return chosen
        self._vain += 1
        return np.flatnonzero(self._allowed)
