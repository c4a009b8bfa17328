"""Learning a byte-level BPE vocabulary from a text (Sennrich et al. 2016; byte-level as GPT-2's)."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable

from sg_core.errors import SettingError
from sg_core.tokenizer import END_OF_TEXT, SYMBOLS, Tokenizer, split

SMALLEST = 257  # 256 bytes and the end of text
LARGEST = 1 << 20

Pair = tuple[int, int]


def learn_vocabulary(text: str, size: int, progress: Callable[[int, int], None] | None = None) -> Tokenizer:
    """A tokenizer of at most `size` tokens: the 256 bytes (ids 0 to 255), the merges, "<|endoftext|>" last.

    Each merge joins the pair of neighbouring tokens that is most frequent within the words of the text; of
    equally frequent pairs the one whose first, then second token has the lowest id: a text always gives the
    same vocabulary. No pair that occurs only once is joined: a short text gives a smaller vocabulary.
    progress: called with (merges done, merges wanted). Raises SettingError for a size out of range.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not SMALLEST <= size <= LARGEST:
        raise SettingError(
            f"vocabulary size is {size!r}; it must be a whole number from {SMALLEST} to {LARGEST:,}"
        )
    words = _Words(Counter(split(text)))
    tokens = list(SYMBOLS)
    merges: list[tuple[str, str]] = []
    wanted = size - SMALLEST
    while len(merges) < wanted and (pair := words.most_frequent_pair()) is not None:
        words.join(pair, len(tokens))
        merges.append((tokens[pair[0]], tokens[pair[1]]))
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        if progress is not None:
            progress(len(merges), wanted)
    vocabulary = {token: id for id, token in enumerate([*tokens, END_OF_TEXT])}
    return Tokenizer(vocabulary, merges)


class _Words:
    """The distinct words of a text as lists of ids, and the counts of their neighbouring pairs."""

    def __init__(self, counts: Counter[str]) -> None:
        self._words = [list(word.encode("utf-8")) for word in counts]
        self._counts = list(counts.values())
        self._pairs: Counter[Pair] = Counter()
        self._where: defaultdict[Pair, set[int]] = defaultdict(set)
        for index, count in enumerate(self._counts):
            self._add(index, count)
        self._heap = [(-count, pair) for pair, count in self._pairs.items()]
        heapq.heapify(self._heap)

    def most_frequent_pair(self) -> Pair | None:
        """The pair to join next, None when every pair left occurs only once."""
        while self._heap:
            count, pair = self._heap[0]
            now = self._pairs[pair]
            if -count == now:
                return pair if now > 1 else None
            heapq.heappop(self._heap)  # an entry from before the pair's count changed
        return None

    def join(self, pair: Pair, new: int) -> None:
        """Replaces the pair by the token `new` in every word, from left to right."""
        changed: set[Pair] = set()
        for index in self._where.pop(pair):
            count = self._counts[index]
            changed.update(self._remove(index, count))
            self._words[index] = _joined(self._words[index], pair, new)
            changed.update(self._add(index, count))
        for other in changed:
            if self._pairs[other] > 0:
                heapq.heappush(self._heap, (-self._pairs[other], other))
            else:
                del self._pairs[other]

    def _add(self, index: int, count: int) -> list[Pair]:
        pairs = _neighbours(self._words[index])
        for pair in pairs:
            self._pairs[pair] += count
            self._where[pair].add(index)
        return pairs

    def _remove(self, index: int, count: int) -> list[Pair]:
        pairs = _neighbours(self._words[index])
        for pair in pairs:
            self._pairs[pair] -= count
        return pairs


def _neighbours(word: list[int]) -> list[Pair]:
    return list(itertools.pairwise(word))


def _joined(word: list[int], pair: Pair, new: int) -> list[int]:
    first, second = pair
    result: list[int] = []
    position = 0
    while position < len(word):
        if word[position] == first and position + 1 < len(word) and word[position + 1] == second:
            result.append(new)
            position += 2
        else:
            result.append(word[position])
            position += 1
    return result
