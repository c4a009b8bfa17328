"""Compile the kernels for a processor and system that need not be here, and tell what the machine code asks for.

    python tests/core/compile_elsewhere.py TARGET [ENTRY ...]

For each entry (all, or those named) and list of argument types a line of JSON: the names that it leaves to the system,
those of them that the system has not, and how many additions and fused multiply-adds of whole vectors it has. Ends
with 1 where a name is missing. TARGETS are what there are wheels of Numba for, with two kinds of x86-64 processor. None
of the code runs. Numba itself compiles, by a code generator that has another target machine and no engine to load it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
import numba
from numba import _helperlib, types
from numba.core import codegen, cpu, intrinsics, registry
from object_symbols import undefined_symbols

# Numba's own annotations describe none of these.
config: Any = numba.config
typeof: Any = numba.typeof
helpers: Any = _helperlib
context_class: Any = cpu.CPUContext

_AVX2 = "+sse4.2,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+popcnt,+lzcnt,+cx16"
_AVX512 = f"{_AVX2},+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"
_ZEN4 = f"{_AVX512},+avx512vnni,+avx512bf16,+sse4a"
_X86 = {"additions": r"vaddps\b.*%{}mm", "multiply_adds": r"vfn?m(?:add|sub)\d+ps\b.*%{}mm"}
_YMM, _ZMM = ({what: text.format(size) for what, text in _X86.items()} for size in "yz")
_NEON = {"additions": r"fadd(?:\.4s|\s+v\d+\.4s)", "multiply_adds": r"fml[as](?:\.4s|\s+v\d+\.4s)"}
_C = frozenset({"memcpy", "memset", "memmove"})
_POSIX = _C | {"clock_gettime", "sched_yield"}
# kernels.system registers these; _fltused says only that there are floats.
_WINDOWS = _C | {"QueryPerformanceCounter", "QueryPerformanceFrequency", "SwitchToThread", "__chkstk", "_fltused"}


@dataclass(frozen=True)
class Target:
    """system, machine: as Python calls them. names: what the system has. vectors: instructions, as patterns."""

    triple: str
    system: str
    machine: str
    processor: str
    features: str
    names: frozenset[str]
    vectors: dict[str, str]


_LINUX, _PC, _ARM = "x86_64-unknown-linux-gnu", "x86_64-pc-windows-msvc", "aarch64-unknown-linux-gnu"
TARGETS = {
    "linux-avx2": Target(_LINUX, "linux", "x86_64", "znver3", _AVX2, _POSIX, _YMM),
    "linux-zen4": Target(_LINUX, "linux", "x86_64", "znver4", _ZEN4, _POSIX, _ZMM),
    "linux-arm": Target(_ARM, "linux", "aarch64", "cortex-a72", "+neon", _POSIX, _NEON),
    "linux-arm-dots": Target(_ARM, "linux", "aarch64", "neoverse-n1", "+neon,+dotprod", _POSIX, _NEON),
    "macos": Target("arm64-apple-macosx12.0.0", "darwin", "arm64", "apple-m1", "+neon", _POSIX | {"bzero"}, _NEON),
    "windows-avx2": Target(_PC, "win32", "amd64", "znver3", _AVX2, _WINDOWS, _YMM),
    "windows-avx512": Target(_PC, "win32", "amd64", "znver4", _AVX512, _WINDOWS, _ZMM),
}


@dataclass(frozen=True)
class Code:
    """Machine code of an entry for some types of arguments."""

    entry: str
    assembly: str
    undefined: set[str]


class _Library(codegen.CPUCodeLibrary):
    def _finalize_specific(self) -> None:
        """Nothing is loaded."""


class _Codegen(codegen.CPUCodegen):
    """Numba's own passes, for a target machine whose code is never run."""

    _library_class = _Library

    def __init__(self, target: Target) -> None:
        self._target = target
        super().__init__("elsewhere")  # type: ignore[no-untyped-call]

    def _init(self, llvm_module: Any) -> None:
        x86 = self._target.triple.startswith("x86")
        self._tm_features = self._target.features
        self.machine = self._tm = llvm.Target.from_triple(self._target.triple).create_target_machine(
            cpu=self._target.processor,
            features=self._target.features,
            opt=config.OPT,
            reloc="static" if x86 else "default",
            codemodel="jitdefault",
            jit=True,
        )
        self._target_data = self._tm.target_data
        self._data_layout = str(self._target_data)
        self._loopvect, self._opt_level = False, 0

    def _create_empty_module(self, name: str) -> Any:
        module: Any = super()._create_empty_module(name)  # type: ignore[no-untyped-call]
        module.triple = self._target.triple
        return module

    def _add_module(self, module: Any) -> None:
        """There is no engine."""


