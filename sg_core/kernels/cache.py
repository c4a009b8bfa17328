"""Where Numba looks for machine code before it compiles, and leaves what it compiled.

Numba has an interface for this, `numba.core.caching._Cache`, and packs code by itself; its own files are read without
a check, and what is wrong with them ends the program. Code is unpacked here only after its checksum was found right.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba import config
from numba.core import caching, compiler, registry, serialize, sigutils

from sg_core.kernels.store import KernelStore, sweep_versions
from sg_core.kernels.units import BFLOAT16_TILES

# Numba's own annotations do not know these.
_compiler: Any = compiler
_config: Any = config
_serialize: Any = serialize
_sigutils: Any = sigutils
_FORMAT = "1"  # of what is kept; another number makes all that was kept foreign


class KernelCache(caching._Cache):
    """The cache of one kernel. `stamp` stands for the sources of all kernels."""

    def __init__(self, function: Callable[..., Any], store: KernelStore, stamp: str) -> None:
        self._store = store
        self._name = re.sub(r"[^\w.]", "_", f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}")
        source = Path(inspect.getfile(function))
        self._basis = (_FORMAT, stamp, function.__module__, function.__qualname__, source)

    @property
    def cache_path(self) -> str:
        """The folder."""
        return str(self._store.folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kernel compiled for `sig`, None when it is to be compiled."""
        target_context.refresh()
        code = self._store.load(self._name, self._key(_texts(sig)))
        if code is None:
            return None
        try:
            return _compiler.CompileResult._rebuild(target_context, *_serialize.loads(code))
        except Exception:  # as it was written, and yet this Numba can't use it: any kind of error
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for `sig`, unless it holds addresses of this process."""
        if data.library.has_dynamic_globals:
            return
        types = _texts(sig)
        _sweep_once(self._store.folder)
        self._store.save(self._name, types, self._key(types), _serialize.dumps(data._reduce()))

    def enable(self) -> None:
        """It always is."""

    def disable(self) -> None:
        """It never is."""

    def flush(self) -> None:
        """What is compiled anew takes the place of what was kept."""

    def kept(self) -> list[list[str]]:
        """The argument types, as text, for which verified code of this kernel lies in the folder."""
        seals, _ = self._store.survey(self._name)
        return [seal.types for seal in seals if seal.key == self._key(seal.types)]

    def _key(self, types: list[str]) -> str:
        """A digest of all that the machine code depends on."""
        *names, source = self._basis
        return hashlib.sha256(repr((*names, _file_digest(source), types, _surroundings())).encode()).hexdigest()


@cache
def _file_digest(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()


def _surroundings() -> tuple[object, ...]:
    """What else decides the code: versions, processor, what the system permits of it, and Numba's settings."""
    machine = registry.cpu_target.target_context.codegen().magic_tuple()
    return (
        numba.__version__,
        llvmlite.__version__,
        sys.implementation.cache_tag,
        machine,
        BFLOAT16_TILES,
        _config.OPT,
        _config.BOUNDSCHECK,
    )


def _texts(sig: Any) -> list[str]:
    types, _ = _sigutils.normalize_signature(sig)
    return [str(kind) for kind in types]


@cache
def _sweep_once(folder: Path) -> None:
    """Whoever compiles has a new version: older ones may go, and make room for it."""
    sweep_versions(folder)
