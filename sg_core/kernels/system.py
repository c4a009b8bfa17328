"""What compiled code asks of the system and of the core: the time, a pause, and to let another thread have the core.

Functions of the system are called by name, so that machine code from the cache finds them in a fresh process. On Linux
and macOS the C library has them; on Windows, whose C library has neither, they are kernel32's, registered at import.
"""

from __future__ import annotations

import platform
import sys
from typing import Any

from llvmlite import binding, ir
from numba import types

from sg_core.kernels.simd import FEATURES, I32, I64, WIDE, cgutils, i64, intrinsic

SYSTEM: str = sys.platform
MACHINE = platform.machine().lower()
_ARM = ("aarch64", "arm64")
_BILLION = 1_000_000_000
# CLOCK_MONOTONIC; on macOS that one counts microseconds, CLOCK_UPTIME_RAW nanoseconds.
_CLOCKS = {"darwin": 8}
_MONOTONIC = 1

if sys.platform == "win32":
    import ctypes

    # __chkstk: what LLVM calls on Windows in a function whose local variables fill more than a page.
    for _library, _names in {
        "kernel32": ("QueryPerformanceCounter", "QueryPerformanceFrequency", "SwitchToThread"),
        "ntdll": ("__chkstk",),
    }.items():
        for _name in _names:
            _address = ctypes.cast(getattr(ctypes.WinDLL(_library), _name), ctypes.c_void_p).value
            binding.add_symbol(_name, _address)


def vector_unit() -> str:
    """The name of what the vectors of `simd` are computed with."""
    if MACHINE in _ARM:
        return "NEON"
    return "AVX-512" if WIDE else "AVX2" if "+avx2" in FEATURES.split(",") else "SSE"


def _call(builder: Any, name: str, *arguments: Any) -> Any:
    """The int32 that a function of the system returns."""
    kind = ir.FunctionType(I32, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _clock_gettime(builder: Any) -> Any:
    place = cgutils.alloca_once(builder, ir.LiteralStructType([I64, I64]))
    _call(builder, "clock_gettime", ir.Constant(I32, _CLOCKS.get(SYSTEM, _MONOTONIC)), place)
    seconds, rest = (builder.load(builder.gep(place, [ir.Constant(I32, 0), ir.Constant(I32, i)])) for i in (0, 1))
    return builder.add(builder.mul(seconds, i64(_BILLION)), rest)


def _performance_counter(builder: Any) -> Any:
    """Whole seconds and the rest of one apart: ticks x 10^9 would overflow after a quarter of an hour."""
    place = cgutils.alloca_once(builder, I64)
    numbers = []
    for name in ("QueryPerformanceFrequency", "QueryPerformanceCounter"):
        _call(builder, name, place)
        numbers.append(builder.load(place))
    frequency, ticks = numbers
    seconds, rest = builder.udiv(ticks, frequency), builder.urem(ticks, frequency)
    part = builder.udiv(builder.mul(rest, i64(_BILLION)), frequency)
    return builder.add(builder.mul(seconds, i64(_BILLION)), part)


@intrinsic
def nanoseconds(typing):  # type: ignore[no-untyped-def]
    """The monotonic clock in ns (int64), read without the interpreter."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _performance_counter(builder) if SYSTEM == "win32" else _clock_gettime(builder)

    return types.int64(), generate


@intrinsic
def yield_core(typing):  # type: ignore[no-untyped-def]
    """Let another thread that is ready have this core; returns at once where there is none."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _call(builder, "SwitchToThread" if SYSTEM == "win32" else "sched_yield")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def pause(typing):  # type: ignore[no-untyped-def]
    """Tell the core that this is a spin loop."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if MACHINE in ("x86_64", "amd64"):
            name, arguments = "llvm.x86.sse2.pause", []
        elif MACHINE in _ARM:
            name, arguments = "llvm.aarch64.hint", [ir.Constant(I32, 1)]  # YIELD
        else:
            return context.get_dummy_value()
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in arguments])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
        return context.get_dummy_value()

    return types.void(), generate
