"""A prompt becomes a stream of tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sg_core.errors import ModelFileError, SettingError
from sg_core.kernels.ranking import likeliest
from sg_core.parameters import FloatArray
from sg_core.sampler import choose
from sg_core.sampling import Sampling
from sg_core.text_stream import TextStream
from sg_core.transformer import OPERATIONS

if TYPE_CHECKING:
    from sg_core.session import Session
    from sg_core.tokenizer import Tokenizer

TOP = 8  # alternatives told with every token


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token.

    text: safe to concatenate: bytes of an unfinished UTF-8 character, or of what may become a stop string, wait for a
    later token. logprob: natural log of the model's own probability, before temperature and filters. top: the
    likeliest (id, logprob). ms: computing and choosing it; op_ms: {operation: ms}, in order. context_moved: > 0 when
    the context was full just before this token, and only that many tokens were kept.
    """

    id: int
    text: str
    logprob: float
    top: tuple[tuple[int, float], ...]
    ms: float
    op_ms: dict[str, float]
    context_moved: int = 0


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
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 0:
        raise SettingError(f"max_tokens is {max_tokens!r}; it must be a whole number from 0")
    if isinstance(stop, str) or not all(isinstance(text, str) and text for text in stop):
        raise SettingError(f"stop is {stop!r}; it must be a sequence of texts that are not empty")
    if sampling is not None:
        session.sampling = sampling
    ids = _prompt_ids(session, prompt)
    return _tokens(session, ids, max_tokens, TextStream(tuple(stop)), progress, cancelled)


def _prompt_ids(session: Session, prompt: str | Sequence[int]) -> list[int]:
    """Ids of a prompt. An empty one stands for a line break, the beginning of a text."""
    tokenizer = session.model.tokenizer
    if not isinstance(prompt, str):
        ids = [int(id) for id in session.model.check_ids(list(prompt))]
    elif tokenizer is None:
        raise SettingError(f"{session.model.name} has no tokenizer files; give token ids instead of a text")
    else:
        ids = tokenizer.encode(prompt or "\n")
    return ids or [0]


def _tokens(
    session: Session,
    ids: list[int],
    max_tokens: int,
    stream: TextStream,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Iterator[Token]:
    model, half = session.model, max(1, session.context_size // 2)
    moved = half if len(ids) > session.context_size else 0
    place = len(ids)  # tokens of the whole text, also those the context has forgotten: decides the draws
    session.start(ids[-half:] if moved else ids)
    session.prefill_ms = 0.0
    session.finish_reason = "stopped"
    limit = model.config.vocab_size if model.tokenizer is None else model.tokenizer.vocab_size
    end = None if model.tokenizer is None else model.tokenizer.end_of_text
    for count in range(1, max_tokens + 1):
        if len(session.ids) > session.context_size:
            session.drop_all_but(half)
            moved = half
        session.reserve(min(session.context_size, len(session.ids) + max_tokens - count))
        if not session.prefill(progress if count == 1 or moved else None, cancelled):
            return
        if cancelled is not None and cancelled():
            return
        began = time.perf_counter_ns()
        logits = session.decode()[:limit]
        computed = time.perf_counter_ns()
        id, logprob, top = _pick(session, logits, place)
        session.ids.append(id)
        place += 1
        text = _text(stream, model.tokenizer, id, id == end)
        finished = "end of text" if id == end else "stop" if stream.stopped else "length" if count == max_tokens else ""
        if finished:
            text += stream.finish()
            session.finish_reason = finished
        now = time.perf_counter_ns()
        op_ms = {name: ns * 1e-6 for name, ns in zip(OPERATIONS, session.times.tolist(), strict=True)}
        op_ms["sampling"] = (now - computed) * 1e-6
        yield Token(id, text, logprob, top, (now - began) * 1e-6, op_ms, moved)
        if finished:
            return
        moved = 0
    session.finish_reason = "length"


def _pick(session: Session, logits: FloatArray, place: int) -> tuple[int, float, tuple[tuple[int, float], ...]]:
    """The next id, its log-probability, and the likeliest alternatives."""
    ids = np.empty(min(TOP, len(logits)), np.int64)
    logprobs = np.empty(len(ids), np.float64)
    total = likeliest(ids, logprobs, logits, np.empty_like(logits))
    if not np.isfinite(total):
        raise ModelFileError(f"{session.model.name} gives no usable scores (NaN or infinite); its weights are damaged")
    sampling = session.sampling
    if sampling.temperature == 0.0 and sampling.repetition_penalty == 1.0:
        id = int(ids[0])
    else:
        seen = np.unique(session.ids) if sampling.repetition_penalty != 1.0 else ids[:0]
        id = choose(logits, seen[seen < len(logits)], sampling, place)
    top = tuple(zip(ids.tolist(), logprobs.tolist(), strict=True))
    return id, float(logits[id]) - total, top


def _text(stream: TextStream, tokenizer: Tokenizer | None, id: int, is_end: bool) -> str:
    return "" if tokenizer is None or is_end else stream.push(tokenizer.token_bytes(id))
