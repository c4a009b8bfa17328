"""The KV cache: keys and values of the positions computed so far, of one text or of several side by side.

Texts that begin alike share what they have in common: a cache holds its own positions in arrays of its own, and those
before them in spans of the arrays of others, which nobody writes any more. Whoever would, copies first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from sg_core.config import GPT2Config
from sg_core.kernels.copying import row_stride
from sg_core.kernels.shared_attention import SPAN_FIELDS
from sg_core.memory import aligned
from sg_core.network.precisions import Precision

_LEAST = 64  # positions that a cache has room for
_LEAST_OWN = 32  # those of a cache that shares others
_STEP = 16  # shared positions end at a multiple of this: whole vectors and cache lines
_SHORTEST = 32  # positions of a span: fewer are copied
_MOST_SPANS = 8
_KINDS = {32: np.float32, 16: np.uint16, 8: np.int8}


def _stride(storage: Precision, positions: int) -> int:
    """So many positions and a few more, whose numbers fill whole cache lines; see `row_stride`."""
    some = 32 // storage.bits  # numbers in the room of a float32
    return row_stride(-(-positions // some)) * some


class _Arrays:
    """keys (count, L*NH, hs, capacity) and values (count, L*NH, capacity, hs) of positions from `first` on.

    Where they are scaled, key_scales and value_scales (count, L*NH, capacity) float32; else these have no heads.
    """

    def __init__(self, config: GPT2Config, storage: Precision, count: int, first: int, capacity: int) -> None:
        heads, size = config.n_layer * config.n_head, config.head_size
        self.first, self.capacity = first, capacity
        self.keys = _numbers(storage, count, heads, size, capacity)
        self.values = _numbers(storage, count, heads, capacity, size)
        scaled = (count, heads if storage.scaled else 0, capacity)
        self.key_scales, self.value_scales = aligned(*scaled), aligned(*scaled)
        self.lent: WeakSet[_Span] = WeakSet()

    def copy(self, other: _Arrays, place: int, start: int, stop: int) -> None:
        """Take positions start:stop of a text of another into every text."""
        own, theirs = slice(start - self.first, stop - self.first), slice(start - other.first, stop - other.first)
        self.keys[..., own] = other.keys[place, :, :, theirs]
        self.values[:, :, own] = other.values[place, :, theirs]
        self.key_scales[..., own] = other.key_scales[place, :, theirs]
        self.value_scales[..., own] = other.value_scales[place, :, theirs]

    def all(self) -> tuple[npt.NDArray[Any], ...]:
        """Every one of them, its first index the text's."""
        return self.keys, self.values, self.key_scales, self.value_scales


