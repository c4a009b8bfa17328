"""From logits to the next token."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sg_core.parameters import FloatArray
from sg_core.sampling import Sampling


def uniform(seed: int, place: int) -> float:
    """A number in [0, 1) that depends on the seed and the place in the text alone (SplitMix64, Steele et al. 2014)."""
    mask = (1 << 64) - 1
    z = (seed * 0xD1342543DE82EF95 + (place + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return float(((z ^ (z >> 31)) >> 11) / (1 << 53))


def penalized(logits: FloatArray, seen: npt.NDArray[np.int64], penalty: float) -> FloatArray:
    """A copy of logits (V,) where tokens already seen are less likely (Keskar et al. 2019, CTRL)."""
    result = logits.copy()
    values = result[seen]
    result[seen] = np.where(values > 0, values / penalty, values * penalty)
    return result


def candidates(logits: FloatArray, sampling: Sampling) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Ids that may follow, likeliest first (ties: lowest id first), and their probabilities, which sum to 1.

    logits (V,) finite or -inf, with at least one finite. temperature, then top-k, top-p and min-p, each on what the one
    before left; the likeliest token always stays. temperature must not be 0.
    """
    peak = float(logits.max())
    weights = np.exp((logits.astype(np.float64) - peak) / max(sampling.temperature, 1e-6))
    total = float(weights.sum())
    # a token below this share of the whole can't be in the nucleus: all such tokens together weigh less than 1 - top_p
    floor = max((1.0 - sampling.top_p) * total / len(weights), sampling.min_p)
    ids = np.flatnonzero(weights >= min(floor, 1.0))
    if 0 < sampling.top_k < len(ids):
        ids = ids[np.argpartition(-weights[ids], sampling.top_k - 1)]
        least = weights[ids[sampling.top_k - 1]]
        ids = np.flatnonzero(weights >= least)
    ids = ids[np.argsort(-weights[ids], kind="stable")]
    if sampling.top_k:
        ids = ids[: sampling.top_k]
        total = float(weights[ids].sum())
    kept = weights[ids]
    if sampling.top_p < 1.0:
        before = np.cumsum(kept) - kept  # weight of everything likelier
        ids, kept = (
            ids[before < max(sampling.top_p * total, 1e-300)],
            kept[before < max(sampling.top_p * total, 1e-300)],
        )
    if sampling.min_p > 0.0:
        ids, kept = ids[kept >= sampling.min_p], kept[kept >= sampling.min_p]
    return ids, kept / kept.sum()


def choose(logits: FloatArray, seen: npt.NDArray[np.int64], sampling: Sampling, place: int) -> int:
    """The id of the next token. logits (V,); seen: ids in the text so far; place: how many tokens it has."""
    if sampling.repetition_penalty != 1.0 and len(seen):
        logits = penalized(logits, seen, sampling.repetition_penalty)
    if sampling.temperature == 0.0 or sampling.top_k == 1:
        return int(np.argmax(logits))
    ids, probabilities = candidates(logits, sampling)
    index = int(np.searchsorted(np.cumsum(probabilities), uniform(sampling.seed, place), side="right"))
    return int(ids[min(index, len(ids) - 1)])
