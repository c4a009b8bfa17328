"""The branches of a text: whichever is gone on with, what it has in common with any that was written is there."""

from __future__ import annotations

from collections.abc import Sequence

from sg_core.inference.branch import Branch, common
from sg_core.inference.decoder import Decoder
from sg_core.network.kv_cache import KVCache

_WORTH = 16  # computed tokens that are held when a text is left; fewer are sooner computed again


class Branches:
    """Texts that a decoder has left, held ready to be gone on with; each change of what values depend on drops them.

    most: so many at most, 0 at first. When a text is left, the oldest go until all caches together take no more memory
    than two of a full context. kept: tokens of the last prompt that needed no computing.
    """

    def __init__(self, decoder: Decoder, most: int = 0) -> None:
        self.most = most
        self.kept = 0
        self._decoder = decoder
        self._held: list[Branch] = []  # the one left last at the end
        self._setting: object = None

    def __len__(self) -> int:
        return len(self._held)

    @property
    def cache_bytes(self) -> int:
        """Memory of the caches of the text at hand and all that are held."""
        caches = [self._decoder.cache, *(branch.cache for branch in self._held)]
        arrays = {id(array): array.nbytes for cache in caches for array in cache.arrays()}
        return sum(arrays.values())

    def turn_to(self, ids: Sequence[int]) -> None:
        """Let the decoder's text be the one that has most in common with `ids`, and hold what it leaves for that."""
        decoder, size = self._decoder, self._decoder.context_size
        if self._setting != (setting := decoder.setting()):
            self._setting = setting
            self._held.clear()
        here = decoder.leave()
        best = max(self._held, key=lambda branch: branch.of(ids, size), default=here)
        source = best if best.of(ids, size) > here.of(ids, size) else here
        self.kept = source.of(ids, size)
        if self.most == 0 or not self._leaves(here, source, ids):
            return
        if source is not here:
            self._held.remove(source)
        same = common(source.ids, ids)
        if self._lost(source, same):
            self._held.append(source)
            decoder.go_on(source.fork(same, source.first))
        else:
            decoder.go_on(source)
        if source is not here and self._lost(here, common(here.ids, ids)):
            self._held.append(here)
        self._forget_oldest()

    def _leaves(self, here: Branch, source: Branch, ids: Sequence[int]) -> bool:
        """Whether the decoder's text is not just gone on with, or cut by little."""
        return source is not here or self._lost(here, common(here.ids, ids))

    def _lost(self, branch: Branch, same: int) -> bool:
        """Whether much that is computed of a branch would be lost if only `same` tokens of it stayed."""
        return branch.first + branch.computed - max(same, branch.first) >= _WORTH

    def _forget_oldest(self) -> None:
        most = 2 * KVCache.bytes_of(self._decoder.model.config, self._decoder.cache.storage)
        while len(self._held) > self.most or (self._held and self.cache_bytes > most):
            self._held.pop(0)
