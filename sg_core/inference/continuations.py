"""Several continuations of one prompt, decoded in one pass over the weights a token."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sg_core.errors import SettingError
from sg_core.inference.generation import Writer, check_request, prompt_ids, token
from sg_core.inference.sampling import Sampling
from sg_core.inference.token import Token
from sg_core.memory import aligned

if TYPE_CHECKING:
    from sg_core.inference.session import Session
    from sg_core.network.parameters import FloatArray

MOST = 64  # continuations at once


def generate_many(
    session: Session,
    prompt: str | Sequence[int],
    n: int,
    max_tokens: int,
    sampling: Sampling | None,
    stop: Sequence[str],
    cancelled: Callable[[], bool] | None,
) -> Iterator[tuple[int, Token]]:
    """See `Session.generate_many`. Everything is checked before the first token is asked for."""
    check_request(max_tokens, stop)
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MOST:
        raise SettingError(f"n is {n!r}; it must be a whole number from 1 to {MOST}")
    if sampling is not None:
        session.sampling = sampling
    ids = prompt_ids(session.model, prompt)
    if len(ids) + max_tokens > session.context_size + 1:
        raise SettingError(
            f"{len(ids)} tokens of prompt and {max_tokens} more do not fit the context of {session.context_size}; "
            "several continuations can't move it: ask for fewer tokens or shorten the prompt"
        )
    lines = [_Line(number, session, stop) for number in range(n)]
    return _steps(session, ids, lines, max_tokens, cancelled)


class _Line:
    """One of the continuations. Its draws are those of a generation with its own seed."""

    def __init__(self, number: int, session: Session, stop: Sequence[str]) -> None:
        self.number = number
        self.sampling = replace(session.sampling, seed=session.sampling.seed + number)
        self.writer = Writer(session.model, stop)
        self.ids: list[int] = []


class _Caches:
    """A KV cache for each continuation: copies of the session's, which holds the prompt."""

    def __init__(self, session: Session, count: int, positions: int) -> None:
        self.count = count
        self._session = session
        self._position = len(session.ids)
        self._cache = session.cache.copies(count, positions, self._position)
        self._logits = aligned(count, session.model.config.vocab_size)

    def decode(self, ids: list[int]) -> FloatArray:
        """The last token of each continuation -> logits (n, V) of the next."""
        self._position += 1
        new = np.array(ids, np.int32)[:, None]
        self._session.run(new, self._position, self._cache, self._logits, (0, self.count))
        return self._logits[: self.count]

    def drop(self, place: int) -> None:
        """Forget a continuation; the last one takes its place."""
        self.count -= 1
        self._cache.move(self.count, place)


def _steps(
    session: Session, prompt: list[int], lines: list[_Line], max_tokens: int, cancelled: Callable[[], bool] | None
) -> Iterator[tuple[int, Token]]:
    session.start(prompt)
    session.prefill_ms = 0.0
    session.finish_reason = "stopped"
    session.reserve(len(prompt))
    if not session.prefill(None, cancelled):
        return
    caches: _Caches | None = None
    for count in range(1, max_tokens + 1):
        if cancelled is not None and cancelled():
            return
        began = time.perf_counter_ns()
        if caches is None:
            rows = np.repeat(session.decode(), len(lines), axis=0)
            began -= session.advance_ns
            caches = _Caches(session, len(lines), len(prompt) + max_tokens)
        else:
            rows = caches.decode([line.ids[-1] for line in lines])
        computed = time.perf_counter_ns()
        over: list[int] = []
        for place, line in enumerate(lines):
            chosen_at = time.perf_counter_ns()
            text = [*prompt, *line.ids]
            choice = line.writer.choose(rows[place], line.sampling, text, len(text), count == max_tokens)
            line.ids.append(choice.id)
            if choice.finished:
                over.append(place)
            yield line.number, token(choice, session.times, computed - began, time.perf_counter_ns() - chosen_at)
        for place in reversed(over):
            lines[place] = lines[-1]
            lines.pop()
            caches.drop(place)
        if not lines:
            break
    session.finish_reason = "length"
