"""One generation of the engine thread: a token a call, or one of each continuation, until it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from sg_core.engine.commands import Generate
from sg_core.engine.events import ContextMoved, Done, Metrics, Prompted, TokenEvent
from sg_core.engine.inbox import Order
from sg_core.engine.outbox import Outbox
from sg_core.measure.token_times import TokenTimes
from sg_core.processors import taken_away
from sg_core.types import Cancelled

if TYPE_CHECKING:
    from sg_core.inference.session import Session
    from sg_core.inference.token import Token


class Generation:
    """What a Generate command asked for, on its way. Ends with a Done a continuation, or a Failed told by its owner.

    cancelled: asked before every token and within a long prompt; True ends it.
    weights_version: a number that changes with the weights; what was computed with older ones is computed again.
    waited_ms: how long the command had waited for other work before `order.at`.
    compiling: whether kernels are compiled meanwhile.
    """

    def __init__(
        self,
        order: Order,
        command: Generate,
        session: Session,
        outbox: Outbox,
        cancelled: Cancelled,
        weights_version: Callable[[], int] = int,
        waited_ms: float = 0.0,
        compiling: Callable[[], bool] = bool,
    ) -> None:
        self.request = command.request
        self.session = session
        self.rested = True  # something else was done before the next token: its caches are cold
        self._given_at, self._waited_ms = order.at, waited_ms
        self._told_at = 0.0
        self._interruptions = 0
        self.alone = command.n == 1  # one text, which is the session's
        self._outbox = outbox
        self._cancelled = cancelled
        self._weights_version, self._compiling = weights_version, compiling
        self._version = weights_version()
        self._times = TokenTimes()
        self._drafted, self._accepted = session.drafted, session.accepted  # before
        self._rounds = session.rounds
        self._counts = [0] * command.n  # tokens of each continuation
        self._running = set(range(command.n))
        self._first_token_ms = self._prefill_ms = 0.0
        self._untold = False  # the newest figures have not gone out
        ids = session.prompt_ids(command.prompt)
        asked = (command.max_tokens, command.sampling, command.stop, self._prefilled, cancelled)
        self._tokens: Iterator[tuple[int, Token]]
        self._reasons: Callable[[], list[str]]
        self._rest: Callable[[], list[str]]
        if command.n == 1:
            one = session.generate(ids, *asked)
            self._tokens = ((0, token) for token in one)
            self._reasons, self._rest = lambda: [session.finish_reason], lambda: [one.rest()]
        else:
            several = session.generate_many(ids, command.n, *asked)
            self._tokens, self._reasons, self._rest = several, lambda: several.reasons, several.rest
        branches = session.branches
        told = Prompted(
            self.request, tuple(ids), session.texts(ids), branches.kept, len(branches), branches.cache_bytes
        )
        outbox.emit(told)

    @property
    def cancelled(self) -> bool:
        """Whether `advance` would end it."""
        return self._cancelled()

    def advance(self) -> bool:
        """Write one token of each continuation; False when the generation is over, which has then been told."""
        if self._cancelled() or not self._running:
            self.end()
            return False
        if self._version != self._weights_version():
            self._version = self._weights_version()
            self.session.precision = self.session.precision  # weights stored anew
            self.session.decoder.forget()
        together = len(self._running)
        for _ in range(together):
            told = next(self._tokens, None)
            if told is None:
                self.end(self._reasons())
                return False
            self._tell(*told, together)
        return True

    def end(self, reasons: list[str] | None = None) -> None:
        """Tell the last figures and that it is over; what a stop finds held back is told too.

        reasons: why each continuation ended; None: a stop ends those that still run.
        """
        if self._untold:
            self._outbox.metrics(self._figures())
        reasons = reasons or ["stopped"] * len(self._counts)
        stopped = self._running and "stopped" in reasons and any(self._counts)
        rest = self._rest() if stopped else [""] * len(self._counts)
        for number in sorted(self._running):
            self._outbox.emit(Done(self.request, reasons[number], self._counts[number], rest[number], number))
        self._running.clear()

    def _prefilled(self, done: int, total: int) -> None:
        self._outbox.phase("prefill", "", done, total)

    def _tell(self, number: int, token: Token, together: int) -> None:
        """together: of so many tokens of one pass, which share its time."""
        now, interruptions = time.perf_counter(), taken_away()
        if not any(self._counts):
            self._first_token_ms, self._prefill_ms = (now - self._given_at) * 1e3, self.session.prefill_ms
        wall_ms = 0.0 if self.rested or together > 1 else (now - self._told_at) * 1e3
        lost = interruptions - self._interruptions if wall_ms else 0
        self.rested, self._told_at, self._interruptions = False, now, interruptions
        self._counts[number] += 1
        if token.context_moved:
            self._outbox.emit(ContextMoved(self.request, token.context_moved, number))
        self._outbox.phase("decoding")
        used, precision, texts = self.session.optimizations, self.session.precision, self._top_texts(token)
        beside = self._compiling()
        self._outbox.emit(TokenEvent(self.request, token, texts, used, precision, number, wall_ms, lost, beside))
        if wall_ms or together > 1 or sum(self._counts) == 1:  # others found cold caches
            self._times.add(token.ms / together, used.bursts and together == 1)
        self._untold = sum(self._counts) > 1 and not self._outbox.metrics_due()
        if not self._untold:
            self._outbox.metrics(self._figures())
        if len(self._counts) > 1 and (reason := self._reasons()[number]) != "stopped":
            self._running.discard(number)
            self._outbox.emit(Done(self.request, reason, self._counts[number], "", number))

    def _figures(self) -> Metrics:
        return Metrics(
            request=self.request,
            tokens=sum(self._counts),
            ms_per_token=self._times.per_token,
            p95_ms=self._times.p95,
            tokens_per_second=self._times.tokens_per_second,
            first_token_ms=self._first_token_ms,
            prefill_ms=self._prefill_ms,
            context_used=self.session.context_used,
            context_size=self.session.context_size,
            drafted=self.session.drafted - self._drafted,
            accepted=self.session.accepted - self._accepted,
            rounds=self.session.rounds - self._rounds,
            waited_ms=self._waited_ms,
        )

    def _top_texts(self, token: Token) -> tuple[str, ...]:
        """The texts of the alternatives; the bytes of a part of a character become U+FFFD."""
        tokenizer = self.session.tokenizer
        if tokenizer is None:
            return ("",) * len(token.top)
        return tuple(tokenizer.token_bytes(id).decode("utf-8", "replace") for id, _ in token.top)
