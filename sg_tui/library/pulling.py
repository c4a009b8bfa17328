"""A model being fetched from the Hub on a thread of its own, watched and stopped from the screen."""

from __future__ import annotations

import threading
import time
from collections import deque

from sg_tui.figures import duration, size

WINDOW = 5.0  # seconds over which the speed is taken


class Pull:
    """`running` until it is here, stopped or failed; `trouble` then says why it is not here, "" where it is."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.running = True
        self.stopped = False
        self.trouble = ""
        self._told: tuple[str, int, int] = ("asking the Hub", 0, 0)
        self._past: deque[tuple[float, int]] = deque()  # when so many bytes had come
        threading.Thread(target=self._run, name="sg-pull", daemon=True).start()

    def stop(self) -> None:
        """Give it up; what has arrived is kept for the next time."""
        self.stopped = True

    def _run(self) -> None:
        from sg_core.errors import SgError

        try:
            from sg_core.storage.pull import pull

            pull(self.id, self._tell, lambda: self.stopped)
        except (SgError, OSError) as problem:
            self.trouble = str(problem)
        except Exception as problem:  # of a server or a library nobody foresaw: the screen must learn of the end
            self.trouble = f"{type(problem).__name__}: {problem}"
        finally:
            self.running = False

    def _tell(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        self._past.append((now, done))
        while now - self._past[0][0] > WINDOW:
            self._past.popleft()
        self._told = (what, done, total)

    @property
    def words(self) -> str:
        """How far it is: file, bytes, speed, time left."""
        what, done, total = self._told
        if not total:
            return what
        (first, before), (last, now) = (self._past or ((0.0, 0),))[0], (self._past or ((0.0, 0),))[-1]
        speed = (now - before) / (last - first) if last > first else 0.0
        parts = [f"{what}  {size(done)} of {size(total)}"]
        if speed > 0:
            parts += [f"{size(speed)}/s", f"{duration((total - done) / speed)} left"]
        return "   ".join(parts)

    @property
    def share(self) -> float:
        """From 0 to 1."""
        _, done, total = self._told
        return done / total if total else 0.0
