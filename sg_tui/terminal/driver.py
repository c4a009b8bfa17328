"""The terminal as it can be: bytes that are no text arrive, it may go away, the program may be stopped."""

from __future__ import annotations

import codecs
import contextlib
from typing import IO, Any

from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver

HANG_UP = 129  # the exit code of a program whose terminal is gone: 128 + SIGHUP


class SteadyDriver(LinuxDriver):
    """Textual's driver ends the program at a byte that is not UTF-8, waits for ever for a terminal that is gone, and
    reads keys twice after a SIGSTOP."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._file: Any = PatientFile(self._file)

    def _sigcont_application(self, *_: object) -> None:
        if self._auto_restart and not self._must_signal_resume:
            # a plain SIGSTOP took nothing down: or a second thread would read keys beside the first
            self.suspend_application_mode()
            self._must_signal_resume = True
        super()._sigcont_application()

    def run_input_thread(self) -> None:
        """Read keys until the end; where the terminal is gone, leave."""
        linux_driver.getincrementaldecoder = tolerant  # type: ignore[attr-defined]
        try:
            super().run_input_thread()
        except OSError:
            self._app.call_later(self._app.exit, return_code=HANG_UP)


class PatientFile:
    """A terminal's output; what a terminal that is gone refuses goes nowhere, and nobody waits for it."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """As a file does, without a complaint."""
        with contextlib.suppress(OSError, ValueError):
            self._file.write(text)

    def flush(self) -> None:
        """As a file does, without a complaint."""
        with contextlib.suppress(OSError, ValueError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def tolerant(encoding: str) -> Any:
    """A maker of decoders as codecs.getincrementaldecoder gives it; a byte that can't be read becomes U+FFFD."""
    decoder = codecs.getincrementaldecoder(encoding)
    return lambda errors="replace": decoder(errors)
