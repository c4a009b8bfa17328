"""A prompt becomes a stream of tokens."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sg_core.errors import ModelFileError, SettingError
from sg_core.inference.sampler import Room, choose
from sg_core.inference.sampling import Sampling
from sg_core.inference.speculation import Ahead
from sg_core.inference.token import Token
from sg_core.kernels.ranking import likeliest
from sg_core.network.forward import OPERATIONS
from sg_core.network.parameters import FloatArray
from sg_core.text.text_stream import TextStream

if TYPE_CHECKING:
    from sg_core.gpt2 import GPT2
    from sg_core.inference.session import Session

TOP = 8  # alternatives told with every token


@dataclass(frozen=True, slots=True)
class Choice:
    """What follows: a Token's first four fields, and why nothing comes after it ("" when something may)."""

    id: int
    text: str
    logprob: float
    top: tuple[tuple[int, float], ...]
    finished: str


class Writer:
    """Makes one text of logits: the draws, what can be shown of the text, and its end."""

    def __init__(self, model: GPT2, stop: Sequence[str]) -> None:
        self._model = model
        self._stream = TextStream(tuple(stop))
        tokenizer = model.tokenizer
        self._limit = model.config.vocab_size if tokenizer is None else tokenizer.vocab_size
        self._end = None if tokenizer is None else tokenizer.end_of_text
        self._room = Room(model.config.vocab_size)
        self._exponentials = np.empty(model.config.vocab_size, np.float32)

    def choose(self, logits: FloatArray, sampling: Sampling, ids: Sequence[int], place: int, last: bool) -> Choice:
        """The token after `ids`, from logits (V,); place: how many tokens the whole text has, which decides the draw.

        Raises ModelFileError for logits that are not finite.
        """
        logits = logits[: self._limit]
        top_ids = np.empty(min(TOP, len(logits)), np.int64)
        logprobs = np.empty(len(top_ids), np.float64)
        total = likeliest(top_ids, logprobs, logits, self._exponentials[: len(logits)])
        if not math.isfinite(total):
            raise ModelFileError(
                f"{self._model.name} gives no usable scores (NaN or infinite); its weights are damaged"
            )
        if sampling.temperature == 0.0 and sampling.repetition_penalty == 1.0:
            id = int(top_ids[0])
        else:
            seen = np.unique(ids) if sampling.repetition_penalty != 1.0 else top_ids[:0]
            id = choose(logits, seen[seen < len(logits)], sampling, place, self._room)
        top = tuple(zip(top_ids.tolist(), logprobs.tolist(), strict=True))
        tokenizer = self._model.tokenizer
        text = "" if tokenizer is None or id == self._end else self._stream.push(tokenizer.token_bytes(id))
        finished = "end of text" if id == self._end else "stop" if self._stream.stopped else "length" if last else ""
        if finished:
            text += self._stream.finish()
        return Choice(id, text, float(logits[id]) - total, top, finished)


def generate(
    session: Session,
    prompt: str | Sequence[int],
    max_tokens: int,
    sampling: Sampling | None,
    stop: Sequence[str],
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Iterator[Token]:
    """See `Session.generate`. Everything is checked before the first token is asked for."""
    check_request(max_tokens, stop)
    if sampling is not None:
        session.sampling = sampling
    ids = prompt_ids(session.model, prompt)
    return _tokens(session, ids, max_tokens, Writer(session.model, stop), progress, cancelled)


def check_request(max_tokens: int, stop: Sequence[str]) -> None:
    """Raises SettingError."""
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 0:
        raise SettingError(f"max_tokens is {max_tokens!r}; it must be a whole number from 0")
    if isinstance(stop, str) or not all(isinstance(text, str) and text for text in stop):
        raise SettingError(f"stop is {stop!r}; it must be a sequence of texts that are not empty")


def prompt_ids(model: GPT2, prompt: str | Sequence[int]) -> list[int]:
    """Ids of a prompt. An empty one stands for a line break, the beginning of a text. Raises SettingError."""
    tokenizer = model.tokenizer
    if not isinstance(prompt, str):
        ids = [int(id) for id in model.check_ids(list(prompt))]
    elif tokenizer is None:
        raise SettingError(f"{model.name} has no tokenizer files; give token ids instead of a text")
    else:
        ids = tokenizer.encode(prompt or "\n")
    return ids or [0]


def _tokens(
    session: Session,
    ids: list[int],
    max_tokens: int,
    writer: Writer,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Iterator[Token]:
    half = max(1, session.context_size // 2)
    moved = half if len(ids) > session.context_size else 0
    place = len(ids)  # tokens of the whole text, also those the context has forgotten: decides the draws
    session.start(ids[-half:] if moved else ids)
    session.prefill_ms = 0.0
    session.finish_reason = "stopped"
    ahead = Ahead(session)
    for count in range(1, max_tokens + 1):
        if len(session.ids) > session.context_size:
            session.drop_all_but(half)
            moved = half
        left = min(session.context_size - len(session.ids), max_tokens - count)
        session.reserve(len(session.ids) + left)
        if not session.prefill(progress if count == 1 or moved else None, cancelled):
            return
        if cancelled is not None and cancelled():
            return
        began = time.perf_counter_ns()
        logits = ahead.logits(left)
        computed = time.perf_counter_ns() + session.advance_ns
        choice = writer.choose(logits, session.sampling, session.ids, place, count == max_tokens)
        session.ids.append(choice.id)
        ahead.chosen(choice.id)
        place += 1
        now = time.perf_counter_ns() + session.advance_ns
        if choice.finished:
            session.finish_reason = choice.finished
        yield token(choice, session.times, computed - began, now - computed, moved)
        if choice.finished:
            return
        moved = 0
    session.finish_reason = "length"


def token(choice: Choice, times: npt.NDArray[np.int64], computing: int, sampling: int, moved: int = 0) -> Token:
    """A token with its times, all in ns: of each operation, of computing the logits, and of choosing."""
    op_ms = {name: ns * 1e-6 for name, ns in zip(OPERATIONS, times.tolist(), strict=True)}
    op_ms["sampling"] = sampling * 1e-6
    ms = (computing + sampling) * 1e-6
    return Token(choice.id, choice.text, choice.logprob, choice.top, ms, op_ms, moved)
