"""The likeliest tokens of a row of logits, and their log-probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.copying import copy
from sg_core.kernels.cross_entropy import exponentials
from sg_core.kernels.jit import entry
from sg_core.kernels.simd import ZERO


@entry
def likeliest(ids: Any, logprobs: Any, logits: Any, room: Any) -> Any:
    """Fill ids (k,) int64 and logprobs (k,) float64 with the k highest logits (V,), ties by lowest id; k <= V.
    room (V,) float32 is used up.

    Returns log(sum(exp(logits))).
    """
    k = ids.shape[0]
    copy(room, ZERO, logits, ZERO, logits.shape[0])
    total = exponentials(room)
    count = 0
    least = np.float32(0.0)
    for i in range(logits.shape[0]):
        value = logits[i]
        if count == k and not value > least:
            continue
        place = min(count, k - 1)
        while place > 0 and value > logprobs[place - 1]:
            ids[place] = ids[place - 1]
            logprobs[place] = logprobs[place - 1]
            place -= 1
        ids[place] = i
        logprobs[place] = value
        count = min(count + 1, k)
        least = np.float32(logprobs[count - 1])
    for place in range(k):
        logprobs[place] -= total
    return total
