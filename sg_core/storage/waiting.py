"""Work that may have to wait, for the network or for another program, and that can be given up at once."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from sg_core.errors import DownloadError
from sg_core.files import make_folder, reason, shown
from sg_core.types import Cancelled, Progress

T = TypeVar("T")

_POLL = 0.05  # seconds between two looks at `cancelled`
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # the disk knows no file locks


@contextlib.contextmanager
def exclusive(path: Path, report: Progress, check: Callable[[], None]) -> Iterator[None]:
    """Waits until no other download, of this program or another one, holds the lock file `path`; then holds it.

    On a disk without file locks (some network file systems) nobody waits: what is fetched is verified all the same.
    """
    from filelock import FileLock, Timeout

    make_folder(path.parent, DownloadError)
    lock = FileLock(path)
    while True:
        check()
        try:
            lock.acquire(timeout=_POLL)
            break
        except Timeout:
            report("waiting for another download of the same", 0, 0)
        except NotImplementedError:
            break
        except OSError as problem:
            if problem.errno in _NO_LOCKS:
                break
            raise DownloadError(f"{shown(path)} can't be locked: {reason(problem)}") from problem
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.release()


def interruptible(
    work: Callable[[Progress, Callable[[], None]], T],
    progress: Progress | None,
    cancelled: Cancelled | None,
) -> T:
    """Runs `work(report, check)` and gives its result; returns within a moment of `cancelled` turning True.

    The network may let a thread wait for seconds, so the work has one of its own, which is left behind: `check` makes
    it end, before it writes anything more. progress is called on the caller's thread, with the newest report only.
    Raises DownloadError when stopped, else what the work raises.
    """
    job: _Job[T] = _Job(work)
    thread = threading.Thread(target=job.run, name="sg-download", daemon=True)
    thread.start()
    shown_report: tuple[str, int, int] | None = None
    try:
        while True:
            ended = job.ended.wait(_POLL)
            if progress is not None and job.newest is not None and job.newest != shown_report:
                shown_report = job.newest
                progress(*shown_report)
            if ended:
                return job.result()
            if cancelled is not None and cancelled():
                raise DownloadError("the download was stopped; the next one goes on where it ended")
    finally:
        job.stopped.set()


class _Job(Generic[T]):
    """A piece of work on a thread of its own, with its outcome."""

    def __init__(self, work: Callable[[Progress, Callable[[], None]], T]) -> None:
        self.newest: tuple[str, int, int] | None = None
        self.stopped = threading.Event()
        self.ended = threading.Event()
        self._work = work
        self._outcome: list[T] = []
        self._problem: BaseException | None = None

    def run(self) -> None:
        try:
            self._outcome.append(self._work(self._report, self._check))
        except BaseException as problem:  # handed to the caller's thread
            self._problem = problem
        self.ended.set()

    def result(self) -> T:
        if self._problem is not None:
            raise self._problem
        return self._outcome[0]

    def _report(self, what: str, done: int, total: int) -> None:
        self.newest = (what, done, total)

    def _check(self) -> None:
        if self.stopped.is_set():
            raise DownloadError("stopped")