def _numbers(storage: Precision, *shape: int) -> npt.NDArray[Any]:
    """Room for numbers: float32, bits of bfloat16, or int8."""
    size = math.prod(shape)
    room = aligned(-(-size * storage.bits // 32)).view(_KINDS[storage.bits])
    return room[:size].reshape(shape)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class _Span:
    """Positions start:stop of the text at a place of some arrays."""

    arrays: _Arrays
    place: int
    start: int
    stop: int
    of: _Span | None = None  # the one it is a part of, which stays lent as long

    def until(self, limit: int) -> _Span:
        """As far as `limit`."""
        return self if self.stop <= limit else _Span(self.arrays, self.place, self.start, limit, self)

    def row(self) -> tuple[int, ...]:
        """As kernels read it: see `kernels.shared_attention`."""
        arrays, place = self.arrays, self.place
        return self.stop, arrays.first, arrays.capacity, *(array[place].ctypes.data for array in arrays.all())


class KVCache:
    """Room for `positions` positions of `count` texts, `capacity` of them their own.

    storage: how numbers are stored (see `Precision.cached`). keys: flat (count, L, NH, hs, capacity); values: flat
    (count, L, NH, capacity, hs). A key's dimensions lie `capacity` apart, so that the scores of neighbouring positions
    are one vector. spans (S, 7) int64: where the positions before them lie, which all the texts share.
    """

    def __init__(
        self, config: GPT2Config, storage: Precision, capacity: int, count: int = 1, shared: tuple[_Span, ...] = ()
    ) -> None:
        self.storage = storage
        self.capacity = capacity = _stride(storage, capacity) if capacity else 0
        self.count = count
        self.shared = shared
        self.first = shared[-1].stop if shared else 0
        self.positions = self.first + capacity
        rows = [span.row() for span in shared]
        self.spans: npt.NDArray[np.int64] = np.array(rows, np.int64).reshape(-1, SPAN_FIELDS)
        self._config = config
        self._own = _Arrays(config, storage, count, self.first, capacity)
        self.keys: npt.NDArray[Any] = self._own.keys.reshape(-1)
        self.values: npt.NDArray[Any] = self._own.values.reshape(-1)

    @staticmethod
    def bytes_of(config: GPT2Config, storage: Precision) -> int:
        """Memory of a full context."""
        position = config.n_layer * (config.n_embd * storage.bits // 8 + (4 * config.n_head if storage.scaled else 0))
        return 2 * position * _stride(storage, config.n_ctx)

    def read_by(self, weights: Precision) -> tuple[Any, ...]:
        """What `forward` is told of it, beside weights of a precision: format, arrays, capacity and spans."""
        keys, values, *scales = (array.reshape(-1) for array in self._own.all())
        if weights.reduced:
            keys, values = keys.view(np.uint8), values.view(np.uint8)
        return np.int64(self.storage.format), keys, values, *scales, self.capacity, self.spans

    @property
    def writable_from(self) -> int:
        """Positions before this one are read by others too."""
        return max((span.stop for span in self._own.lent), default=self.first)

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """All that it reads, its own and shared."""
        every = [*(span.arrays for span in self.shared), self._own]
        return tuple(array for one in every for array in one.all())

    def grown(self, positions: int, filled: int) -> KVCache:
        """One with room for at least so many positions, up to the model's context, that holds the first `filled`."""
        if self._own.lent:
            return self.fork(filled, positions)
        first = self.first
        wanted = max(positions - first, 2 * self.capacity, _LEAST_OWN if first else _LEAST)
        larger = KVCache(self._config, self.storage, min(self._config.n_ctx - first, wanted), self.count, self.shared)
        larger._take(self, 0, first, filled)
        return larger

    def fork(self, filled: int, positions: int, count: int = 1, place: int = 0) -> KVCache:
        """`count` texts that begin with the first `filled` positions of the one at `place`, with room for `positions`.

        Whole steps of what comes before the last position are shared, the rest is copied.
        """
        limit = max(0, filled - 1) // _STEP * _STEP
        mine = _Span(self._own, place, self.first, min(limit, self.positions))
        spans = [span.until(limit) for span in (*self.shared, mine) if span.start < limit]
        while spans and (len(spans) > _MOST_SPANS or spans[-1].stop - spans[-1].start < _SHORTEST):
            spans.pop()
        if mine in spans:
            self._own.lent.add(mine)
        first = spans[-1].stop if spans else 0
        least = min(self._config.n_ctx - first, _LEAST_OWN)
        new = KVCache(self._config, self.storage, max(positions - first, filled - first, least), count, tuple(spans))
        new._take(self, place, first, filled)
        return new

    def alone(self, filled: int) -> KVCache:
        """The same, its first `filled` positions copied, that shares nothing."""
        new = KVCache(self._config, self.storage, self.positions)
        new._take(self, 0, 0, filled)
        return new

    def move(self, source: int, place: int) -> None:
        """The text at `source` takes the place of another."""
        if source != place:
            for array in self._own.all():
                array[place] = array[source]

    def _take(self, other: KVCache, place: int, first: int, stop: int) -> None:
        """Copy positions first:stop of another's text."""
        for span in (*other.shared, _Span(other._own, place, other.first, other.positions)):
            start, end = max(span.start, first), min(span.stop, stop)
            if start < end:
                self._own.copy(span.arrays, span.place, start, end)
