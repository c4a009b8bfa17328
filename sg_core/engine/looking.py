"""Looking inside the text of a session: the token a person chose, or the newest one while tokens come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sg_core.engine.commands import Bench, Generate, Load, Look, MeasureHeads, Scale
from sg_core.engine.events import HeadsMeasured, Looked
from sg_core.engine.generation import Generation
from sg_core.engine.inbox import Inbox, Order
from sg_core.engine.outbox import Outbox
from sg_core.errors import SgError
from sg_core.text.text_stream import TextStream
from sg_core.types import Cancelled

if TYPE_CHECKING:
    from sg_core.inference.decoder import Decoder
    from sg_core.inference.session import Session
    from sg_core.network.interventions import Interventions
    from sg_core.text.tokenizer import Tokenizer

EVERY = 0.06  # seconds between two looks at the newest token: each of a reading pace is seen
SHARE = 4  # looking rests for so many times as long as it took


class Looking:
    """Used by the engine thread alone."""

    def __init__(self, outbox: Outbox) -> None:
        self.following = False  # the newest token while tokens come
        self.split = False  # and why it came, then
        self.scales: tuple[Scale, ...] = ()  # in force
        self._outbox = outbox
        self._asked: dict[type, Order] = {}
        self._not_before = 0.0
        self._written: tuple[object, dict[int, str]] = (None, {})  # special tokens of a tokenizer, as they are written

    def follow(self, generation: Generation, back: int, each: bool) -> bool:
        """Look into the token that `back` others followed, if that is due, which it is for `each`; whether it was."""
        session, began = generation.session, time.perf_counter()
        decoder, ids = session.decoder, session.ids
        before = len(ids) - 1 - back
        if (not each and began < self._not_before) or not _seen(decoder, before):
            return False
        try:
            self._tell(session, generation.request, before - decoder.first, ids[before], len(ids), live=True)
        except SgError as problem:  # the generation goes on
            self.following = False
            self._outbox.fail(problem, "Look")
        took = time.perf_counter() - began
        self._not_before = began + max(EVERY, (1 + SHARE) * took)
        return True

    # ------------------------------------------------------------ what was asked for

    def ask(self, order: Order) -> None:
        """To be answered as soon as possible; of one kind the newest alone is."""
        self._asked[type(order.command)] = order

    @property
    def asked(self) -> bool:
        """Whether something is to be answered."""
        return bool(self._asked)

    @property
    def next_asked(self) -> Order | None:
        """What is to be answered next."""
        return next(iter(self._asked.values()), None)

    def answered(self, order: Order) -> None:
        """It has been, or has failed."""
        if self._asked.get(type(order.command)) is order:
            del self._asked[type(order.command)]

    def answer(self, order: Order, session: Session, inbox: Inbox, *, writing: bool) -> None:
        """Look, or measure. writing: the session's text is being written. Raises SgError."""
        command = order.command

        def cancelled() -> bool:
            return inbox.closed or inbox.stopped(order) or inbox.holds(type(command), Generate, Load, Bench)

        if isinstance(command, Look):
            self._look(session, command, writing, cancelled)
        elif isinstance(command, MeasureHeads):
            self._measure(session, command, writing, cancelled)

    def _look(self, session: Session, command: Look, writing: bool, cancelled: Cancelled) -> None:
        prompt = session.prompt_ids(command.prompt)
        ids = [*prompt, *command.ids]
        if len(ids) < 2:
            raise SgError("nothing lies before the first token; choose a later one")
        place = self._reach(session, ids[:-1], writing, cancelled)
        if place is not None:
            self._tell(session, command.request, place, ids[-1], len(prompt), rival=command.rival)

    def _measure(self, session: Session, command: MeasureHeads, writing: bool, cancelled: Cancelled) -> None:
        from sg_core.inference.inside import measure_heads

        stop: int | None = None
        if not writing:  # else the newest tokens that there are
            stop = self._reach(session, [*session.prompt_ids(command.prompt), *command.ids], writing, cancelled)
            if stop is None:
                return
        began = time.perf_counter()
        shares = measure_heads(session.decoder, stop)
        self._outbox.emit(HeadsMeasured(command.request, shares, (time.perf_counter() - began) * 1e3))

    def _reach(self, session: Session, before: list[int], writing: bool, cancelled: Cancelled) -> int | None:
        """How many tokens of a text the model sees at its end; what comes before the last one is computed then.

        None once cancelled; raises SgError.
        """
        from sg_core.inference.branch import window_start

        decoder, first = session.decoder, window_start(len(before), session.context_size)
        held = decoder.leave()
        there = first == held.first and held.ids[: len(before)] == before and held.computed >= len(before) - first - 1
        if writing and not there:
            raise SgError("the model does not see this place while it writes; stop it to look there")
        if not there:
            session.turn_to(before)
            session.lookup.forget(decoder.start(before))
            decoder.reserve(decoder.positions)
        tell = self._outbox.phase
        if writing or decoder.prefill(lambda done, total: tell("prefill", "", done, total), cancelled):
            return len(before) - first
        return None

    def _tell(
        self, session: Session, request: int, place: int, token: int, prompt: int, *, rival: int | None = None,
        live: bool = False,
    ) -> None:  # fmt: skip
        """Look inside a token at a place of what is seen. prompt: so many tokens of the text were given."""
        from sg_core.inference.inside import look

        began = time.perf_counter()
        decoder, tokenizer = session.decoder, session.tokenizer
        inside = look(decoder, place, token, rival, split=self.split or not live)
        texts = () if tokenizer is None else self._texts(tokenizer, inside.ids, prompt - decoder.first)

        def word(id: int) -> str:
            return "" if tokenizer is None else tokenizer.token_bytes(id).decode("utf-8", "replace")

        best = tuple(word(row.best) for row in inside.lens.rows)
        other = "" if inside.why is None else word(inside.why.rival)
        took = (time.perf_counter() - began) * 1e3
        self._outbox.emit(Looked(request, live, inside, texts, best, word(token), other, self.scales, took))

    def _texts(self, tokenizer: Tokenizer, ids: Sequence[int], prompt: int) -> tuple[str, ...]:
        """Texts of tokens, safe to concatenate; special ones among the first `prompt` as they are written."""
        if self._written[0] is not tokenizer:
            special = {id: token for token, id in tokenizer.vocabulary.items() if id in tokenizer.special_ids}
            self._written = (tokenizer, special)
        special, decoder, stream = self._written[1], tokenizer.decoder(), TextStream()
        texts = [stream.push(decoder.push(id)) for id in ids]
        for number, id in enumerate(ids[: max(0, prompt)]):
            texts[number] = special.get(id, texts[number])
        return tuple(texts)


def interventions(scales: Sequence[Scale]) -> Interventions:
    """What heads and MLPs are multiplied by. Raises SettingError."""
    from sg_core.network.interventions import Interventions

    made = Interventions()
    for one in scales:
        if one.head is None:
            made = made.scale_mlp(one.layer, one.factor)
        else:
            made = made.scale_head(one.layer, one.head, one.factor)
    return made


def _seen(decoder: Decoder, before: int) -> bool:
    """Whether the decoder sees what it saw when its text had so many tokens."""
    from sg_core.inference.branch import window_start

    return window_start(before, decoder.context_size) == decoder.first and before > decoder.first
