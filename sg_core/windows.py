"""What Windows tells of memory and processors, where other systems have /proc, sysconf and getrusage: kernel32 knows.

Every function raises OSError where it is not told.
"""

from __future__ import annotations

import ctypes
from typing import Any

_CORE = 0  # RelationProcessorCore


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("physical", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),
    )


class _MemoryCounters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("faults", ctypes.c_uint32),
        ("peak", ctypes.c_size_t),
        ("others", ctypes.c_size_t * 7),
    )


class _Processors(ctypes.Structure):
    """SYSTEM_LOGICAL_PROCESSOR_INFORMATION: logical processors that have something in common."""

    _fields_ = (("mask", ctypes.c_size_t), ("relation", ctypes.c_int), ("others", ctypes.c_uint64 * 2))


def kernel32() -> Any:
    """The library."""
    if not hasattr(ctypes, "WinDLL"):
        raise OSError("this is not Windows")
    library = ctypes.WinDLL("kernel32")
    library.GetCurrentProcess.restype = ctypes.c_void_p
    return library


def available_memory() -> int:
    """Bytes of memory that can be taken without swapping."""
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    _require(kernel32().GlobalMemoryStatusEx(ctypes.byref(status)))
    return int(status.available)


def peak_memory() -> int:
    """The most bytes of memory that this process has held."""
    library, counters = kernel32(), _MemoryCounters(length=ctypes.sizeof(_MemoryCounters))
    process = ctypes.c_void_p(library.GetCurrentProcess())
    _require(library.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.length))
    return int(counters.peak)


def affinity() -> int:
    """The logical processors that this process may use, a bit each."""
    library, allowed, there = kernel32(), ctypes.c_size_t(), ctypes.c_size_t()
    process = ctypes.c_void_p(library.GetCurrentProcess())
    _require(library.GetProcessAffinityMask(process, ctypes.byref(allowed), ctypes.byref(there)))
    return allowed.value


def physical_cores() -> int:
    """The cores that have a processor which this process may use."""
    library, length, allowed = kernel32(), ctypes.c_uint32(), affinity()
    library.GetLogicalProcessorInformation(None, ctypes.byref(length))  # tells how much there is to tell
    table = (_Processors * (length.value // ctypes.sizeof(_Processors)))()
    _require(library.GetLogicalProcessorInformation(table, ctypes.byref(length)))
    return sum(row.relation == _CORE and bool(row.mask & allowed) for row in table)


def _require(done: int) -> None:
    if not done:
        raise OSError("Windows does not tell")
