"""tinyshakespeare, the text the shipped model was trained on: 1.1 MB of plays, from its public address."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable

from sg_core import paths
from sg_core.errors import DownloadError
from sg_core.files import expanded, read_bytes
from sg_core.storage.download import RemoteFile, fetch
from sg_core.storage.waiting import exclusive, interruptible
from sg_core.types import Cancelled, Progress

URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
SIZE = 1_115_394
FILE = "tinyshakespeare.txt"
OFFER = "without network, train on python-docs (--data python-docs) or on a file (--data FILE)"


def read_tinyshakespeare(progress: Progress | None = None, cancelled: Cancelled | None = None, url: str = URL) -> bytes:
    """The text: from the folder SG_DATASETS, the cache, or its public address; always verified by SHA-256.

    progress: called with (name, bytes done, bytes in all). Raises DownloadError, which offers what works
    offline; what has arrived until then is kept and the next call goes on from there.
    """
    cached = paths.datasets_dir() / FILE
    given = os.environ.get("SG_DATASETS")
    for path in [expanded(given) / FILE, cached] if given else [cached]:
        with contextlib.suppress(DownloadError):
            data = read_bytes(path, SIZE, DownloadError)
            if hashlib.sha256(data).hexdigest() == SHA256:
                return data
    remote = RemoteFile("tinyshakespeare", url, SIZE, SHA256)

    def work(report: Progress, check: Callable[[], None]) -> None:
        with exclusive(cached.with_name(f"{FILE}.lock"), report, check):
            fetch(remote, cached, report, check)

    try:
        interruptible(work, progress, cancelled)
    except DownloadError as problem:
        raise DownloadError(f"{problem}; {OFFER}") from problem
    return read_bytes(cached, SIZE, DownloadError)
