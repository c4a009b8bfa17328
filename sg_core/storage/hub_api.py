"""What the Hugging Face Hub says about a repository, asked by `huggingface_hub`.

The library sees to endpoint, token, proxies, redirects and offline mode; here its answers become facts, or one line.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from sg_core.errors import DownloadError
from sg_core.files import shown
from sg_core.storage import hub_cache
from sg_core.storage.diagnosis import INDEX, WEIGHTS
from sg_core.storage.download import BUSY, BusyError, Patience, RemoteFile
from sg_core.storage.model_config import CONFIG
from sg_core.text.file_names import TOKENIZERS
from sg_core.types import Progress

HUB_TIMEOUT = 10.0  # seconds until the Hub must have answered a question
_HUNG_UP = ("RemoteProtocolError", "ReadError", "WriteError")  # errors of the library's client worth another try


class Repository:
    """What the Hub says about one repository."""

    def __init__(self, id: str, endpoint: str | None, report: Progress, check: Callable[[], None]) -> None:
        self.commit = ""  # which all its files belong to
        self._id, self._endpoint = id, endpoint
        self._report, self._check = report, check

    def ask(self, name: str) -> RemoteFile | None:
        """What it says about a file, None when there is no such file. Raises DownloadError or UnreachableError."""
        hub = _library()
        url = hub.hf_hub_url(self._id, name, endpoint=self._endpoint)
        facts = self._facts(hub, name, url)
        if facts is None:
            return None
        if not facts.commit_hash or not hub_cache.COMMIT.fullmatch(facts.commit_hash):
            raise UnreachableError("what answers is not the Hub (a sign-in page of the network?)")
        if self.commit not in ("", facts.commit_hash):
            raise DownloadError(f"{self._id} was changed at this moment; try again")
        self.commit = facts.commit_hash
        etag = facts.etag or ""
        return RemoteFile(
            name,
            url,
            facts.size,
            sha256=etag if re.fullmatch("[0-9a-f]{64}", etag) else None,
            git_sha1=etag if re.fullmatch("[0-9a-f]{40}", etag) else None,
            version=etag,
            headers={key: value for key, value in hub.utils.build_hf_headers().items() if key == "authorization"},
        )

    def names(self, likely: Collection[str]) -> list[str]:
        """The files of the repository, as far as they can be learned: those that are listed, or the likely ones."""
        hub = _library()
        with contextlib.suppress(Exception):  # a mirror need not have the list
            facts = hub.HfApi(endpoint=self._endpoint).model_info(self._id, timeout=HUB_TIMEOUT)
            listed = [file.rfilename for file in facts.siblings or []]
            return [name for name in listed if "/" not in name and not name.startswith(".")]
        return [name for name in (CONFIG, WEIGHTS, INDEX, *TOKENIZERS, *likely) if self.ask(name) is not None]

    def _facts(self, hub: Any, name: str, url: str) -> Any:
        patience = Patience(f"the Hub, asked for {self._id},", self._report, self._check)
        while True:
            self._check()
            self._report(f"asking for {name}", 0, 0)
            try:
                return hub.get_hf_file_metadata(url, timeout=HUB_TIMEOUT)
            except hub.errors.EntryNotFoundError:
                return None
            except hub.errors.GatedRepoError as problem:
                raise DownloadError(
                    f"{self._id} is given only to people who signed in and asked for it; with access, put your token "
                    "into HF_TOKEN"
                ) from problem
            except hub.errors.RepositoryNotFoundError as problem:
                raise DownloadError(
                    f"there is no public model {self._id} on the Hub; check its spelling (a private one needs HF_TOKEN)"
                ) from problem
            except Exception as problem:  # the library's HTTP client has its own errors, another one with every version
                response = getattr(problem, "response", None)
                status = getattr(response, "status_code", None)
                if status == 404:
                    return None
                if status not in BUSY and type(problem).__name__ not in _HUNG_UP:
                    raise UnreachableError(_first_line(problem)) from problem
                said = _first_line(problem) if response is None else f"HTTP {status}"
                with _as_unreachable():
                    patience.wait(said, None if response is None else response.headers.get("Retry-After"))


class UnreachableError(Exception):
    """The Hub did not answer, or not as the Hub does."""


@contextlib.contextmanager
def _as_unreachable() -> Iterator[None]:
    """A Hub that stays busy is one that can't be reached: a copy that is here will do."""
    try:
        yield
    except BusyError as problem:
        raise UnreachableError(str(problem)) from problem


def _first_line(problem: Exception) -> str:
    return shown((str(problem).strip() or type(problem).__name__).splitlines()[0])[:200]


def _library() -> Any:
    """huggingface_hub, imported when it is needed: it reads its settings (HF_ENDPOINT, HF_HUB_OFFLINE) then."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub
    import huggingface_hub.errors

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return huggingface_hub
