"""The clock and the yield of each system, called from compiled code by names that a fresh process knows."""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from llvmlite import binding

from sg_core.kernels import system
from sg_core.kernels.cache import KernelCache
from sg_core.kernels.jit import kernel
from sg_core.kernels.store import KernelStore
from sg_core.kernels.system import nanoseconds, pause, yield_core


def looked_at() -> Any:
    """The time, after everything else that is asked of a system."""
    pause()
    yield_core()
    return nanoseconds()


def compiled_anew(folder: Path) -> Any:
    """As a program that has just started has it."""
    dispatcher: Any = kernel(looked_at)
    dispatcher._cache = KernelCache(looked_at, KernelStore(folder), "sources")
    return dispatcher


def test_compiled_code_tells_the_time_that_python_tells(tmp_path: Path) -> None:
    for expected_hits in (0, 1):  # compiled, then from the cache
        look = compiled_anew(tmp_path)
        before = time.monotonic_ns()
        now = look()
        assert before <= now <= time.monotonic_ns()
        assert sum(look.stats.cache_hits.values()) == expected_hits


class Windows:
    """The functions of kernel32 that kernels call, under their names; `ticks` and `frequency` are what it counts."""

    def __init__(self, frequency: int) -> None:
        self.frequency, self.ticks, self.yields = frequency, 0, 0
        tell = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(ctypes.c_int64))
        self._functions: dict[str, Any] = {
            "QueryPerformanceFrequency": tell(lambda place: self._tell(place, self.frequency)),
            "QueryPerformanceCounter": tell(lambda place: self._tell(place, self.ticks)),
            "SwitchToThread": ctypes.CFUNCTYPE(ctypes.c_int32)(self._yield),
        }
        for name, function in self._functions.items():
            binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)

    def _tell(self, place: Any, value: int) -> int:
        place[0] = value
        return 1

    def _yield(self) -> int:
        self.yields += 1
        return 0


@pytest.mark.skipif(sys.platform == "win32", reason="the names are kernel32's own here")
def test_windows_counts_ticks_and_has_names_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "SYSTEM", "win32")
    windows = Windows(10_000_000)
    for expected_hits in (0, 1):
        look = compiled_anew(tmp_path)
        for windows.frequency, windows.ticks, expected in (
            (10_000_000, 123, 12_300),
            (10_000_000, 10**15, 10**17),  # three years: ticks x 10^9 would not fit 64 bits
            (3_579_545, 3_579_545 * 7 + 1, 7_000_000_279),
        ):
            assert look() == expected
        assert sum(look.stats.cache_hits.values()) == expected_hits
    assert windows.yields == 6
