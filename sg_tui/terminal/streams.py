"""Standard streams that were closed for this process (`>&-`): their numbers must not go to a file it opens."""

from __future__ import annotations

import os
import sys


def hold_closed() -> None:
    """Give closed standard descriptors to the null device.

    Afterwards sys.stderr can be written; sys.stdin and sys.stdout are None where they were closed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the process ends)


def on_terminal() -> bool:
    """Whether a person sits at both ends: standard input and output."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
