"""Learning a vocabulary: the merges are the most frequent pairs, the result is a usual GPT-2 tokenizer."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from sg_core.errors import SettingError
from sg_core.text.byte_bpe import SYMBOLS, split
from sg_core.text.tokenizer import Tokenizer
from sg_core.text.vocabulary import learn_vocabulary

TEXT = (
    "The quick brown fox jumps over the lazy dog; the dog doesn't mind. Größe und Maß! 12 345 12 3456\n\n"
    "    if x == 10:\n        return x + 10  # ten\nbanana bananas banananana aaaa aaaaaa\n😀😀 naïve café\n"
) * 3


def naive_merges(text: str, size: int) -> list[tuple[str, str]]:
    """The definition itself: count every pair of every word anew before each merge."""
    tokens = list(SYMBOLS)
    words = [(list(word.encode()), count) for word, count in Counter(split(text)).items()]
    merges: list[tuple[str, str]] = []
    while len(merges) < size - 257:
        pairs: Counter[tuple[int, int]] = Counter()
        for word, count in words:
            for pair in pairwise(word):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < 2:
            break
        for word, _ in words:
            for place in range(len(word) - 2, -1, -1):
                if overlaps_from_the_left(word, place, best):
                    word[place : place + 2] = [len(tokens)]
        merges.append((tokens[best[0]], tokens[best[1]]))
        tokens.append(tokens[best[0]] + tokens[best[1]])
    return merges


def overlaps_from_the_left(word: list[int], place: int, pair: tuple[int, int]) -> bool:
    """Whether reading from the left would join the pair at `place` ("aaa" joins its first two)."""
    if tuple(word[place : place + 2]) != pair:
        return False
    run = 0
    while pair[0] == pair[1] and place - run > 0 and word[place - run - 1] == pair[0]:
        run += 1
    return run % 2 == 0


@pytest.mark.parametrize("size", [257, 258, 300, 400])
def test_merges_are_the_most_frequent_pairs(size: int) -> None:
    assert list(learn_vocabulary(TEXT, size).merges) == naive_merges(TEXT, size)


def test_ids_are_bytes_then_merges_then_the_end_of_text() -> None:
    tokenizer = learn_vocabulary(TEXT, 300)
    assert tokenizer.vocab_size == 300
    assert tokenizer.end_of_text == 299
    assert [tokenizer.token_bytes(id) for id in range(256)] == [bytes([byte]) for byte in range(256)]
    assert [tokenizer.token_bytes(256 + n) for n in range(2)] == [b"na", b"  "]


def test_any_text_comes_back_whole_and_in_fewer_tokens() -> None:
    tokenizer = learn_vocabulary(TEXT, 400)
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    assert len(tokenizer.encode(TEXT)) < len(TEXT) / 2
    other = "Unseen: ЖЖЖ \x00\x1b 🫠 <|endoftext|>"
    assert tokenizer.decode(tokenizer.encode(other)) == other


def test_a_text_with_few_pairs_gives_a_smaller_vocabulary() -> None:
    tokenizer = learn_vocabulary("abab xyz", 1000)
    assert tokenizer.merges == (("a", "b"),)
    assert tokenizer.end_of_text == 257
    assert learn_vocabulary("", 512).vocab_size == 257


def test_ties_go_to_the_lowest_ids() -> None:
    assert learn_vocabulary("dc dc\nba ba", 258).merges == (("b", "a"),)


def test_it_is_saved_and_read_like_any_other(tmp_path: Path) -> None:
    tokenizer = learn_vocabulary(TEXT, 400)
    tokenizer.save(tmp_path)
    assert Tokenizer.from_folder(tmp_path).encode(TEXT) == tokenizer.encode(TEXT)


def test_progress_counts_the_merges() -> None:
    seen: list[tuple[int, int]] = []
    learn_vocabulary(TEXT, 260, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("size", [0, 256, -1, True, 1 << 21])
def test_a_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(SettingError, match=r"vocabulary size is .*; it must be a whole number from 257"):
        learn_vocabulary(TEXT, size)


def test_the_end_of_text_between_documents_is_no_word_to_learn() -> None:
    learned = learn_vocabulary("<|endoftext|>" * 50 + "ab ab", 300)
    assert learned.merges == (("a", "b"),)
