"""From logits to the next token."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sg_core.inference.sampling import Sampling
from sg_core.kernels.drawing import BINS, COLDEST, LANES, draw
from sg_core.types import FloatArray


class Room:
    """Memory for choosing among `size` tokens."""

    __slots__ = ("arrays",)

    def __init__(self, size: int) -> None:
        self.arrays = (
            np.empty((3, size), np.float32),
            np.empty((2, size), np.uint16),
            np.empty(size, np.int32),
            np.empty((2, BINS + 1, 2 * LANES), np.float64),
        )


def key(seed: int, place: int) -> int:
    """What decides a draw: 64 bits of the seed and the place in the text (SplitMix64, Steele et al. 2014)."""
    mask = (1 << 64) - 1
    z = (seed * 0xD1342543DE82EF95 + (place + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def penalized(logits: FloatArray, seen: npt.NDArray[np.int64], penalty: float) -> FloatArray:
    """A copy of logits (V,) where tokens already seen are less likely (Keskar et al. 2019, CTRL)."""
    result = logits.copy()
    values = result[seen]
    result[seen] = np.where(values > 0, values / penalty, values * penalty)
    return result


def filters(sampling: Sampling) -> tuple[float, int, float, float]:
    """Temperature, top-k, top-p and depth of min-p, as `kernels.drawing` wants them."""
    temperature = max(float(sampling.temperature), COLDEST)
    depth = -temperature * math.log(sampling.min_p) if sampling.min_p > 0.0 else math.inf
    return temperature, sampling.top_k, float(sampling.top_p), depth


def greedy(sampling: Sampling) -> bool:
    """Whether the likeliest token is taken, and nothing drawn."""
    return sampling.temperature == 0.0 or sampling.top_k == 1


def choose(
    logits: FloatArray, seen: npt.NDArray[np.int64], sampling: Sampling, place: int, room: Room | None = None
) -> int:
    """The id of the next token. logits (V,) finite or -inf, with at least one finite; seen: ids in the text so far;
    place: how many tokens it has; room: of at least V tokens, used again and again.

    Temperature, then top-k, top-p and min-p, each on what the one before left; the likeliest token always stays. What
    is left is drawn from by `kernels.drawing`, with the luck that `key` gives each id.
    """
    if sampling.repetition_penalty != 1.0 and len(seen):
        logits = penalized(logits, seen, sampling.repetition_penalty)
    if greedy(sampling):
        return int(np.argmax(logits))
    race = np.uint64(key(sampling.seed, place))
    room = Room(len(logits)) if room is None else room
    return int(draw(logits, *room.arrays, *filters(sampling), race))
