"""Standard streams, which may be closed for this process (`>&-`): their numbers must not go to a file it opens."""

from __future__ import annotations

import os
import sys

from sg_core.errors import DataError

LARGEST = 1 << 26  # bytes of a text that a command reads as a whole


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


def can_be_asked() -> bool:
    """Whether a person can answer what is asked on standard error."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def standard_input(instead: str) -> bytes:
    """All of standard input.

    Raises DataError where it has more than LARGEST bytes, and where it is closed, saying what to do instead.
    """
    if sys.stdin is None:
        raise DataError(f"standard input is closed; {instead}")
    data = sys.stdin.buffer.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise DataError(f"standard input has more than {LARGEST:,} bytes; at most so many are read")
    return data
