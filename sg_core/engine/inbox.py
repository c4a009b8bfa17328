"""The commands on their way into the engine thread, and what has been asked to stop."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from array import array
from collections import deque
from dataclasses import dataclass

from sg_core.engine.commands import Command

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Order:
    """A command with its number, 1 for the first, and the time it was given (seconds of time.perf_counter)."""

    number: int
    command: Command
    at: float


class Inbox:
    """`put`, `stop` and `close` may be called from any thread, everything else from the engine thread alone."""

    def __init__(self) -> None:
        self.count = 0  # commands put so far
        self.closed = False
        self.urgent = array("q", [0])  # 1 from when something comes until it is seen; read by compiled code too
        self._stopped = 0  # number of the last command that a stop covers
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._arrived: deque[Order] = deque()

    def put(self, command: Command) -> None:
        """Add a command."""
        with self._lock:
            self.count += 1
            self._queue.put(Order(self.count, command, time.perf_counter()))
        self.urgent[0] = 1

    def stop(self) -> None:
        """What was asked for until now is to stop; what is asked for later is not concerned."""
        with self._lock:
            self._stopped = self.count
        self.wake()  # a generation that rests between two tokens ends now

    def wake(self) -> None:
        """Let the engine thread look around."""
        self._queue.put(None)
        self.urgent[0] = 1

    def close(self) -> None:
        """Wake the engine thread for the last time."""
        self.closed = True
        self.wake()

    def stopped(self, order: Order) -> bool:
        """Whether a stop came after this command."""
        return order.number <= self._stopped

    def take(self, wait: float) -> Order | None:
        """The oldest command, None when there is none.

        wait: so many seconds are slept at most (FOREVER: any number), less when something comes, is stopped or closed.
        """
        self._receive()
        if self._arrived:
            return self._arrived.popleft()
        if wait <= 0.0 or self.closed:
            return None
        with contextlib.suppress(queue.Empty):
            return self._queue.get(timeout=None if wait == FOREVER else wait)
        return None

    def put_back(self, orders: list[Order]) -> None:
        """Let commands that were taken be the next ones again, in their order."""
        self._arrived.extendleft(reversed(orders))

    def waiting(self) -> bool:
        """Whether a command waits."""
        self._receive()
        return bool(self._arrived)

    def holds(self, *kinds: type) -> bool:
        """Whether a command of one of these kinds waits."""
        self._receive()
        return any(isinstance(order.command, kinds) for order in self._arrived)

    def _receive(self) -> None:
        self.urgent[0] = 0
        while not self._queue.empty():
            order = self._queue.get()
            if order is not None:
                self._arrived.append(order)
