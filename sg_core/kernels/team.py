"""Threads that run one compiled call together, with a spin barrier between its operations.

Each thread of the team enters the same nogil function with its own number; inside, `barrier` keeps them in step
for well under a microsecond. Between calls the helpers sleep on a lock, so an idle program uses no CPU.
"""

from __future__ import annotations

import os
import platform
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from sg_core.kernels.jit import kernel
from sg_core.kernels.simd import cgutils, data_pointer, intrinsic

# Cells of the barrier's int64 array, each on a cache line of its own.
_COUNT, _PHASE, _CELLS = 8, 24, 40
_SPINS = 2000  # then the thread yields: with more threads than cores spinning alone would starve the others
_MACHINE = platform.machine()


@intrinsic
def _atomic_add(typing, cells, index, amount):  # type: ignore[no-untyped-def]
    """Add to an int64 cell; returns the value before."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = builder.gep(data_pointer(context, builder, sig.args[0], args[0]), [args[1]])
        return builder.atomic_rmw("add", place, args[2], "acq_rel")

    return types.int64(cells, types.int64, types.int64), generate


@intrinsic
def _atomic_load(typing, cells, index):  # type: ignore[no-untyped-def]
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


@intrinsic
def _pause(typing):  # type: ignore[no-untyped-def]
    """Tell the core that this is a spin loop."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if _MACHINE in ("x86_64", "AMD64"):
            name, arguments = "llvm.x86.sse2.pause", []
        elif _MACHINE in ("aarch64", "arm64"):
            name, arguments = "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]  # YIELD
        else:
            return context.get_dummy_value()
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in arguments])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _yield_core(typing):  # type: ignore[no-untyped-def]
    """sched_yield of the C library, declared by name so that compiled code can be cached."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(32), []), "sched_yield")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), generate


@kernel
def barrier(cells: Any, threads: int) -> None:
    """Wait until all `threads` have come here."""
    if threads == 1:
        return
    phase = _atomic_load(cells, _PHASE)
    if _atomic_add(cells, _COUNT, 1) == threads - 1:
        _atomic_store(cells, _COUNT, 0)
        _atomic_store(cells, _PHASE, phase + 1)
        return
    spins = 0
    while _atomic_load(cells, _PHASE) == phase:
        spins += 1
        if spins < _SPINS:
            _pause()
        else:
            _yield_core()


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
    """A number of threads, the caller's included. Not to be shared by two callers at once: give each its own."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.cells = np.zeros(_CELLS, np.int64)
        self._workers: list[_Worker] = []
        self._pid = os.getpid()
        weakref.finalize(self, _dismiss, self._workers)

    def run(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call `function(thread, threads, cells, *arguments)` in every thread; it must end with a barrier."""
        threads, cells = self.threads, self.cells
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


def _dismiss(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.hand(None)


def physical_cores() -> int:
    """Cores this process may use, hyper-threads counted once where the system tells."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    siblings = set()
    try:
        for cpu in os.sched_getaffinity(0):
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as file:
                siblings.add(file.read())
    except (OSError, AttributeError):
        return usable
    return len(siblings) or usable
