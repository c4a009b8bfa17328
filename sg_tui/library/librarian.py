"""A thread that owns the store: the screen never waits for a disk."""

from __future__ import annotations

import queue
import sqlite3
import threading
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path

from sg_core.storage.lock import FileLock, HeldError
from sg_tui.library.store import SESSION, Place, Store
from sg_tui.library.unkept import TextNews, Unkept
from sg_tui.terminal.textsafe import safe_line

Work = Callable[[Store], None]
RETRY = 2.0  # seconds between two attempts to keep what no file takes


class Librarian:
    """Does what it is asked in order. `notices` holds lines for the person, drained by the app.

    What is to be kept stays in memory until a file has it: the library, or another one beside it or among the
    temporary files. The thread is a daemon: a disk that hangs can't keep the program from ending.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        self.notices: deque[str] = deque()
        self.unsafe = False  # something is in memory alone, since no file takes it
        self._folder = folder
        self._session = uuid.uuid4().hex
        self._unkept = Unkept(self._session)
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._told: set[str] = set()
        self._parting = ""
        self._thread = threading.Thread(target=self._run, name="sg-library", daemon=True)
        self._thread.start()

    def ask(self, work: Work) -> None:
        """Do `work` with the store, on the librarian's thread; what it raises becomes a notice."""
        self._work.put(work)

    def keep(self, item: TextNews | Place) -> None:
        """Keep this, in whatever file takes it."""
        self._work.put(lambda store: self._unkept.take(item))

    def close(self, timeout: float = 1.0) -> bool:
        """Finish what was asked, within `timeout` seconds; False if that was not enough."""
        self._work.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def parting(self) -> str:
        """Where the text is when it is not in the library, "" when it is: for the last line of the program."""
        if self._thread.is_alive():
            return "the disk of the library did not answer; what was written last may be missing"
        return self._parting

    def _run(self) -> None:
        folder = self._folder()
        lock = _session_lock(folder / f"{SESSION}{self._session}.lock")
        store = Store(folder)
        self._pass_on(store)
        while (work := self._next()) is not None:
            try:
                work(store)
            except sqlite3.Error as problem:
                self._tell(f"the library did not take this: {problem}; it is tried again at the next change")
            except Exception as problem:  # of one piece of work: the others must not suffer
                self._tell(f"the library could not do this: {problem}")
            if self._work.empty():
                self._write(store)
            self._pass_on(store)
        self._write(store)
        self._part(store)
        store.close()
        if lock is not None:
            lock.release()

    def _next(self) -> Work | None:
        """What was asked next; while something can't be kept, nothing to do but another attempt."""
        try:
            return self._work.get(timeout=RETRY if self.unsafe or self._unkept.due else None)
        except queue.Empty:
            return _nothing

    def _write(self, store: Store) -> None:
        """Keep what waits; where the library does not take it, in another file."""
        for _ in range(3):
            try:
                if self.unsafe and store.path is None:
                    store.step_aside("no file takes it")
                self._unkept.write(store)
                break
            except sqlite3.OperationalError as problem:
                store.step_aside(problem)
            except sqlite3.Error:  # damaged: a new one is there by now
                continue
            except Exception as problem:  # of one text: the thread must live for the others
                self._tell(f"the library could not take the text: {problem}")
                break
        self.unsafe = self._unkept.due or (store.path is None and self._unkept.holds_text)

    def _part(self, store: Store) -> None:
        if self.unsafe:
            self._parting = "the text could not be kept: no file takes it"
        elif store.aside and self._unkept.holds_text:
            self._parting = f"the text is kept in {store.path}, since the library can't be used; it joins it later"

    def _pass_on(self, store: Store) -> None:
        for notice in store.notices:
            self._tell(notice)
        store.notices.clear()

    def _tell(self, notice: str) -> None:
        """Each notice once, on one line."""
        notice = safe_line(notice)
        if notice not in self._told:
            self._told.add(notice)
            self.notices.append(notice)


def _nothing(store: Store) -> None:
    """No work."""


def _session_lock(path: Path) -> FileLock | None:
    """What tells other sessions that this one lives; None where no file can be made."""
    try:
        return FileLock(path)
    except (OSError, HeldError):
        return None
