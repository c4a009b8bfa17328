"""How kernels are compiled: one decorator, one cache folder a version of the sources."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numba.core.config

from sg_core import paths

F = TypeVar("F", bound=Callable[..., Any])

# Not "nnan"/"ninf": tests for NaN must keep working. Not "reassoc" here: see REASSOCIATE.
FASTMATH = {"contract", "nsz", "arcp", "afn"}
# For sums inside one row, whose order depends on nothing but the row's length.
REASSOCIATE = FASTMATH | {"reassoc"}


def sources_digest() -> str:
    """A digest of every kernel source: Numba itself does not notice changes in another file."""
    digest = hashlib.sha256(numba.__version__.encode())
    folder = Path(__file__).parent
    for source in sorted([*folder.glob("*.py"), *(folder.parent / name for name in ("transformer.py", "backward.py"))]):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def _choose_cache() -> str | None:
    """The folder of compiled kernels, or None when none can be written (then kernels live in memory only)."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return str(os.environ["NUMBA_CACHE_DIR"])
    try:
        folder = paths.kernels_dir() / sources_digest()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK) or folder.stat().st_uid != os.getuid():
            return None
    except OSError:
        return None
    return str(folder)


CACHE_FOLDER = _choose_cache()
if CACHE_FOLDER is not None:
    _config: Any = numba.core.config
    _config.CACHE_DIR = CACHE_FOLDER
kernels: list[Any] = []


def kernel(function: F) -> F:
    """Compile at first call, without the interpreter lock, floating-point order kept."""
    return _decorate(function, FASTMATH)


def row_kernel(function: F) -> F:
    """As `kernel`, but sums may be vectorised: for code that treats one row at a time."""
    return _decorate(function, REASSOCIATE)


def _decorate(function: F, fastmath: set[str]) -> F:
    compile_lazily: Any = numba.njit(nogil=True, cache=CACHE_FOLDER is not None, fastmath=fastmath, error_model="numpy")
    compiled = compile_lazily(function)
    kernels.append(compiled)
    return cast(F, compiled)