class _Entry:
    """Stands for an entry: a call compiles it for the types of its arguments, and returns 0."""

    def __init__(self, dispatcher: Any, keep: Callable[[Code], None], wanted: list[str]) -> None:
        self._dispatcher, self._keep = dispatcher, keep
        self._name: str = dispatcher.__name__
        self.__wrapped__ = dispatcher.py_func  # so that `inspect.signature` tells its arguments
        self._wanted = not wanted or self._name in wanted
        self._done: set[tuple[Any, ...]] = set()
        dispatcher.targetoptions |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

    def __call__(self, *arguments: Any) -> int:
        kinds = tuple(types.none if argument is None else typeof(argument) for argument in arguments)
        if self._wanted and kinds not in self._done:
            self._done.add(kinds)
            self._dispatcher.compile(kinds)
            library = self._dispatcher.overloads[kinds].library
            machine, module = library.codegen.machine, library._final_module
            undefined = undefined_symbols(machine.emit_object(module))
            self._keep(Code(self._name, machine.emit_assembly(module), undefined))
        return 0


def _unloaded(context: Any, library: Any, *_: Any) -> Any:
    """In the place of what Python would call, by which Numba tells functions apart: a new one each time."""
    library._ensure_finalized()
    return [].append


def compile_for(target: Target, wanted: list[str], keep: Callable[[Code], None]) -> None:
    """Compile what generation and training call, or the entries that are named, for a target.

    Once in a process, before any kernel is imported: their vectors are as long as the target's.
    """
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    context: Any = registry.cpu_target.target_context
    context._internal_codegen = _Codegen(target)
    context_class.get_executable = _unloaded
    config.CPU_FEATURES, config.CPU_NAME = target.features, target.processor
    from sg_core.kernels import by_address, jit, system

    system.SYSTEM, system.MACHINE = target.system, target.machine
    kernel: Any = jit.kernel
    jit.entry = lambda function: _Entry(kernel(function), keep, wanted)  # type: ignore[assignment,return-value]
    by_address.address_of = lambda entry, arguments: int(entry(*arguments))  # compiled, and nowhere

    from sg_core.measure import compilation

    for precision in ("f32", "int8"):
        compilation.warm_up(True, precision=precision, window=True, adapters=True, recompute=True, teachers=True)
        compilation.warm_up_adapters(True, precision=precision)
        compilation.warm_up_scores(precision=precision)
        compilation.warm_up_losses(precision=precision)
    compilation.warm_up(True, optimizer="muon")


def missing(code: Code, target: Target) -> set[str]:
    """The names that nobody has: neither the system nor Numba, which brings mathematics and functions of its own."""
    return code.undefined - target.names - intrinsics.INTR_MATH - {f"numba_{name}" for name in helpers.c_helpers}


def main() -> int:
    target, faults = TARGETS[sys.argv[1]], set()

    def tell(code: Code) -> None:
        faults.update(missing(code, target))
        row = {"entry": code.entry, "names": sorted(code.undefined), "missing": sorted(missing(code, target))}
        counts = {what: len(re.findall(pattern, code.assembly)) for what, pattern in target.vectors.items()}
        print(json.dumps(row | counts), flush=True)

    compile_for(target, sys.argv[2:], tell)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
