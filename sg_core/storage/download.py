"""Fetching a file over HTTP: resumed where it broke off, stopped at once, verified before it gets its name."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Generic, TypeVar

from sg_core.errors import DownloadError
from sg_core.files import make_folder, reason, shown
from sg_core.types import Cancelled, Progress

T = TypeVar("T")

TIMEOUT = 10.0  # seconds without a byte
TRIES = 5  # in a row without a new byte
_CHUNK = 256 << 10
_POLL = 0.05  # seconds between two looks at `cancelled`


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a server. sha256, git_sha1: hex digests of its bytes (git's: of its blob), None where not told."""

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None

    def is_whole(self, path: Path) -> bool:
        """Whether the file at `path` has the length and the digest it should have."""
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if self.size is not None and size != self.size:
                    return False
                if self.sha256 is not None:
                    return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
                if self.git_sha1 is not None:
                    return _git_digest(file, size) == self.git_sha1
                return True
        except OSError:
            return False


def _git_digest(file: BufferedReader, size: int) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    while part := file.read(_CHUNK):
        digest.update(part)
    return digest.hexdigest()


def fetch(remote: RemoteFile, target: Path, report: Progress, check: Callable[[], None]) -> None:
    """Downloads into `target`, which appears when it is whole and verified; until then its bytes wait beside it.

    report: called with (name, bytes of this file done, its size or 0). check: called between two reads, raises to
    stop. Raises DownloadError; what has arrived is then kept, unless it is wrong, and the next call goes on there.
    """
    if remote.is_whole(target):
        return
    make_folder(target.parent, DownloadError)
    part = target.with_name(f"{target.name}.{_tag(remote)}.part")
    resumed = _length(part) > 0
    _fetch_part(remote, part, report, check)
    if not remote.is_whole(part) and resumed:  # what was kept may have been the wrong beginning
        part.unlink(missing_ok=True)
        _fetch_part(remote, part, report, check)
    if not remote.is_whole(part):
        length = _length(part)
        part.unlink(missing_ok=True)
        raise DownloadError(
            f"{shown(remote.url)} sent {length:,} bytes that are not {shown(remote.name)} (length or checksum "
            "differs); nothing was installed"
        )
    try:
        os.replace(part, target)
    except OSError as problem:
        raise DownloadError(f"{shown(target)} can't be written: {reason(problem)}") from problem


def _tag(remote: RemoteFile) -> str:
    """Tells the versions of a file apart, so that one is never continued with the bytes of another."""
    return (remote.sha256 or remote.git_sha1 or str(remote.size))[:12]


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _fetch_part(remote: RemoteFile, part: Path, report: Progress, check: Callable[[], None]) -> None:
    """Asks again for the rest whenever the connection breaks off, as long as every few tries bring something."""
    fruitless, restarted = 0, False
    while True:
        before = _length(part)
        if remote.size is not None and before >= remote.size:
            return
        try:
            _fetch_rest(remote, part, report, check)
            return
        except urllib.error.HTTPError as problem:
            if problem.code != 416 or before == 0 or restarted:  # 416: what is kept is no part of this file
                raise DownloadError(f"{shown(remote.url)} can't be fetched: {problem}") from problem
            part.unlink(missing_ok=True)
            restarted = True
            cause: Exception = problem
        except ValueError as problem:
            raise DownloadError(f"{shown(remote.url)} can't be fetched: {problem}") from problem
        except (OSError, http.client.HTTPException) as problem:
            cause = problem
        fruitless = 0 if _length(part) > before else fruitless + 1
        if fruitless == TRIES or isinstance(getattr(cause, "reason", None), OSError):
            raise DownloadError(f"{shown(remote.url)} can't be reached: {_cause(cause)}") from cause


def _cause(problem: Exception) -> str:
    inner = getattr(problem, "reason", problem)
    return reason(inner) if isinstance(inner, OSError) else str(inner) or type(inner).__name__


def _fetch_rest(remote: RemoteFile, part: Path, report: Progress, check: Callable[[], None]) -> None:
    start = _length(part)
    request = urllib.request.Request(remote.url, headers={"User-Agent": "sg-tui"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    check()
    with _opener().open(request, timeout=TIMEOUT) as response, _appending(part) as file:
        if start and (response.status != 206 or not _begins_at(response, start)):
            start = 0
            file.truncate(0)
        announced = None if response.length is None else start + response.length
        if remote.size is not None and announced not in (None, remote.size):
            raise DownloadError(
                f"{shown(remote.url)} would send {announced:,} bytes, but {shown(remote.name)} has {remote.size:,}; "
                "nothing was installed"
            )
        total = remote.size if remote.size is not None else announced
        done = start
        report(remote.name, done, total or 0)
        while chunk := response.read1(_CHUNK):
            check()
            _write(file, chunk, part)
            done += len(chunk)
            report(remote.name, done, total or 0)
            if remote.size is not None and done > remote.size:
                return
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise ConnectionError(f"the connection broke off after {done:,} of {total:,} bytes")


def _begins_at(response: http.client.HTTPResponse, start: int) -> bool:
    return (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-")


@contextlib.contextmanager
def _appending(path: Path) -> Iterator[FileIO]:
    try:
        file = FileIO(path, "ab")  # not buffered: a killed program keeps what has arrived
    except OSError as problem:
        raise DownloadError(f"{shown(path)} can't be written: {reason(problem)}") from problem
    with file:
        yield file


def _write(file: FileIO, data: bytes, path: Path) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as problem:
        raise DownloadError(f"{shown(path)} can't be written: {reason(problem)}") from problem


def _opener() -> urllib.request.OpenerDirector:
    import ssl

    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # some Pythons come without any certificate
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))


@contextlib.contextmanager
def exclusive(path: Path, report: Progress, check: Callable[[], None]) -> Iterator[None]:
    """Waits until no other download, of this program or another one, holds the lock file `path`; then holds it."""
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
        except OSError as problem:
            raise DownloadError(f"{shown(path)} can't be locked: {reason(problem)}") from problem
    try:
        yield
    finally:
        lock.release()


def require_space(folder: Path, wanted: int, what: str) -> None:
    """Raises DownloadError, before anything is fetched, when the disk of `folder` has less than `wanted` bytes."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < wanted:
        raise DownloadError(
            f"{what} needs {wanted / 1e6:,.0f} MB on the disk of {shown(folder)}, of which {free / 1e6:,.0f} MB are "
            "free; make room, or choose another folder with SG_HOME"
        )


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
