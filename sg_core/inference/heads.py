"""What heads measurably do on a text: shares of their attention weight, and nothing read into them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sg_core.types import FloatArray

KINDS = ("previous", "first", "itself", "repeats")
NAMED_FROM = 0.4  # the mean share of a head's weight from which it is called by it


@dataclass(frozen=True, slots=True, eq=False)
class HeadShares:
    """Mean shares of attention weight, (L, NH, 4): on the previous token, on the first one, on the token itself, and on
    what followed an earlier equal token.

    positions: how many queries the first three are a mean of; repeats: of these, how many stood there before, of which
    the last one is.
    """

    shares: FloatArray
    positions: int
    repeats: int

    def kind(self, layer: int, head: int) -> str:
        """What a head is called, one of KINDS; "" where no share is high."""
        shares: list[float] = self.shares[layer, head].tolist()
        highest = max(shares)
        return KINDS[shares.index(highest)] if highest >= NAMED_FROM else ""


def head_shares(patterns: Iterable[FloatArray], ids: Sequence[int], first: int) -> HeadShares:
    """patterns: for each layer (NH, n, T), of queries at positions first:T of ids (T,).

    The first two positions of a text tell nothing: there the previous token, the first one and the token itself are
    one. A repeat is an earlier equal token with at least one token between what followed it and the query.
    """
    T = len(ids)
    begin = max(2, first)
    queries, numbers = np.arange(begin, T), np.asarray(ids)
    on = np.zeros((len(KINDS), len(queries), T), np.float32)
    places = np.arange(len(queries))
    on[0, places, queries - 1] = on[1, places, 0] = on[2, places, queries] = 1.0
    equal = numbers[queries, None] == numbers[None, : T - 1]  # (n, T-1): key j stood there before
    on[3, :, 1:] = equal & (np.arange(T - 1)[None, :] + 1 < queries[:, None])
    repeats = int(on[3].any(axis=1).sum())
    counts = np.array([len(queries)] * 3 + [repeats], np.float32)
    shares = [np.einsum("hqk,sqk->hs", pattern[:, begin - first :], on) / np.maximum(1, counts) for pattern in patterns]
    return HeadShares(np.stack(shares).astype(np.float32), len(queries), repeats)
