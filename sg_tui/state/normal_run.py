"""What is normal for a new run on tinyshakespeare: how the shipped model learned, after as many tokens. Plain data."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sg_core import paths
from sg_core.training.settings import NEW_MODEL
from sg_tui.state.training_run import Run

LATEST = 21  # losses of which the middle one is held against the band

Floats = NDArray[np.float64]


class NormalRun:
    """The shipped run in the terms of another one.

    Places are steps after which that run has seen as many tokens; losses are nats per token of its vocabulary, which
    cuts the same text into more or fewer of them.
    """

    def __init__(self, run: Run) -> None:
        shipped = _shipped()
        pace, facts = shipped["tokens_per_step"] / run.tokens_per_step, run.facts
        band, found = np.array(shipped["band"], np.float64), np.array(shipped["validations"], np.float64)
        each = shipped["train_tokens"] / facts.train_tokens
        self.steps: Floats = band[:, 0] * pace
        self.low: Floats = band[:, 1] * each
        self.high: Floats = band[:, 2] * each
        self.validation_steps: Floats = found[:, 0] * pace
        self.validations: Floats = found[:, 1] * shipped["validation_tokens"] / facts.validation_tokens

    def at(self, step: float) -> tuple[float, float]:
        """Between which losses nine of ten steps lie about this one, NaN beyond the ends of the band."""
        low, high = (np.interp(step, self.steps, edge, math.nan, math.nan) for edge in (self.low, self.high))
        return float(low), float(high)

    def verdict(self, run: Run) -> str:
        """Whether the middle one of the run's latest losses lies above, within or below the band; empty beyond it."""
        curve = run.curve
        if len(curve) < LATEST:
            return ""
        loss = float(np.nanmedian(curve.losses[-LATEST:]))
        low, high = self.at(curve.steps[-1 - LATEST // 2])
        if not (math.isfinite(low) and math.isfinite(loss)):
            return ""
        return "above" if loss > high else "below" if loss < low else "within"


def normal_run(run: Run) -> NormalRun | None:
    """What the run may be held against; None for one that is not new, on another text, or with other parts of it."""
    facts = run.facts
    if facts.data != _shipped()["data"] or facts.model != NEW_MODEL or facts.training.hold_out:
        return None
    return NormalRun(run)


@cache
def _shipped() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((paths.assets_dir() / "tinyshakespeare" / "curve.json").read_text("ascii"))
    return found
