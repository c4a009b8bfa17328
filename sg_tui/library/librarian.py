"""A thread that owns the store: the screen never waits for a disk."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from sg_tui.library.store import Store

Work = Callable[[Store], None]


class Librarian:
    """Does what it is asked in order. `notices` holds lines for the person, drained by the app.

    The thread is a daemon: a disk that hangs can't keep the program from ending.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        self.notices: deque[str] = deque()
        self._folder = folder
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="sg-library", daemon=True)
        self._thread.start()

    def ask(self, work: Work) -> None:
        """Do `work` with the store, on the librarian's thread; what it raises becomes a notice."""
        self._work.put(work)

    def close(self, timeout: float = 1.0) -> bool:
        """Finish what was asked, within `timeout` seconds; False if that was not enough."""
        self._work.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        store = Store(self._folder())
        self._pass_on(store)
        while (work := self._work.get()) is not None:
            try:
                work(store)
            except sqlite3.Error as problem:
                self._tell(f"the library did not take this: {problem}; it is tried again at the next change")
            except Exception as problem:  # of one piece of work: the others must not suffer
                self._tell(f"the library could not do this: {problem}")
            self._pass_on(store)
        store.close()

    def _pass_on(self, store: Store) -> None:
        for notice in store.notices:
            self._tell(notice)
        store.notices.clear()

    def _tell(self, notice: str) -> None:
        """Each notice once."""
        if notice not in self._told:
            self._told.add(notice)
            self.notices.append(notice)
