"""One generation of the engine thread: a token a call, until it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sg_core.engine.commands import Generate
from sg_core.engine.events import ContextMoved, Done, Metrics, TokenEvent
from sg_core.engine.inbox import Order
from sg_core.engine.outbox import Outbox
from sg_core.measure.token_times import TokenTimes
from sg_core.types import Cancelled

if TYPE_CHECKING:
    from sg_core.inference.session import Session
    from sg_core.inference.token import Token


class Generation:
    """What a Generate command asked for, on its way. Ends with exactly one Done, or one Failed told by its owner.

    cancelled: asked before every token and within a long prompt; True ends it.
    weights_version: a number that changes with the weights; what was computed with older ones is computed again.
    """

    def __init__(
        self,
        order: Order,
        command: Generate,
        session: Session,
        outbox: Outbox,
        cancelled: Cancelled,
        weights_version: Callable[[], int] = int,
    ) -> None:
        self.request = command.request
        self.session = session
        self._given_at = order.at
        self._outbox = outbox
        self._cancelled = cancelled
        self._weights_version = weights_version
        self._version = weights_version()
        self._times = TokenTimes()
        self._drafted, self._accepted = session.lookup.drafted, session.lookup.accepted  # before
        self._count = 0
        self._first_token_ms = 0.0
        self._untold = False  # the newest figures have not gone out
        self._tokens = session.generate(
            command.prompt, command.max_tokens, command.sampling, command.stop, self._prefilled, cancelled
        )

    @property
    def cancelled(self) -> bool:
        """Whether `advance` would end it."""
        return self._cancelled()

    def advance(self) -> bool:
        """Write one token; False when the generation is over, which has then been told."""
        if self._cancelled():
            self.end("stopped")
            return False
        if self._version != self._weights_version():
            self._version = self._weights_version()
            self.session.precision = self.session.precision  # weights stored anew
            self.session.decoder.forget()
        token = next(self._tokens, None)
        if token is None:
            self.end(self.session.finish_reason)
            return False
        self._tell(token)
        return True

    def end(self, reason: str) -> None:
        """Tell the last figures and that it is over; what a stop finds held back is told too."""
        if self._untold:
            self._outbox.metrics(self._figures())
        rest = self._tokens.rest() if reason == "stopped" and self._count else ""
        self._outbox.emit(Done(self.request, reason, self._count, rest))

    def _prefilled(self, done: int, total: int) -> None:
        self._outbox.phase("prefill", "", done, total)

    def _tell(self, token: Token) -> None:
        self._count += 1
        if self._count == 1:
            self._first_token_ms = (time.perf_counter() - self._given_at) * 1e3
        if token.context_moved:
            self._outbox.emit(ContextMoved(self.request, token.context_moved))
        self._outbox.phase("decoding")
        used = self.session.optimizations
        self._outbox.emit(TokenEvent(self.request, token, self._top_texts(token), used, self.session.precision))
        self._times.add(token.ms, used.lookup)
        self._untold = self._count > 1 and not self._outbox.metrics_due()
        if not self._untold:
            self._outbox.metrics(self._figures())

    def _figures(self) -> Metrics:
        return Metrics(
            request=self.request,
            tokens=self._count,
            ms_per_token=self._times.per_token,
            p95_ms=self._times.p95,
            tokens_per_second=self._times.tokens_per_second,
            first_token_ms=self._first_token_ms,
            prefill_ms=self.session.prefill_ms,
            context_used=self.session.context_used,
            context_size=self.session.context_size,
            drafted=self.session.lookup.drafted - self._drafted,
            accepted=self.session.lookup.accepted - self._accepted,
        )

    def _top_texts(self, token: Token) -> tuple[str, ...]:
        """The texts of the alternatives; the bytes of a part of a character become U+FFFD."""
        tokenizer = self.session.tokenizer
        if tokenizer is None:
            return ("",) * len(token.top)
        return tuple(tokenizer.token_bytes(id).decode("utf-8", "replace") for id, _ in token.top)
