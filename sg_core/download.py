"""The one file the engine fetches itself, tinyshakespeare: resumed after a break, verified before use."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from sg_core import paths
from sg_core.errors import DownloadError
from sg_core.files import read_bytes, replacing

Progress = Callable[[str, int, int], None]

NAME = "tinyshakespeare.txt"
URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
SIZE = 1_115_394
TIMEOUT = 20.0  # seconds without a byte
TRIES = 4
OFFER = "without network, train on python-docs (--data python-docs) or on a file (--data FILE)"

_CHUNK = 32 << 10


def tinyshakespeare(
    progress: Progress | None = None, cancelled: Callable[[], bool] | None = None, url: str = URL
) -> bytes:
    """The text: from the folder SG_DATASETS, the cache, or its public address; always verified by SHA-256.

    progress: called with (name, bytes done, bytes in all). Raises DownloadError, which offers what works
    offline; what has arrived until then is kept and the next call goes on from there.
    """
    cached = paths.datasets_dir() / NAME
    given = os.environ.get("SG_DATASETS")
    for path in [Path(given).expanduser() / NAME, cached] if given else [cached]:
        with contextlib.suppress(DownloadError):
            data = read_bytes(path, SIZE, DownloadError)
            if _is_right(data):
                return data
    data = _Download(url, cached.with_name(f"{NAME}.part"), progress, cancelled).run()
    with replacing(cached, DownloadError) as file:
        file.write(data)
    return data


def _is_right(data: bytes | bytearray) -> bool:
    return hashlib.sha256(data).hexdigest() == SHA256


class _Download:
    """One download in memory; `part` keeps what arrived when it breaks off, so a later one resumes."""

    def __init__(
        self, url: str, part: Path, progress: Progress | None, cancelled: Callable[[], bool] | None
    ) -> None:
        self._url = url
        self._part = part
        self._progress = progress
        self._cancelled = cancelled
        self._data = bytearray()
        with contextlib.suppress(DownloadError):
            self._data += read_bytes(part, SIZE, DownloadError)

    def run(self) -> bytes:
        resumed = bool(self._data)
        try:
            self._fetch_all()
            if not _is_right(self._data) and resumed:  # what was kept may have been the wrong part
                self._data.clear()
                self._fetch_all()
        except (urllib.error.HTTPError, ValueError) as problem:
            raise DownloadError(f"{self._url} can't be fetched: {problem}; {OFFER}") from problem
        except (OSError, http.client.HTTPException) as problem:
            cause = getattr(problem, "reason", problem)
            raise DownloadError(f"{self._url} can't be reached: {cause}; {OFFER}") from problem
        finally:
            self._keep()
        if not _is_right(self._data):
            raise DownloadError(
                f"{self._url} sent {len(self._data):,} bytes that are not tinyshakespeare "
                f"(SHA-256 differs); {OFFER}"
            )
        return bytes(self._data)

    def _fetch_all(self) -> None:
        """Asks again, for the rest, when the connection breaks off with some progress made."""
        for attempt in range(1, TRIES + 1):
            before = len(self._data)
            try:
                self._fetch_rest()
                return
            except urllib.error.HTTPError:
                raise
            except (OSError, http.client.HTTPException):
                if attempt == TRIES or len(self._data) == before:
                    raise

    def _fetch_rest(self) -> None:
        request = urllib.request.Request(self._url, headers={"Range": f"bytes={len(self._data)}-"})
        if not self._data:
            request.remove_header("Range")
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            if response.status != 206:
                self._data.clear()
            while len(self._data) <= SIZE:
                if self._cancelled is not None and self._cancelled():
                    raise DownloadError("the download was stopped; the next one goes on from there")
                chunk = response.read(_CHUNK)
                self._data += chunk
                if self._progress is not None:
                    self._progress("tinyshakespeare", len(self._data), SIZE)
                if not chunk:
                    break
        if len(self._data) < SIZE and response.length:
            raise ConnectionError(f"the connection broke off after {len(self._data):,} of {SIZE:,} bytes")

    def _keep(self) -> None:
        """Keeps an unfinished part; a finished one is verified or worthless, so its file goes."""
        if 0 < len(self._data) < SIZE:
            with contextlib.suppress(DownloadError), replacing(self._part, DownloadError) as file:
                file.write(self._data)
        else:
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)
