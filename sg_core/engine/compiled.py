"""Which kernels are compiled, and compiling what is not, in the engine's thread; a stop is seen between two of them."""

from __future__ import annotations

from collections.abc import Callable

from sg_core.engine.outbox import Outbox
from sg_core.engine.parts import Parts
from sg_core.errors import SgError
from sg_core.network.precisions import PRECISIONS
from sg_core.types import Cancelled, Progress


class StoppedError(SgError):
    """Work was given up because someone asked for it."""


class Compiled:
    """Used by the engine thread alone. parts: gives those that compute, imported at their first use."""

    def __init__(self, parts: Callable[[], Parts], outbox: Outbox) -> None:
        self._parts, self._outbox = parts, outbox
        self._ready: set[str] = set()

    def require(self, kernels: str, cancelled: Cancelled) -> None:
        """kernels: "training" (with those of f32, which it samples with), or what `Precision.kernels` tells.

        Raises StoppedError.
        """
        warm_up = self._parts().warm_up
        go_on(cancelled)
        if kernels in self._ready:
            return

        training = kernels == "training"
        warm_up(training, self._progress(cancelled), PRECISIONS[0] if training else kernels)
        self._ready |= {kernels, PRECISIONS[0]} if training else {kernels}

    def require_adapters(self, kernels: str, cancelled: Cancelled, *, training: bool = False) -> None:
        """As `require`, what adapters on weights of this kind need."""
        wanted = f"adapters {kernels}" + (" training" if training else "")
        if wanted not in self._ready:
            self._parts().warm_up_adapters(training, self._progress(cancelled), kernels)
            self._ready.add(wanted)

    def progress(self, what: str, cancelled: Cancelled) -> Progress:
        """For something that compiles by itself: silent once that is `done`."""
        return _nothing if what in self._ready else self._progress(cancelled)

    def done(self, what: str) -> None:
        """It is compiled now."""
        self._ready.add(what)

    def _progress(self, cancelled: Cancelled) -> Progress:
        """Tells what is compiled, and ends that when cancelled."""

        def progress(what: str, done: int, total: int) -> None:
            self._outbox.phase("compiling", what, done, total)
            go_on(cancelled)

        return progress


def _nothing(what: str, done: int, total: int) -> None:
    """No progress is told of what is there already."""


def go_on(cancelled: Cancelled) -> None:
    """Raises StoppedError once cancelled."""
    if cancelled():
        raise StoppedError("stopped")
