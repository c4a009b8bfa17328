"""Memory: how much there is, asked before much of it is taken, and arrays that begin where vectors like it."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core import windows
from sg_core.errors import SgError

_LINE = 64  # bytes of a cache line, and of the widest vector
_CGROUPS = (  # the file of a limit, the folder of what is in use
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory"),
)


def aligned(*shape: int, zero: bool = False) -> npt.NDArray[np.float32]:
    """A float32 array that begins at a cache line: vectors then never straddle two, which costs products a sixth.

    Not zeroed unless asked; either way the system hands out a page when it is first written.
    """
    size = math.prod(shape)
    room = (np.zeros if zero else np.empty)(size + _LINE // 4, np.float32)
    start = -room.ctypes.data % _LINE // 4
    array: npt.NDArray[np.float32] = room[start : start + size].reshape(shape)
    return array


def give_back(array: npt.NDArray[Any]) -> None:
    """Pages of a mapped file that were read are the system's again: a look through all of it then takes no memory."""
    mapped: Any = array
    while mapped is not None and not isinstance(mapped, mmap.mmap):
        mapped = getattr(mapped, "base", None)
    if sys.platform != "win32" and mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def available_memory() -> int | None:
    """Bytes that can be taken without swapping, within the container's limit; None where no one tells.

    On macOS all that there are: it tells no such figure.
    """
    if sys.platform == "win32":
        with contextlib.suppress(OSError):
            return windows.available_memory()
        return None
    figures: list[int] = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                figures.append(int(line.split()[1]) * 1024)
    if not figures:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            figures.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit, used in _CGROUPS:
        with contextlib.suppress(OSError, ValueError):
            most = int(Path(limit).read_text("ascii"))
            figures.append(max(0, most - _taken(Path(used))))
    return min(figures, default=None)


def _taken(folder: Path) -> int:
    """Bytes of a control group that can't be had: those in use, without the files' that would be dropped for others."""
    for name in ("memory.current", "memory.usage_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            used = int((folder / name).read_text("ascii"))
            lines = (folder / "memory.stat").read_text("ascii").splitlines()
            files = [int(line.split()[1]) for line in lines if line.startswith(("inactive_file ", "active_file "))]
            return max(0, used - sum(files))
    return 0


def require_memory(wanted: int, what: str, error: type[SgError], advice: str = "choose a smaller model") -> None:
    """Raises `error` when `what` needs more bytes than there are; passes where no one tells."""
    available = available_memory()
    if available is not None and wanted > available:
        raise error(
            f"{what} needs {_gigabytes(wanted)} of memory, of which {_gigabytes(available)} are free; "
            f"close other programs or {advice}"
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
