"""How likely a model finds a text, token by token: log-probability, rank, entropy, and what was likelier.

Nothing is put before the text but what its tokenizer's files put before every text; the first token of all has no
probability. A text longer than the context is seen in windows of the context's length that overlap by SHARED tokens
unless another overlap is asked for. Each window scores the tokens that the one before it did not hold: every token
after the first is scored once, with at least the overlap before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from sg_core.checks import whole
from sg_core.errors import SettingError
from sg_core.inference.token import TOP
from sg_core.kernels.team import Team
from sg_core.memory import aligned
from sg_core.network.batch_pass import BatchPass
from sg_core.network.interventions import Interventions
from sg_core.network.model import Model
from sg_core.network.probes import Probes
from sg_core.network.scoring import RowScores
from sg_core.network.window import Window
from sg_core.processors import physical_cores
from sg_core.text.text_stream import TextStream
from sg_core.text.tokenizer import Tokenizer
from sg_core.types import Cancelled, Count, FloatArray

IntArray = npt.NDArray[np.int32]

SHARED = 64  # tokens: each is seen with as many before it, and GPT-2 computes 1 in 16 twice
_MARKS: WeakKeyDictionary[Tokenizer, FloatArray] = WeakKeyDictionary()  # made once: it takes as long as a prompt


@dataclass(frozen=True, slots=True)
class TokenScore:
    """One token of a text, and what the model thought of it.

    text: safe to concatenate, as that of a generated token; "" for a special one. start: the character of the text at
    which it begins. logprob: natural logarithm of its probability; rank: 1 for the likeliest, of equal ones the lowest
    id first; entropy: of the whole distribution, nats; None for the first token, and where logits are not finite. top:
    the likeliest (id, logprob).
    """

    id: int
    text: str
    start: int
    logprob: float | None
    rank: int | None
    entropy: float | None
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class TextTokens:
    """A text in T tokens: ids, texts and starts as in TokenScore, and how many bytes each has.

    special: ids of special tokens, which have no text. marks (V,) float32: 1 for every token of the vocabulary that
    begins with a blank or is the end of a document.
    """

    ids: IntArray
    texts: tuple[str, ...]
    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    special: frozenset[int]
    marks: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Scores(Sequence[TokenScore]):
    """The scores of T tokens, one after another, and totals over those that have a probability: all but the first.

    rows: the same as arrays (T,), NaN and 0 for the first; but rows.marked[t] is the log-probability that after token t
    comes one of text.marks. window, overlap: tokens that a pass sees, and shares with the one before.
    """

    text: TextTokens
    rows: RowScores
    window: int
    overlap: int

    def __len__(self) -> int:
        return len(self.text.ids)

    @overload
    def __getitem__(self, place: int) -> TokenScore: ...
    @overload
    def __getitem__(self, place: slice) -> list[TokenScore]: ...
    def __getitem__(self, place: int | slice) -> TokenScore | list[TokenScore]:
        if isinstance(place, slice):
            return [self._token(one) for one in range(*place.indices(len(self)))]
        return self._token(range(len(self))[place])

    def _token(self, place: int) -> TokenScore:
        text, rows = self.text, self.rows
        told = (int(text.ids[place]), text.texts[place], text.starts[place])
        if place == 0:
            return TokenScore(*told, None, None, None, ())
        logprob, entropy = _finite(rows.logprobs[place]), _finite(rows.entropies[place])
        rank = None if logprob is None else int(rows.ranks[place])
        top = zip(rows.top_ids[place].tolist(), rows.top_logprobs[place].tolist(), strict=True)
        return TokenScore(*told, logprob, rank, entropy, tuple(top))

    # ------------------------------------------------------------ totals

    @property
    def tokens(self) -> int:
        """How many have a probability."""
        return len(self) - 1

    @property
    def characters(self) -> int:
        """Of the tokens that have a probability; special ones have none."""
        return sum(map(len, self.text.texts[1:]))

    @property
    def bytes(self) -> int:
        """The same, in UTF-8."""
        return sum(self.text.sizes[1:])

    @property
    def nats(self) -> float:
        """The surprise of all: minus the sum of the log-probabilities."""
        return -math.fsum(self.rows.logprobs[1:])

    @property
    def perplexity(self) -> float | None:
        """exp of the mean nats of a token; None without any."""
        return perplexity(self.nats, self.tokens)

    @property
    def nats_per_character(self) -> float | None:
        """Comparable between vocabularies; None without characters."""
        return self.nats / self.characters if self.characters else None

    @property
    def bits_per_byte(self) -> float | None:
        """The same in bits (binary logarithm), for a byte of UTF-8."""
        return self.nats / math.log(2) / self.bytes if self.bytes else None


def perplexity(nats: float, tokens: int) -> float | None:
    """exp of the mean; infinite where that is too large for a float, None without tokens."""
    if not tokens:
        return None
    mean = nats / tokens
    return math.exp(mean) if not mean > 709 else math.inf


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def score(
    model: Model,
    tokenizer: Tokenizer | None,
    text: str | Sequence[int] | npt.ArrayLike,
    special: bool = False,
    precision: str | None = None,
    interventions: Interventions | None = None,
    progress: Count | None = None,
    cancelled: Cancelled | None = None,
    overlap: int | None = None,
) -> Scores:
    """See `GPT2.score`."""
    overlap = chosen_overlap(model, overlap)
    ids = text_ids(model, tokenizer, text, special)
    reader = Reader(model, tokenizer, ids, precision, interventions)
    scored = 0
    for start, stop, first in windows(len(ids), model.config.n_ctx, overlap):
        if scored and cancelled is not None and cancelled():
            break
        reader.read(start, stop)
        reader.score(first, stop - start)
        scored = stop
        if progress is not None:
            progress(scored, len(ids))
    return reader.scores(scored, overlap, text if isinstance(text, str) else None)


def chosen_overlap(model: Model, overlap: int | None) -> int:
    """Tokens that neighbouring windows share, None for SHARED or half a small window. Raises SettingError."""
    size = model.config.n_ctx
    return min(SHARED, size // 2) if overlap is None else whole("overlap", overlap, 1, size - 1)


def windows(tokens: int, size: int, overlap: int) -> Iterator[tuple[int, int, int]]:
    """(start, stop, first) of each window of a text of so many tokens: its rows from `first` on tell of new tokens."""
    for start in range(0, tokens, size - overlap):
        stop = min(start + size, tokens)
        yield start, stop, max(0, overlap - 1) if start else 0  # the row before the first token that is new
        if stop == tokens:
            return


class Reader:
    """Passes over windows of a text, and the scores they give. batch: the newest pass."""

    batch: BatchPass

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer | None,
        ids: IntArray,
        precision: str | None,
        interventions: Interventions | None = None,
    ) -> None:
        self.rows = RowScores.empty(len(ids), min(TOP, model.config.vocab_size))
        for array in self.rows:
            array.fill(0 if array.dtype == np.int64 else np.nan)
        self._model, self._tokenizer, self._ids = model, tokenizer, ids
        self._marks = aligned(0) if tokenizer is None else _word_marks(tokenizer, model.config.vocab_size)
        self._weights = model.weights(precision or model.precision)
        self._window = Window(model.config, Probes(), interventions) if interventions else None
        self._team = Team(physical_cores())
        self._T = 0  # tokens of the newest pass
        self._start = 0  # and where it begins

    def read(self, start: int, stop: int) -> None:
        """Let the model see ids[start:stop]."""
        T = stop - start
        if self._T != T:
            if self._T:
                del self.batch  # before the next one takes memory
            self.batch = BatchPass(
                self._model.parameters, 1, T, self._team, self._weights, adapters=self._model.adapters, gradients=False
            )
        self._T, self._start = T, start
        opened = None if self._window is None else self._window.open(1, 0, T, 0, T)
        self.batch.read(self._ids[None, start:stop], opened)

    def score(self, first: int, stop: int) -> None:
        """Score the tokens that follow rows first:stop of what was read; each stands at its place in `rows`."""
        targets = np.zeros(stop - first, np.int32)  # after the last token of all any one does
        following = self._ids[self._start + first + 1 : self._start + stop + 1]
        targets[: len(following)] = following
        found = self.batch.scores_of(first, stop, targets, self.rows.top_ids.shape[1], self._marks)
        for array, new in zip(self.rows, found, strict=True):
            place = self._start + first + (array is not self.rows.marked)  # of the token a row tells of: the next one
            array[place : place + len(new)] = new[: len(array) - place]

    def scores(self, tokens: int, overlap: int, given: str | None) -> Scores:
        """Of the first tokens, all of which have been scored; given: the text they were made of, if it was one."""
        known = _text_tokens(self._tokenizer, self._ids[:tokens], self._marks, given)
        return Scores(known, self.rows.before(tokens), self._model.config.n_ctx, overlap)


def text_ids(
    model: Model, tokenizer: Tokenizer | None, text: str | Sequence[int] | npt.ArrayLike, special: bool
) -> IntArray:
    """(T,), T >= 1. Raises SettingError."""
    if not isinstance(text, str):
        ids = model.known_ids(text)
    elif tokenizer is None:
        raise SettingError(f"{model.name} has no tokenizer files; give token ids instead of a text")
    else:
        ids = np.array(tokenizer.encode(text, special), np.int32)
    if not ids.size:
        raise SettingError("the text is empty; give at least one token, two to see a probability")
    return ids


def _word_marks(tokenizer: Tokenizer, vocab_size: int) -> FloatArray:
    """(V,): 1 for tokens that begin with a blank character or end a document, else 0."""
    known = _MARKS.get(tokenizer)
    if known is not None and len(known) == vocab_size:
        return known
    marks = aligned(vocab_size, zero=True)
    for id in tokenizer.vocabulary.values():
        if id < vocab_size:
            marks[id] = tokenizer.token_bytes(id).decode("utf-8", "replace")[:1].isspace()
    marks[[id for id in tokenizer.end_ids if id < vocab_size]] = 1
    _MARKS[tokenizer] = marks
    return marks


def _text_tokens(tokenizer: Tokenizer | None, ids: IntArray, marks: FloatArray, given: str | None) -> TextTokens:
    """given: the text that was encoded, to whose characters the starts belong; None where ids were given."""
    if tokenizer is None:
        nothing = (0,) * len(ids)
        return TextTokens(ids, ("",) * len(ids), nothing, nothing, frozenset(), marks)
    written = {id: token for token, id in tokenizer.vocabulary.items() if id in tokenizer.special_ids}
    named = frozenset(tokenizer.vocabulary.values())  # a model may have more ids than its tokenizer names
    outside = 0 if given is None else len(tokenizer.before)
    decoder, stream = tokenizer.decoder(), TextStream()
    texts, starts, sizes = [], [], []
    place = 0
    for number, id in enumerate(ids.tolist()):
        data = decoder.push(id) if id in named else b""
        texts.append(stream.push(data))
        starts.append(place)
        sizes.append(len(data))
        if number >= outside:
            place += len(written.get(id, texts[-1]))
    texts[-1] += stream.push(decoder.finish()) + stream.finish()
    if given is not None and "".join(texts).startswith(" ") and not given.startswith(" "):
        starts = [max(0, start - 1) for start in starts]  # a blank that some tokenizers put before a text
    return TextTokens(ids, tuple(texts), tuple(starts), tuple(sizes), frozenset(written), marks)
