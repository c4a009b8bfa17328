"""From logits to the next token and its text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core.checks import quoted, whole
from sg_core.errors import ModelFileError, SettingError
from sg_core.inference.sampler import Room, choose
from sg_core.inference.sampling import Sampling
from sg_core.inference.token import TOP, Token
from sg_core.kernels.ranking import likeliest
from sg_core.network.block import OPERATIONS
from sg_core.network.model import Model
from sg_core.network.screen import Screen
from sg_core.text.text_stream import TextStream
from sg_core.text.tokenizer import TextDecoder, Tokenizer
from sg_core.types import FloatArray

# Called with the ids so far and logits (V,) of the next, which it changes in place: -inf forbids an id.
Processor = Callable[[Sequence[int], FloatArray], Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """What follows: a Token's first four fields, and why nothing comes after it ("" when something may)."""

    id: int
    text: str
    logprob: float
    top: tuple[tuple[int, float], ...]
    finished: str

    def token(
        self,
        times: npt.NDArray[np.int64],
        computing: int,
        sampling: int,
        moved: int = 0,
        activations: dict[str, FloatArray] | None = None,
        drafting: int | None = None,
    ) -> Token:
        """The token with its times, all in ns: of each operation, of computing the logits, and of choosing.

        drafting: of writing ahead, a part of the computing; None where that is not done.
        """
        op_ms = {name: ns * 1e-6 for name, ns in zip(OPERATIONS, times.tolist(), strict=True)}
        if drafting is not None:
            op_ms["draft"] = drafting * 1e-6
        op_ms["other"] = max(0, computing - int(times.sum()) - (drafting or 0)) * 1e-6  # between the kernels: Python
        op_ms["sampling"] = sampling * 1e-6
        ms = (computing + sampling) * 1e-6
        return Token(self.id, self.text, self.logprob, self.top, ms, op_ms, moved, activations or {})


class Writer:
    """Makes one text of logits: the draws, what can be shown of the text, and its end."""

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer | None,
        stop: Sequence[str],
        processors: Sequence[Processor] = (),
        *,
        logprobs: bool = True,
    ) -> None:
        self._model = model
        self._logprobs = logprobs
        self._tokenizer = tokenizer
        self._processors = tuple(processors)
        self._stream = TextStream(tuple(stop))
        self._limit = model.config.vocab_size if tokenizer is None else tokenizer.limit
        self._unnamed = np.array([] if tokenizer is None else tokenizer.unnamed, np.int64)
        self._ends = frozenset() if tokenizer is None else tokenizer.end_ids
        self._stops = frozenset() if tokenizer is None else tokenizer.special_among(stop)
        self._decoder: TextDecoder | None = None
        self._room = Room(model.config.vocab_size)
        self._exponentials = np.empty(model.config.vocab_size, np.float32)

    def choose(self, logits: FloatArray, sampling: Sampling, ids: Sequence[int], place: int, last: bool) -> Choice:
        """The token after `ids`, from logits (V,); place: how many tokens the whole text has, which decides the draw.

        Raises ModelFileError for logits that are not finite, SettingError when processors forbid every token.
        """
        logits = self._writable(logits)
        top_ids = np.empty(min(TOP if self._logprobs else 1, len(logits) - len(self._unnamed)), np.int64)
        logprobs = np.empty(len(top_ids), np.float64)
        if self._logprobs:
            total = likeliest(top_ids, logprobs, logits, self._exponentials[: len(logits)])
        else:
            top_ids[0] = logits.argmax()  # that of the first NaN, where there is one
            total = float(logits[top_ids[0]])
        if not math.isfinite(total):
            raise ModelFileError(
                f"{self._model.name} gives no usable scores (NaN or infinite); its weights are damaged"
            )
        favoured = self._processed(logits, ids) if self._processors else logits
        if favoured is logits and sampling.likeliest:
            id = int(top_ids[0])
        else:
            seen = np.unique(ids) if sampling.repetition_penalty != 1.0 else top_ids[:0]
            id = choose(favoured, seen[seen < len(logits)], sampling, place, self._room)
        top = tuple(zip(top_ids.tolist(), logprobs.tolist(), strict=True)) if self._logprobs else ()
        logprob = float(logits[id]) - total if self._logprobs else math.nan
        return self.take(id, logprob, top, ids, last)

    def take(
        self, id: int, logprob: float, top: tuple[tuple[int, float], ...], ids: Sequence[int], last: bool
    ) -> Choice:
        """This token follows `ids`: what it adds to the text, and whether that ends it."""
        if self._decoder is None and self._tokenizer is not None:
            self._decoder = self._tokenizer.decoder(ids)
        text = "" if self._decoder is None else self._stream.push(self._decoder.push(id))
        stopped = self._stream.stopped or id in self._stops
        finished = "end of text" if id in self._ends else "stop" if stopped else "length" if last else ""
        if finished:
            text += self.rest()
        return Choice(id, text, logprob, top, finished)

    def screen(self) -> Screen | None:
        """What finds the likeliest token, where nothing but that may be asked for."""
        if self._logprobs or self._processors:
            return None
        allowed = np.zeros(self._model.config.vocab_size, np.bool_)
        allowed[: self._limit] = True
        allowed[self._unnamed] = False
        return Screen(self._model.head_screen, allowed)

    def guess(self, logits: FloatArray, sampling: Sampling, ids: Sequence[int], place: int) -> int:
        """The id that `choose` would take of these logits, by the same draw, without processors."""
        logits = self._writable(logits)
        if not math.isfinite(float(logits.max())):
            return 0  # `choose` will tell that the model is damaged
        seen = np.unique(ids) if sampling.repetition_penalty != 1.0 else np.empty(0, np.int64)
        return choose(logits, seen[seen < len(logits)], sampling, place, self._room)

    def ends(self, id: int) -> bool:
        """Whether nothing follows this id."""
        return id in self._ends or id in self._stops

    def chooses_plainly(self, sampling: Sampling) -> bool:
        """Whether a token depends on its logits and the draw alone, and its probability is asked for."""
        return self._logprobs and not self._processors and sampling.repetition_penalty == 1.0

    @property
    def tokens(self) -> tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The id from which on there are none, those before it that are none, and those that nothing follows."""
        return self._limit, self._unnamed, np.array(sorted(self._ends | self._stops), np.int64)

    def _writable(self, logits: FloatArray) -> FloatArray:
        """The logits of ids that the tokenizer has tokens for."""
        logits = logits[: self._limit]
        if len(self._unnamed):
            logits = logits.copy()
            logits[self._unnamed] = -np.inf
        return logits

    def rest(self) -> str:
        """The text that is held back, when nothing follows any more. To be called once."""
        held = b"" if self._decoder is None else self._decoder.finish()
        return self._stream.push(held) + self._stream.finish()

    def _processed(self, logits: FloatArray, ids: Sequence[int]) -> FloatArray:
        favoured = logits.copy()
        for process in self._processors:
            process(ids, favoured)
        if np.isnan(favoured).any() or not favoured.max() > -np.inf or favoured.max() == np.inf:
            raise SettingError("a logits processor left no token to choose: scores must be finite, or -inf to forbid")
        return favoured


def check_request(max_tokens: int, stop: Sequence[str]) -> None:
    """Raises SettingError."""
    whole("max_tokens", max_tokens, 0)
    if isinstance(stop, str) or not all(isinstance(text, str) and text for text in stop):
        raise SettingError(f"stop is {quoted(stop)}; it must be a sequence of texts that are not empty")
