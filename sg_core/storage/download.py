"""Fetching a file over HTTP: resumed where it broke off, stopped at once, verified before it gets its name."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

from sg_core.errors import DownloadError
from sg_core.files import make_folder, put_in_place, reason, shown
from sg_core.types import Progress

TIMEOUT = 10.0  # seconds without a byte
TRIES = 5  # in a row without a new byte
PAUSE = 1.0  # seconds before a server that is busy is asked again, twice as long each time
LONGEST_PAUSE = 120.0  # seconds that a server may ask for
BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers that another time may be better
_CHUNK = 256 << 10
_POLL = 0.05  # seconds between two looks at `check`


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a server. sha256, git_sha1: hex digests of its bytes (git's: of its blob), None where not told.

    version: what tells it from later files of its name where there is no digest. headers: sent to its own host alone.
    """

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None
    version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def has_digest(self) -> bool:
        """Whether the bytes can be verified, and not only their number."""
        return self.sha256 is not None or self.git_sha1 is not None

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


def sha256_of(path: Path) -> str:
    """The hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        put_in_place(part, target)
    except OSError as problem:
        raise DownloadError(f"{shown(target)} can't be written: {reason(problem)}") from problem


def _tag(remote: RemoteFile) -> str:
    """Tells the versions of a file apart, so that one is never continued with the bytes of another."""
    known = remote.sha256 or remote.git_sha1 or f"{remote.size} {remote.version}"
    return known[:12] if remote.has_digest else hashlib.sha256(known.encode()).hexdigest()[:12]


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _fetch_part(remote: RemoteFile, part: Path, report: Progress, check: Callable[[], None]) -> None:
    """Asks again for the rest whenever the connection breaks off, as long as every few tries bring something."""
    patience, restarted = Patience(shown(remote.url), report, check), False
    while True:
        before = _length(part)
        if remote.size is not None and before >= remote.size:
            return
        try:
            _fetch_rest(remote, part, report, check)
            return
        except urllib.error.HTTPError as problem:
            if problem.code == 416 and problem.headers.get("Content-Range") == f"bytes */{before}":
                return  # nothing is missing
            if problem.code in BUSY:
                patience.wait(_cause(problem), problem.headers.get("Retry-After"))
                continue
            if problem.code != 416 or before == 0 or restarted:  # 416: what is kept is no part of this file
                raise DownloadError(f"{shown(remote.url)} can't be fetched: {_cause(problem)}") from problem
            part.unlink(missing_ok=True)
            restarted = True
            cause: Exception = problem
        except ValueError as problem:
            raise DownloadError(f"{shown(remote.url)} can't be fetched: {_cause(problem)}") from problem
        except (OSError, http.client.HTTPException) as problem:
            cause = problem
        if _length(part) > before:
            patience.renew()
        elif not patience.try_again() or isinstance(getattr(cause, "reason", None), OSError):
            raise DownloadError(f"{shown(remote.url)} can't be reached: {_cause(cause)}") from cause


class BusyError(DownloadError):
    """A server that answers, but has no time."""


class Patience:
    """How often a server is asked again in a row, and the pauses in between."""

    def __init__(self, what: str, report: Progress, check: Callable[[], None]) -> None:
        self._what, self._report, self._check = what, report, check
        self._tries = 0

    def renew(self) -> None:
        """Something arrived."""
        self._tries = 0

    def try_again(self) -> bool:
        """Count a try that brought nothing; False once there were too many."""
        self._tries += 1
        return self._tries < TRIES

    def wait(self, answer: str, retry_after: str | None) -> None:
        """A pause after a busy server's answer: as long as it asks for, told each second, over at a stop.

        Raises BusyError after too many tries, or when a longer pause is asked for than anybody waits for.
        """
        asked = _seconds(retry_after)
        if asked is not None and asked > LONGEST_PAUSE:
            raise BusyError(f"{self._what} asks for a pause of {asked:,.0f} seconds ({answer}); try again then")
        if not self.try_again():
            raise BusyError(f"{self._what} is busy ({answer}), {TRIES} times in a row; try again later")
        end = time.monotonic() + (PAUSE * 2 ** (self._tries - 1) if asked is None else asked)
        while (left := end - time.monotonic()) > 0:
            self._check()
            self._report(f"the server is busy ({answer}): asked again in {left:,.0f} s", 0, 0)
            time.sleep(min(left, _POLL))


def _seconds(retry_after: str | None) -> float | None:
    """A Retry-After header: seconds, or a date; None for anything else."""
    from email.utils import parsedate_to_datetime

    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _cause(problem: Exception) -> str:
    """One line, whatever the server has put into it."""
    if not isinstance(problem, urllib.error.HTTPError):
        inner = getattr(problem, "reason", problem)
        if isinstance(inner, OSError):
            return reason(inner)
        problem = inner if isinstance(inner, Exception) else problem
    return shown(" ".join(str(problem).split()))[:200] or type(problem).__name__


def _fetch_rest(remote: RemoteFile, part: Path, report: Progress, check: Callable[[], None]) -> None:
    start = _length(part)
    request = urllib.request.Request(remote.url, headers={"User-Agent": "sg-tui", "Accept-Encoding": "identity"})
    for name, value in remote.headers.items():
        request.add_header(name, value)
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


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to another host without the credentials that were meant for the first."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> Any:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and _origin(newurl) != _origin(req.full_url):
            request.remove_header("Authorization")
            request.remove_header("Cookie")
        return request


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def _opener() -> urllib.request.OpenerDirector:
    import ssl

    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # some Pythons come without any certificate
    proxies = urllib.request.getproxies()
    for scheme in ("http", "https"):
        if "all" in proxies:
            proxies.setdefault(scheme, proxies["all"])
    handlers = (urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context), _Redirects())
    return urllib.request.build_opener(*handlers)


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
