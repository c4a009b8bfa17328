"""What nobody foresaw, in a file that its owner alone can read: where it happened, and on what machine.

Messages name the file, so that it can be sent to whoever can mend it.
"""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

from sg_core import paths
from sg_core.files import shown

_NAME = "crash-"
_KEPT = 20  # reports
_PACKAGES = ("sg_core", "numpy", "numba", "llvmlite", "textual", "rich", "tiktoken")
_written: dict[str, Path] = {}  # by traceback: what happens again and again is reported once


def unforeseen(error: BaseException) -> str:
    """One line that says what happened and names the report that was written of it."""
    what = f"internal error: {type(error).__name__}: {shown(' '.join(str(error).split()))[:300]}"
    path = write_report(error)
    return what if path is None else f"{what}; a report of it is in {shown(path)}"


def write_report(error: BaseException) -> Path | None:
    """The report of an error, new or written before; None where no file can be made."""
    trace = "".join(traceback.format_tb(error.__traceback__))
    if trace in _written:
        return _written[trace]
    folder = paths.data_dir()
    path = folder / f"{_NAME}{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{len(_written)}.txt"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_report(error))
    except OSError:
        return None
    _written[trace] = path
    for old in sorted(folder.glob(f"{_NAME}*.txt"))[:-_KEPT]:
        with suppress(OSError):
            old.unlink()
    return path


def _report(error: BaseException) -> str:
    loaded = [(name, sys.modules[name]) for name in _PACKAGES if name in sys.modules]
    versions = [f"{name} {getattr(module, '__version__', '')}" for name, module in loaded]
    machine = f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} processors"
    system = ", ".join([f"Python {platform.python_version()}", *versions])
    return f"{system}\n{machine}\n\n{''.join(traceback.format_exception(error))}"
