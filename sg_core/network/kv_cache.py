"""The KV cache: keys and values of the positions computed so far, of one text or of several side by side."""

from __future__ import annotations

from sg_core.config import GPT2Config
from sg_core.kernels.copying import row_stride
from sg_core.memory import aligned

_LEAST = 64


class KVCache:
    """Room for `capacity` positions of `count` texts.

    keys: flat (count, L, NH, hs, capacity) float32; values: flat (count, L, NH, capacity, hs). A key's dimensions lie
    `capacity` apart, so that the scores of neighbouring positions are one vector.
    """

    def __init__(self, config: GPT2Config, capacity: int, count: int = 1) -> None:
        self.capacity = capacity = row_stride(capacity) if capacity else 0
        self.count = count
        self._config = config
        heads, size = config.n_layer * config.n_head, config.head_size
        self._keys = aligned(count, heads, size, capacity)
        self._values = aligned(count, heads, capacity, size)
        self.keys, self.values = self._keys.reshape(-1), self._values.reshape(-1)

    def grown(self, positions: int, filled: int) -> KVCache:
        """One with room for at least so many positions, up to the model's context; the first `filled` are copied."""
        most = self._config.n_ctx
        larger = KVCache(self._config, min(most, max(positions, 2 * self.capacity, _LEAST)))
        larger._fill(0, self, filled)
        return larger

    def copies(self, count: int, positions: int, filled: int) -> KVCache:
        """`count` texts that begin with the first `filled` positions of this one, with room for `positions` each."""
        many = KVCache(self._config, positions, count)
        for place in range(count):
            many._fill(place, self, filled)
        return many

    def move(self, source: int, place: int) -> None:
        """The text at `source` takes the place of another."""
        if source != place:
            self._keys[place], self._values[place] = self._keys[source], self._values[source]

    def _fill(self, place: int, other: KVCache, count: int) -> None:
        self._keys[place, :, :, :count] = other._keys[0, :, :, :count]
        self._values[place, :, :count] = other._values[0, :, :count]
