"""A token drawn from logits without sorting them: bins by likelihood, and order only in the bins that matter.

Tokens stand in an order: likeliest first, ties by lowest id. Top-k, top-p and min-p each keep a beginning of it.
`_beginning` finds its end: it passes over whole bins, opens the one in which the end lies, and spreads its members over
bins again, until few are left, or only equal ones.

What is kept runs a race: each token arrives after a time of its own, exponentially distributed, at a rate of its
weight, and the first one is drawn (the Gumbel-max trick). A token's luck depends on the draw's key and its id alone, so
two rows of logits that are nearly alike draw the same token nearly always: a draft from reduced weights comes true.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.elementary import exp
from sg_core.kernels.jit import entry, kernel
from sg_core.kernels.simd import ONE, ZERO, apart, largest

BINS = 1024
LANES = 4  # neighbours add to different numbers: in one that many share, each would wait for the one before
FEW = 32  # so many are put in order directly
COLDEST = 1e-6  # a temperature below counts as this
# Tokens less likely than e^-52 times the likeliest are left out: 4 million of them together weigh less than 2^-53.
_DEEPEST = np.float32(52.0)
_ALL_ALIKE = np.float32(1e-30)  # logits closer than this weigh the same at any temperature
_BEYOND = np.float32(BINS)
_LAST = np.float32(BINS - 0.5)
_ZERO = np.float32(0.0)
_BLOCK = 256  # tokens passed over at once where none of them is kept
_GOLDEN, _MIX, _MIX_AGAIN = (  # of SplitMix64 (Steele et al. 2014), whose stream from the key is read at the id
    np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
)  # fmt: skip
_STEP = 2.0**-53
_BELOW = 1.0 - 2.0**-53  # times this, a number becomes the next lower one: what stays has less before it, not as much


@kernel
def _spread(places: Any, values: Any, count: int, deepest: Any) -> Any:
    """values (count,) float32 become their distances from the highest, places (count,) uint16 their bins by distance.

    A place is BINS where the distance is beyond deepest. Returns whether the values differ.
    """
    apart()
    highest = largest(values, ZERO, count)
    for j in range(count):
        values[j] = highest - values[j]
    reach = largest(values, ZERO, count)
    if reach > deepest:
        reach = deepest
    differ = reach > _ALL_ALIKE
    scale = _LAST / reach if differ else _ZERO
    for j in range(count):
        place = values[j] * scale
        places[j] = np.uint16(np.int32(place if place < _BEYOND else _BEYOND))
    return differ


@kernel
def _tally(table: Any, places: Any, weights: Any, count: int) -> None:
    """table (BINS + 1, 2 * LANES) float64: weight and number of the tokens in each bin, in its first two columns."""
    apart()
    for place in range(BINS + 1):
        for column in range(2 * LANES):
            table[place, column] = 0.0
    for j in range(count):
        column = 2 * (j % LANES)
        table[places[j], column] += weights[j]
        table[places[j], column + 1] += 1.0
    for place in range(BINS):
        for lane in range(1, LANES):
            table[place, 0] += table[place, 2 * lane]
            table[place, 1] += table[place, 2 * lane + 1]


@kernel
def _pass_bins(table: Any, before: float, taken: float, most: float, limit: float) -> Any:
    """The bin in which the beginning ends, and the weight and number of the tokens before it."""
    apart()
    last, last_before, last_taken = ZERO, before, taken
    for place in range(BINS):
        if table[place, 1] == 0.0:
            continue
        last, last_before, last_taken = place, before, taken
        before += table[place, 0]
        taken += table[place, 1]
        if before > most or taken >= limit:
            break
    return last, last_before, last_taken


@kernel
def _put_in_order(members: Any, count: int, logits: Any) -> None:
    for j in range(1, count):
        id = members[j]
        place = j
        while place > 0 and logits[members[place - 1]] < logits[id]:
            members[place] = members[place - 1]
            place -= 1
        members[place] = id


@kernel
def _beginning(
    logits: Any, floats: Any, places: Any, members: Any, tables: Any, most: float, limit: float
) -> tuple[float, float, int]:
    """Its weight, length and last id: a token is in it when fewer than `limit` tokens, and at most `most` of weight,
    are likelier. limit >= 1, most >= 0."""
    apart()
    values, weights, weights_inside = floats[0], floats[1], floats[2]
    outside, inside = places[0], places[1]
    place, before, taken = _pass_bins(tables[0], 0.0, 0.0, most, limit)
    count = ZERO
    for id in range(logits.shape[0]):
        members[count] = id
        count += outside[id] == place
    while count > FEW:
        for j in range(count):
            values[j] = logits[members[j]]
        if not _spread(inside, values, count, np.float32(np.inf)):
            weight = np.float64(weights[members[0]])
            length = np.floor((most - before) / weight) + 1.0
            length = min(min(length, limit - taken), np.float64(count))
            return before + length * weight, taken + length, members[np.int64(length) - ONE]
        for j in range(count):
            weights_inside[j] = weights[members[j]]
        _tally(tables[1], inside, weights_inside, count)
        place, before, taken = _pass_bins(tables[1], before, taken, most, limit)
        left = ZERO
        for j in range(count):
            members[left] = members[j]
            left += inside[j] == place
        count = left
    _put_in_order(members, count, logits)
    last = members[0]
    for j in range(count):
        if before > most or taken >= limit:
            break
        last = members[j]
        before += weights[last]
        taken += 1.0
    return before, taken, last


@kernel
def _number_from(logits: Any, depth: float) -> Any:
    """How many logits lie at most depth below the highest."""
    least = np.float64(largest(logits, ZERO, logits.shape[0])) - depth
    number = ZERO
    for id in range(logits.shape[0]):
        number += np.float64(logits[id]) >= least
    return np.float64(number)


@kernel
def _luck(key: Any, id: Any) -> Any:
    """A number in (0, 1), uniform, that depends on the key uint64 and the id alone."""
    z = key + _GOLDEN * np.uint64(id + ONE)
    z = (z ^ (z >> np.uint64(30))) * _MIX
    z = (z ^ (z >> np.uint64(27))) * _MIX_AGAIN
    z = z ^ (z >> np.uint64(31))
    return (np.float64(z >> np.uint64(12)) + 0.5) * (2.0 * _STEP)


@kernel
def _first_to_arrive(logits: Any, weights: Any, start: Any, least: Any, last: Any, key: Any) -> Any:
    """The first of the tokens above `least`, and of those equal to it up to the id `last`; `start` is one of them.

    A time of arrival is -log(1 - luck) / weight, at least luck / weight: only who may be first is asked for its log.
    """
    first = start
    best = -np.log1p(-_luck(key, start)) / np.float64(weights[start])
    for begin in range(ZERO, logits.shape[0], _BLOCK):
        stop = min(begin + _BLOCK, logits.shape[0])
        if largest(logits, begin, stop - begin) < least:
            continue
        for id in range(begin, stop):
            if logits[id] < least or (logits[id] == least and id > last):
                continue
            luck = _luck(key, id)
            weight = np.float64(weights[id])
            if luck < best * weight:
                arrival = -np.log1p(-luck) / weight
                if arrival < best or (arrival == best and id < first):
                    best, first = arrival, id
    return first


@kernel
def drawn(
    logits: Any, floats: Any, places: Any, members: Any, tables: Any,
    temperature: float, top_k: int, top_p: float, depth: float, key: Any,
) -> Any:  # fmt: skip
    """The id that wins the race `key` (uint64) among the candidates, each with the chance of its weight.

    logits (V,) float32, finite or -inf, at least one finite. temperature >= COLDEST divides them; then top-k (0: all),
    top-p (1: all) and min-p, which keeps logits at most `depth` below the highest (inf: all), each on what the one
    before left; the likeliest stays. Used up: floats (3, >= V) float32, places (2, >= V) uint16, members (>= V,) int32,
    tables (2, BINS + 1, 2 * LANES) float64.
    """
    size = logits.shape[0]
    values, weights = floats[0], floats[1]
    for id in range(size):
        values[id] = logits[id]
    _spread(places[0], values, size, _DEEPEST * np.float32(temperature))
    colder = np.float32(-1.0 / temperature)
    for id in range(size):
        weights[id] = exp(values[id] * colder)
    start: Any = ZERO
    last: Any = size
    while values[start] > _ZERO:
        start += ONE
    least = logits[start] - _DEEPEST * np.float32(temperature)
    if 0 < top_k < size or top_p < 1.0 or depth < np.inf:
        _tally(tables[0], places[0], weights, size)
        bin, total, limit = _pass_bins(tables[0], 0.0, 0.0, np.inf, np.inf)
        total += tables[0, bin, 0]
        limit += tables[0, bin, 1]
        if 0 < top_k < limit:
            total, limit, last = _beginning(logits, floats, places, members, tables, np.inf, np.float64(top_k))
            least = logits[last]
        if top_p < 1.0 or depth < np.inf:
            most = top_p * total * _BELOW if top_p < 1.0 else np.inf
            if depth < np.inf:
                limit = min(limit, _number_from(logits, depth))
            _, _, last = _beginning(logits, floats, places, members, tables, most, limit)
            least = logits[last]
    return _first_to_arrive(logits, weights, start, least, last, key)


@entry
def draw(
    logits: Any, floats: Any, places: Any, members: Any, tables: Any,
    temperature: float, top_k: int, top_p: float, depth: float, key: Any,
) -> Any:  # fmt: skip
    """As `drawn`, for Python."""
    return drawn(logits, floats, places, members, tables, temperature, top_k, top_p, depth, key)
