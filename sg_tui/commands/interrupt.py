"""Ctrl-C as a wish that work looks at between two pieces, instead of an exception in the middle of one.

A request to end (SIGTERM) and the end of the terminal (SIGHUP; on Windows SIGBREAK) are the same wish.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

from sg_tui.commands.output import Output

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]


class Interrupt:
    """Within the block the first of these signals only sets `asked`; the second one ends the process at once.

    code: the exit code that tells the signal, as shells count: 130 for Ctrl-C.
    """

    def __init__(self) -> None:
        self.asked = False
        self.code = 128 + signal.SIGINT
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.asked

    def end(self, output: Output, program: str) -> int:
        """Tell that it was interrupted; the exit code."""
        output.error(program, "interrupted")
        return self.code

    def hear(self, code: int) -> None:
        """Another process has had the signal of this exit code; 0 is none."""
        if code and not self.asked:
            self.asked, self.code = True, code

    def __enter__(self) -> Interrupt:
        self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked, self.code = True, 128 + number
        # not an exception: compiled code would hold it back until it returns
        for one in SIGNALS:
            signal.signal(one, signal.SIG_DFL)
