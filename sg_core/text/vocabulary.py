"""Learning a byte-level BPE vocabulary from a text (Sennrich et al. 2016; byte-level as GPT-2's)."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict

from sg_core.checks import whole
from sg_core.text.byte_bpe import SYMBOLS, split
from sg_core.text.special_tokens import END_OF_TEXT
from sg_core.text.tokenizer import Tokenizer
from sg_core.types import Count

SMALLEST = 257  # 256 bytes and the end of text
LARGEST = 1 << 20
LARGEST_SAMPLE = 32 << 20  # characters; more of a text hardly changes its vocabulary
LONGEST_WORD = 128  # bytes

Pair = tuple[int, int]


def learn_vocabulary(text: str, size: int, progress: Count | None = None) -> Tokenizer:
    """A tokenizer of at most `size` tokens: the 256 bytes (ids 0 to 255), the merges, "<|endoftext|>" last.

    Each merge joins the pair of neighbouring tokens that is most frequent within the words of the text; of
    equally frequent pairs the one whose first, then second token has the lowest id: a text always gives the
    same vocabulary. No pair that occurs only once is joined: a short text gives a smaller vocabulary. Of a long
    text the first 32 M characters are read. "<|endoftext|>" between documents is the end token, not a word.
    progress: called with (merges done, merges wanted). Raises SettingError for a size out of range.
    """
    whole("vocabulary size", size, SMALLEST, LARGEST)
    words = _Words(_count_words(text[:LARGEST_SAMPLE]))
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


def _count_words(text: str) -> Counter[bytes]:
    """How often each word occurs; a very long one (a line without a blank, base64) counts as several."""
    counts: Counter[bytes] = Counter()
    documents = text.split(END_OF_TEXT)
    for word, count in Counter(word for document in documents for word in split(document)).items():
        data = word.encode("utf-8")
        for start in range(0, len(data), LONGEST_WORD):
            counts[data[start : start + LONGEST_WORD]] += count
    return counts


class _Words:
    """The distinct words of a text as lists of ids, and the counts of their neighbouring pairs."""

    def __init__(self, counts: Counter[bytes]) -> None:
        self._words = [list(word) for word in counts]
        self._counts = list(counts.values())
        self._pairs: Counter[Pair] = Counter()
        self._where: defaultdict[Pair, set[int]] = defaultdict(set)  # pair -> words that have (or had) it
        for index, (word, count) in enumerate(zip(self._words, self._counts, strict=True)):
            for pair in itertools.pairwise(word):
                self._pairs[pair] += count
                self._where[pair].add(index)
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
        changes: Counter[Pair] = Counter()
        for index in self._where.pop(pair):
            self._join_in_word(index, pair, new, changes)
        del self._pairs[pair], changes[pair]
        for other, change in changes.items():
            if change:
                self._pairs[other] += change
                heapq.heappush(self._heap, (-self._pairs[other], other))

    def _join_in_word(self, index: int, pair: Pair, new: int, changes: Counter[Pair]) -> None:
        word, count = self._words[index], self._counts[index]
        first, second = pair
        place = 0
        while first in word[place:-1]:
            place = word.index(first, place)
            if word[place + 1] == second:
                if place > 0:
                    left = word[place - 1]
                    changes[left, first] -= count
                    changes[left, new] += count
                    self._where[left, new].add(index)
                if place + 2 < len(word):
                    right = word[place + 2]
                    changes[second, right] -= count
                    changes[new, right] += count
                    self._where[new, right].add(index)
                word[place : place + 2] = [new]
            place += 1
