"""How kernels are compiled: one decorator, one cache folder a version of the sources."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from sg_core import paths
from sg_core.errors import KernelError
from sg_core.kernels.cache import KernelCache
from sg_core.kernels.store import KernelStore

F = TypeVar("F", bound=Callable[..., Any])


def kernel_sources() -> list[Path]:
    """Every file of the package whose text compiled kernels depend on.

    These are the files here, those elsewhere that hold an entry or a kernel (they import this one), and what the latter
    import of the package: a constant of another file is compiled into a kernel.
    """
    package = Path(__file__).parents[1]
    sources = set(Path(__file__).parent.glob("*.py"))
    for file in package.rglob("*.py"):
        imported = re.findall(r"^from sg_core\.([\w.]+) import", file.read_text("utf-8"), re.MULTILINE)
        if "kernels.jit" in imported:
            named = (package.joinpath(*name.split(".")).with_suffix(".py") for name in imported)
            sources |= {file, *(path for path in named if path.is_file())}
    return sorted(sources)


def sources_digest() -> str:
    """A digest of every kernel source: Numba itself does not notice changes in another file."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in kernel_sources():
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


if cast(Any, numba.config).DISABLE_JIT:
    raise KernelError("NUMBA_DISABLE_JIT is set, and there are compiled kernels only; unset it")

_STAMP = sources_digest()
CACHE_FOLDER = os.environ.get("NUMBA_CACHE_DIR") or str(paths.kernels_dir() / _STAMP)
STORE = KernelStore(Path(CACHE_FOLDER))


def kernel(function: F) -> F:
    """Compile at first call, without the interpreter lock: a part of an entry."""
    return _decorate(function)


def part(function: F) -> F:
    """As `kernel`, but a line of its caller, as if written there: what it is passed, however much, is not copied."""
    return _decorate(function, inline="always")


def variant(*parts: object) -> Callable[[F], F]:
    """As `kernel`, for a function that is made several times, each time with other constants: `parts` tell them apart.

    Numba calls machine code by the function's name and a number that counts up in each process: beside an entry from
    the cache, a variant of the same name could be taken for another one.
    """

    def decorate(function: F) -> F:
        function.__qualname__ += "".join(f"_{part}" for part in parts)
        return kernel(function)

    return decorate


def entry(function: F) -> F:
    """As `kernel`, for what Python calls; its machine code is kept on disk.

    Only entries are cached: a part that came from the cache would be linked, not inlined, into an entry compiled later.
    """
    dispatcher: Any = _decorate(function)
    dispatcher._cache = KernelCache(function, STORE, _STAMP)  # what Numba's own `enable_caching` sets
    return cast(F, dispatcher)


def is_compiled(entry: Any) -> bool:
    """Whether an entry was compiled, or loaded, in this process: what only saves time does not wait for it."""
    return bool(entry.signatures)


def unordered(function: F) -> F:
    """As `kernel`, with sums in any order: for measuring, where a sum only stands for reading."""
    return _decorate(function, fastmath={"reassoc", "contract", "nsz"})


def _decorate(function: F, **options: Any) -> F:
    # No fast-math flag where numbers count: what the compiler may reorder or fuse, it does differently in a function
    # compiled now and in the same function loaded from the cache, and a resumed training would round differently.
    # _nrt=False: kernels make no arrays, so none of their references need be counted, which costs a small model 5%.
    decorate: Any = numba.njit  # Numba's annotations leave `_nrt` out
    return cast(F, decorate(nogil=True, error_model="numpy", _nrt=False, **options)(function))
