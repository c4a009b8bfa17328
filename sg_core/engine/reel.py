"""Tokens at a pace that can be read: computed a few at a time with warm caches, shown one by one."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

from sg_core.checks import number
from sg_core.engine.events import Done, Event, InterventionsSet, TokenEvent
from sg_core.engine.generation import Generation
from sg_core.engine.outbox import Outbox

BURST = 4  # tokens computed without a rest: the first one warms the caches, the others tell the time of a token


class Reel:
    """Shows the tokens of a generation, at once or at a pace; what it has told ahead of its time waits in groups."""

    def __init__(self, outbox: Outbox, look: Callable[[Generation, int, bool], bool]) -> None:
        """look: called with a generation, how many tokens came after the one to be looked into, and whether there is
        time for each; whether that took time."""
        self._outbox, self._look = outbox, look
        self._pause = 0.0  # seconds between two tokens
        self._due = 0.0  # when the next one may be shown, in seconds of time.perf_counter
        self._groups: deque[deque[Event]] = deque()
        self._over = False  # the last group holds the end

    def set_pace(self, tokens_per_second: float) -> None:
        """From the next token on; 0: as fast as they come. Raises SettingError."""
        number("tokens_per_second", tokens_per_second, 0.0)
        self._pause, self._due = 1.0 / tokens_per_second if tokens_per_second > 0.0 else 0.0, 0.0

    def rest(self, generation: Generation | None) -> float:
        """Seconds until the next token is due."""
        if self._pause == 0.0 or generation is None or generation.cancelled:
            return 0.0
        return max(0.0, self._due - time.perf_counter())

    def advance(self, generation: Generation) -> bool:
        """Show one token more; False when the generation is over, which has then been told."""
        if generation.cancelled:
            self.cut(generation)
            return False
        if self._pause == 0.0:
            going_on = self.show_all() and generation.advance()
            generation.rested = (going_on and self._look(generation, 0, False)) or generation.rested
            return going_on
        if not self._groups:
            self._fill(generation, self._pause)
        going_on = self._show()
        self._due = time.perf_counter() + self._pause
        return going_on

    def _fill(self, generation: Generation, seconds: float) -> None:
        """Let the generation write up to BURST tokens, fewer once `seconds` have gone. Raises what it raises."""
        end = time.perf_counter() + seconds
        generation.rested, self._over = True, False
        while not self._over and len(self._groups) < BURST:
            group: deque[Event] = deque()
            self._outbox.into(group)
            try:
                self._over = not generation.advance()
            finally:
                self._outbox.into(self._outbox.events)
                self._groups.append(group)
            if time.perf_counter() >= end:
                break
        self._look_back(generation)

    def _look_back(self, generation: Generation) -> None:
        """After a burst each of its tokens is looked into, if that is wanted: what is seen comes with its token."""
        written = [group for group in self._groups if any(isinstance(event, TokenEvent) for event in group)]
        for back, group in enumerate(reversed(written)):
            self._outbox.into(group)
            try:
                self._look(generation, back, True)
            finally:
                self._outbox.into(self._outbox.events)

    def tell(self, event: InterventionsSet) -> None:
        """After the tokens that are computed already."""
        (self._groups[-1] if self._groups else self._outbox.events).append(event)

    def _show(self) -> bool:
        """Tell the next group; False when it was the end of the generation."""
        self._outbox.events.extend(self._groups.popleft())
        return bool(self._groups) or not self._over

    def show_all(self) -> bool:
        """Tell what is held back; False when the end was among it."""
        over = self._over and bool(self._groups)
        while self._groups:
            self._show()
        return not over

    def cut(self, generation: Generation) -> None:
        """A stop: what was not shown never was, and the generation ends."""
        self._due = 0.0
        unseen = [event for group in self._groups for event in group]
        self._groups.clear()
        lost = Counter(event.number for event in unseen if isinstance(event, TokenEvent))
        ends: deque[Event] = deque(event for event in unseen if isinstance(event, Done | InterventionsSet))
        self._outbox.into(ends)
        generation.end()
        self._outbox.into(self._outbox.events)
        for event in ends:
            if isinstance(event, Done) and lost[event.number]:
                event = replace(event, reason="stopped", tokens=event.tokens - lost[event.number], rest="")
            self._outbox.emit(event)
