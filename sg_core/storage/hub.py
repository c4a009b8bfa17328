"""Models by name: the shipped one, folders, and models of the Hugging Face Hub.

`huggingface_hub` tells what a repository holds; the bytes are fetched by `download`, because the library drops what
has arrived when a program ends, and does not compare digests. A fetched model is one plain folder, which appears when
all its files are whole and can be read: models/OWNER--NAME.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sg_core import paths
from sg_core.errors import DownloadError, ModelFileError
from sg_core.files import read_json_object, replacing, shown
from sg_core.storage.download import (
    RemoteFile,
    exclusive,
    fetch,
    interruptible,
    require_space,
)
from sg_core.storage.model_config import CONFIG
from sg_core.storage.pretrained import INDEX, WEIGHTS, check_weights, read_config, shard_names
from sg_core.text.tokenizer import Tokenizer
from sg_core.types import Cancelled, Progress

T = TypeVar("T")

LARGEST_ORIGIN = 1 << 20
HUB_TIMEOUT = 10.0  # seconds until the Hub must have answered a question
ORIGIN = "origin.json"  # where a fetched folder came from

_TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer.json")
_PART = r"[A-Za-z0-9](?:[\w.-]{0,94}[\w])?"
_ID = re.compile(rf"(?:{_PART}/)?{_PART}", re.ASCII)


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that can be used at once. name: what --model takes. size: bytes of its files. shipped: not fetched."""

    name: str
    path: Path
    size: int
    shipped: bool = False


def resolve(name: str) -> Path:
    """The folder of a model: a shipped name, a folder, or a Hub id that was fetched before, looked up in this order.

    Raises ModelFileError, which says how to get it.
    """
    for model in _shipped():
        if name == model.name:
            return model.path
    if "\0" not in name and name:
        path = Path(name).expanduser()
        if path.is_dir():
            return path
        if path.exists():
            raise ModelFileError(f"{shown(path)} is a file; give the folder with its {CONFIG} and {WEIGHTS}")
    if not _is_id(name):
        known = ", ".join(model.name for model in installed()) or "none"
        raise ModelFileError(f"the model {shown(name)!r} is no folder and no model that is here ({known})")
    folder = _folder_of(name)
    if not (folder / CONFIG).is_file():
        raise ModelFileError(f"the model {name} is not on this machine; fetch it with: sg-tui models pull {name}")
    return folder


def installed() -> list[InstalledModel]:
    """The shipped models and the fetched ones, by name."""
    fetched = [
        InstalledModel(_id_of(folder), folder, _size(folder))
        for folder in _folders(paths.models_dir())
        if _is_id(_id_of(folder))
    ]
    return _shipped() + sorted(fetched, key=lambda model: model.name)


def pull(
    id: str,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    endpoint: str | None = None,
) -> Path:
    """Fetches a model of the Hub, or brings it up to date, and gives its folder.

    progress: called with (file, bytes done of all files, bytes in all). endpoint: address of the Hub, by default
    HF_ENDPOINT or the public one. Without network the model fetched before is given. Raises DownloadError; an older
    copy is then untouched, and what has arrived is kept for the next time.
    """
    if not _is_id(id):
        raise DownloadError(f"{shown(id)!r} is not the id of a model; an id looks like openai-community/gpt2")

    def work(report: Progress, check: Callable[[], None]) -> Path:
        return _Pull(id, endpoint, report, check).run()

    return interruptible(work, progress, cancelled)


def _is_id(name: str) -> bool:
    return bool(_ID.fullmatch(name)) and "--" not in name and ".." not in name and not name.endswith(".git")


def _folder_of(id: str) -> Path:
    return paths.models_dir() / id.replace("/", "--")


def _id_of(folder: Path) -> str:
    return folder.name.replace("--", "/")


def _shipped() -> list[InstalledModel]:
    return [InstalledModel(folder.name, folder, _size(folder), True) for folder in _folders(paths.assets_dir())]


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(folder for folder in parent.iterdir() if (folder / CONFIG).is_file())
    except OSError:
        return []


def _size(folder: Path) -> int:
    size = 0
    with contextlib.suppress(OSError):
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return size


