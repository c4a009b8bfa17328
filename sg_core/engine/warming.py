"""What looking inside needs is compiled before anyone asks, on a thread of its own: the engine goes on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sg_core.engine.outbox import Outbox
from sg_core.types import Progress

WHAT = "to look inside"
Kernels = tuple[str, bool]  # of a kind of precision; for adapters too
Compile = Callable[[Progress, str, bool], None]


class Warming:
    """Used by the engine thread alone. wake: called, from the other thread, when there is something new to tell."""

    def __init__(self, compile: Callable[[], Compile | None], outbox: Outbox, wake: Callable[[], None]) -> None:
        self._compile, self._outbox, self._wake = compile, outbox, wake
        self._thread: threading.Thread | None = None
        self._begun: set[Kernels] = set()
        self._ready: set[Kernels] = set()
        self._failure: Exception | None = None
        self._progress = (0, 0)
        self._working = False

    def begin(self, kernels: Kernels) -> None:
        """Compile these if that was never begun; one kind after another."""
        compile = self._compile()
        if compile is None or kernels in self._begun or self._working:
            return
        self._begun.add(kernels)
        self._progress, self._working = (0, 0), True
        self._thread = threading.Thread(target=self._work, args=(compile, kernels), name="sg-compile", daemon=True)
        self._thread.start()

    def ready(self, kernels: Kernels) -> bool:
        """Whether these are compiled; if that was not begun, it is. Raises what compiling them raised, once."""
        if kernels in self._ready or self._compile() is None:
            return True
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self._begun.discard(kernels)
            raise failure
        self.begin(kernels)
        return False

    def require(self, kernels: Kernels) -> None:
        """Return when these are compiled; what that waits for is told. Raises what compiling them raised."""
        while not self.ready(kernels):
            self._outbox.phase("compiling", WHAT, *self._progress)
            if self._thread is not None:
                self._thread.join(0.1)

    def tell(self) -> bool:
        """Tell how far it is, if it goes on."""
        if self._working:
            self._outbox.phase("preparing", WHAT, *self._progress)
        return self._working

    def _work(self, compile: Compile, kernels: Kernels) -> None:
        def progress(what: str, done: int, total: int) -> None:
            self._progress = (done, total)
            self._wake()

        try:
            compile(progress, *kernels)
            self._ready.add(kernels)
        except Exception as failure:  # told by whoever needs them
            self._failure = failure
        self._working = False
        self._wake()
