"""The likeliest tokens of a row of logits, and their log-probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.copying import copy
from sg_core.kernels.cross_entropy import exponentials
from sg_core.kernels.jit import entry, kernel
from sg_core.kernels.simd import ZERO, largest

_BLOCK = 256  # logits passed over at once where none of them is among the highest


@kernel
def select(ids: Any, values: Any, logits: Any) -> None:
    """Fill ids (k,) int64 and values (k,) float64 with the k highest logits (V,), ties by lowest id; k <= V."""
    k = ids.shape[0]
    count = 0
    least = np.float32(0.0)
    for start in range(0, logits.shape[0], _BLOCK):
        stop = min(start + _BLOCK, logits.shape[0])
        if count == k and not largest(logits, start, stop - start) > least:
            continue
        for i in range(start, stop):
            value = logits[i]
            if count == k and not value > least:
                continue
            place = min(count, k - 1)
            while place > 0 and value > values[place - 1]:
                ids[place] = ids[place - 1]
                values[place] = values[place - 1]
                place -= 1
            ids[place] = i
            values[place] = value
            count = min(count + 1, k)
            least = np.float32(values[count - 1])


@kernel
def ranked(ids: Any, logprobs: Any, logits: Any, room: Any) -> Any:
    """Fill ids (k,) int64 and logprobs (k,) float64 with the k highest logits (V,), ties by lowest id; k <= V.
    room (V,) float32 is used up.

    Returns log(sum(exp(logits))).
    """
    copy(room, ZERO, logits, ZERO, logits.shape[0])
    total = exponentials(room)
    select(ids, logprobs, logits)
    for place in range(ids.shape[0]):
        logprobs[place] -= total
    return total


@entry
def likeliest(ids: Any, logprobs: Any, logits: Any, room: Any) -> Any:
    """As `ranked`, for Python."""
    return ranked(ids, logprobs, logits, room)