class _Pull:
    """One model being fetched into a staging folder, then put in its place."""

    def __init__(self, id: str, endpoint: str | None, report: Progress, check: Callable[[], None]) -> None:
        self._id = id
        self._endpoint = endpoint
        self._report = report
        self._check = check
        self._folder = _folder_of(id)
        self._staging = paths.models_dir() / ".staging" / self._folder.name
        self._commit: str | None = None

    def run(self) -> Path:
        with exclusive(self._staging.with_name(f"{self._folder.name}.lock"), self._report, self._check):
            try:
                files = self._list()
            except _UnreachableError as problem:
                if (self._folder / CONFIG).is_file():
                    return self._folder
                raise DownloadError(f"the Hub can't be asked for {self._id}: {problem}") from problem
            if not self._is_up_to_date(files):
                self._fetch(files)
                self._sweep(files)
                self._verified(self._check_model)
                self._install(files)
            return self._folder

    def _list(self) -> list[RemoteFile]:
        """What there is to fetch: a configuration, weights, and what there is of a tokenizer."""
        config = self._ask(CONFIG)
        if config is None:
            raise DownloadError(f"{self._id} has no {CONFIG}; it is not a model in Hugging Face layout")
        weights = self._ask(WEIGHTS)
        tokenizer = [file for name in _TOKENIZER_FILES if (file := self._ask(name)) is not None]
        if weights is not None:
            return [config, *tokenizer, weights]
        index = self._ask(INDEX)
        if index is None:
            raise DownloadError(
                f"{self._id} has no {WEIGHTS}, the only kind of weights that can't run code and is opened here; "
                "look for a conversion of it on the Hub"
            )
        fetch(index, self._staging / INDEX, self._report, self._check)
        names = self._verified(lambda: shard_names(self._staging))
        shards = [self._ask(name) for name in names]
        return [config, *tokenizer, index, *(shard for shard in shards if shard is not None)]

    def _ask(self, name: str) -> RemoteFile | None:
        """What the Hub says about a file of the repository, None when there is no such file."""
        self._check()
        self._report(f"asking for {name}", 0, 0)
        hub = _hub()
        try:
            url = hub.hf_hub_url(self._id, name, endpoint=self._endpoint)
            facts = hub.get_hf_file_metadata(url, token=False, timeout=HUB_TIMEOUT)
        except hub.errors.EntryNotFoundError:
            return None
        except hub.errors.GatedRepoError as problem:
            raise DownloadError(f"{self._id} is given only to people who signed in and asked for it") from problem
        except hub.errors.RepositoryNotFoundError as problem:
            raise DownloadError(f"there is no public model {self._id} on the Hub; check its spelling") from problem
        except Exception as problem:  # the library's HTTP client has its own errors, another one with every version
            if getattr(getattr(problem, "response", None), "status_code", None) == 404:
                return None
            raise _UnreachableError(_first_line(problem)) from problem
        if facts.commit_hash is None or facts.etag is None or facts.size is None:
            raise _UnreachableError("what answers is not the Hub (a sign-in page of the network?)")
        if self._commit not in (None, facts.commit_hash):
            raise DownloadError(f"{self._id} was changed on the Hub just now; fetch it again")
        self._commit = facts.commit_hash
        etag = facts.etag
        return RemoteFile(
            name,
            url,
            facts.size,
            sha256=etag if re.fullmatch("[0-9a-f]{64}", etag) else None,
            git_sha1=etag if re.fullmatch("[0-9a-f]{40}", etag) else None,
        )

    def _origin(self, files: list[RemoteFile]) -> dict[str, Any]:
        digests = {file.name: [file.size, file.sha256 or file.git_sha1] for file in files}
        return {"id": self._id, "commit": self._commit, "files": digests}

    def _is_up_to_date(self, files: list[RemoteFile]) -> bool:
        try:
            origin = read_json_object(self._folder / ORIGIN, LARGEST_ORIGIN, ModelFileError)
        except ModelFileError:
            return False
        same = origin.get("files") == self._origin(files)["files"]
        return same and all(file.is_whole(self._folder / file.name) for file in files)

    def _fetch(self, files: list[RemoteFile]) -> None:
        total = sum(file.size or 0 for file in files)
        require_space(self._staging.parent, total - _size(self._staging), f"the model {self._id}")
        before = 0

        def report(what: str, done: int, size: int) -> None:
            self._report(what, before + done, total)

        for file in files:
            fetch(file, self._staging / file.name, report, self._check)
            before += file.size or 0
            report(file.name, 0, 0)
            if file.name == CONFIG:  # another architecture, or too large a model: said before the weights come
                self._verified(lambda: read_config(self._staging))

    def _check_model(self) -> None:
        """The files are what the Hub promised; are they also a model?"""
        check_weights(self._staging, read_config(self._staging))
        if any((self._staging / name).exists() for name in _TOKENIZER_FILES):
            Tokenizer.from_folder(self._staging)

    def _verified(self, look: Callable[[], T]) -> T:
        try:
            return look()
        except ModelFileError as problem:
            shutil.rmtree(self._staging, ignore_errors=True)
            raise DownloadError(f"{self._id} can't be used: {problem}") from problem

    def _sweep(self, files: list[RemoteFile]) -> None:
        """Files of an earlier version, and parts of them, that the repository no longer has."""
        wanted = {file.name for file in files}
        for path in self._staging.iterdir():
            if path.name not in wanted:
                path.unlink()

    def _install(self, files: list[RemoteFile]) -> None:
        """The staging folder takes its place in one step; an older one goes."""
        with replacing(self._staging / ORIGIN, DownloadError) as file:
            file.write((json.dumps(self._origin(files), indent=2) + "\n").encode("utf-8"))
        old = self._staging.with_name(f"{self._folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        try:
            if self._folder.exists():
                os.replace(self._folder, old)
            os.replace(self._staging, self._folder)
        except OSError as problem:
            if old.exists() and not self._folder.exists():
                os.replace(old, self._folder)
            raise DownloadError(f"{shown(self._folder)} can't be written: {problem.strerror}") from problem
        shutil.rmtree(old, ignore_errors=True)


class _UnreachableError(Exception):
    """The Hub did not answer, or not as the Hub does."""


def _first_line(problem: Exception) -> str:
    return shown((str(problem).strip() or type(problem).__name__).splitlines()[0])[:200]


def _hub() -> Any:
    """huggingface_hub, imported when it is needed: it reads its settings (HF_ENDPOINT, HF_HUB_OFFLINE) then."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub
    import huggingface_hub.errors

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return huggingface_hub
