"""Threads that run one compiled call together, with a spin barrier between its operations.

Each thread of the team enters the same nogil function with its own number; inside, `barrier` keeps them in step
for well under a microsecond. Between calls the helpers sleep on a lock, so an idle program uses no CPU.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from sg_core.kernels.crowding import Crowding
from sg_core.kernels.jit import kernel
from sg_core.kernels.simd import data_pointer, intrinsic
from sg_core.kernels.system import nanoseconds, pause, yield_core
from sg_core.processors import allowed_threads
from sg_core.processors import physical_cores as physical_cores

# Cells of the barrier's int64 array, each on a cache line of its own. _LOST: nanoseconds waited after the spins.
_COUNT, _PHASE, _LOST, _CELLS = 8, 24, 40, 56
_SPINS = 2000  # then the thread yields: where another one needs its core, spinning alone would starve that


@intrinsic
def _atomic_add(typing, cells, index, amount):  # type: ignore[no-untyped-def]
    """Add to an int64 cell; returns the value before."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = builder.gep(data_pointer(context, builder, sig.args[0], args[0]), [args[1]])
        return builder.atomic_rmw("add", place, args[2], "acq_rel")

    return types.int64(cells, types.int64, types.int64), generate


@intrinsic
def atomic_load(typing, cells, index):  # type: ignore[no-untyped-def]
    """An int64 cell, as another thread has left it."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = builder.gep(data_pointer(context, builder, sig.args[0], args[0]), [args[1]])
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(cells, types.int64), generate


@intrinsic
def _atomic_store(typing, cells, index, value):  # type: ignore[no-untyped-def]
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = builder.gep(data_pointer(context, builder, sig.args[0], args[0]), [args[1]])
        builder.store_atomic(args[2], place, "release", 8)
        return context.get_dummy_value()

    return types.void(cells, types.int64, types.int64), generate


@kernel
def barrier(cells: Any, threads: int) -> None:
    """Wait until all `threads` have come here."""
    if threads == 1:
        return
    phase = atomic_load(cells, _PHASE)
    if _atomic_add(cells, _COUNT, 1) == threads - 1:
        _atomic_store(cells, _COUNT, 0)
        _atomic_store(cells, _PHASE, phase + 1)
        return
    for _ in range(_SPINS):
        if atomic_load(cells, _PHASE) != phase:
            return
        pause()
    began = nanoseconds()
    while atomic_load(cells, _PHASE) == phase:
        yield_core()
    _atomic_add(cells, _LOST, nanoseconds() - began)


@kernel
def share_start(count: int, thread: int, threads: int) -> int:
    """First index of a thread's contiguous share of `count`; the share ends where the next thread's starts."""
    return count * thread // threads


class _Worker:
    """One helper thread: sleeps until it is handed a call."""

    def __init__(self, number: int) -> None:
        self._wake = threading.Semaphore(0)
        self._call: Callable[[int], None] | None = None
        self._thread = threading.Thread(target=self._run, args=(number,), name=f"sg-core-{number}", daemon=True)
        self._thread.start()

    def hand(self, call: Callable[[int], None] | None) -> None:
        self._call = call
        self._wake.release()

    def _run(self, number: int) -> None:
        while True:
            self._wake.acquire()
            call, self._call = self._call, None
            if call is None:
                return
            call(number)
            del call  # keeps no arrays alive while it sleeps


class Team:
    """A number of threads, the caller's included. Not to be shared by two callers at once: give each its own.

    There are never more than this process may use, which is told; fewer compute while other programs hold the cores.
    """

    def __init__(self, threads: int) -> None:
        self._form(allowed_threads(threads))

    def another(self) -> Team:
        """One of as many threads, without asking the system again how many there may be."""
        team = Team.__new__(Team)
        team._form(self.threads)
        return team

    def _form(self, threads: int) -> None:
        self.threads = threads
        self._crowding = Crowding(self.threads)
        self._lost = 0  # nanoseconds that were lost before
        self.cells = np.zeros(_CELLS, np.int64)
        self._workers: list[_Worker] = []
        self._pid = os.getpid()
        weakref.finalize(self, _dismiss, self._workers)

    def run(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call `function(thread, threads, cells, *arguments)` in every thread; it must end with a barrier."""
        began = time.perf_counter()
        threads, cells = self._crowding.threads(began), self.cells
        if threads > 1:
            if self._pid != os.getpid():  # after a fork the helpers are gone
                self._workers.clear()
                self._pid = os.getpid()
            while len(self._workers) < threads - 1:
                self._workers.append(_Worker(len(self._workers) + 1))

            def call(thread: int) -> None:
                function(thread, threads, cells, *arguments)

            for worker in self._workers[: threads - 1]:
                worker.hand(call)
        function(0, threads, cells, *arguments)
        if threads > 1:
            lost, now = int(cells[_LOST]), time.perf_counter()
            self._crowding.observe(now, now - began, (lost - self._lost) / 1e9)
            self._lost = lost


def _dismiss(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.hand(None)
