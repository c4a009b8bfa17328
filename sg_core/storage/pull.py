"""Fetching a model of the Hugging Face Hub into the cache that every program of the field shares.

`huggingface_hub` says what a repository holds, with the person's token, endpoint and offline mode; the cache has the
library's layout. The bytes come by `download`, because the library drops what has arrived when a download is stopped,
and takes a file of the right length whose bytes are not those of its digest. A model is put into the cache when all
its files are whole, verified and can be read; what can't be used is refused before its weights come.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sg_core import paths
from sg_core.errors import DownloadError, ModelFileError, SettingError
from sg_core.files import make_folder, shown
from sg_core.storage import hub_cache
from sg_core.storage.diagnosis import ADAPTER, INDEX, WEIGHTS, explain, is_model, names_of
from sg_core.storage.download import RemoteFile, fetch, require_space, sha256_of
from sg_core.storage.hub import old_folder
from sg_core.storage.hub_api import Repository, UnreachableError
from sg_core.storage.model_config import CONFIG
from sg_core.storage.pretrained import check_weights, read_config, shard_names
from sg_core.storage.waiting import exclusive, interruptible
from sg_core.text.file_names import SETTINGS, TOKENIZERS
from sg_core.text.tokenizer import Tokenizer
from sg_core.types import Cancelled, Progress

T = TypeVar("T")

STALE = 7 * 24 * 3600.0  # seconds after which what a stopped download left is swept away
STALE_OLD = 24 * 3600.0  # the same of version 0.1, which this version does not go on with

_UNUSABLE = (ADAPTER, "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "model.onnx")  # asked for to name them
_STAGING = ".sg-tui"  # inside the model's place in the cache, where the library does not look


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that is here. note: how far its bytes could be verified, or why nothing was fetched."""

    folder: Path
    note: str


def pull(
    id: str,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    endpoint: str | None = None,
) -> Pulled:
    """Fetches a model of the Hub, or brings it up to date, and gives its folder in the cache.

    progress: called with (file, bytes done of all files, bytes in all). endpoint: address of the Hub, by default
    HF_ENDPOINT or the public one. Without network a copy that is here is given. Raises DownloadError; an older
    copy is then untouched, and what has arrived is kept for the next time.
    """
    if not hub_cache.is_id(id):
        raise DownloadError(f"'{shown(id)}' is not the id of a model; an id looks like openai-community/gpt2")

    def work(report: Progress, check: Callable[[], None]) -> Pulled:
        return _Pull(id, Repository(id, endpoint, report, check), report, check).run()

    return interruptible(work, progress, cancelled)


class _Pull:
    """One model being fetched into a staging folder, then put into the cache."""

    def __init__(self, id: str, hub: Repository, report: Progress, check: Callable[[], None]) -> None:
        self._id = id
        self._hub = hub
        self._report = report
        self._check = check
        self._repository = hub_cache.repository(id)
        self._staging = self._repository / _STAGING

    def run(self) -> Pulled:
        sweep_leftovers()
        was_here = self._repository.exists()
        lock = self._repository.parent / ".locks" / self._repository.name / "sg-tui.lock"
        with exclusive(lock, self._report, self._check):
            try:
                return self._run()
            except UnreachableError as problem:
                return self._copy_that_is_here(problem)
            finally:
                if not _worth_keeping(self._staging):
                    shutil.rmtree(self._staging, ignore_errors=True)
                if not was_here:
                    with contextlib.suppress(OSError):
                        self._repository.rmdir()  # when nothing is in it

    def _run(self) -> Pulled:
        files = self._list()
        commit = self._hub.commit
        folder = self._repository / "snapshots" / commit
        staged: list[tuple[Path, str]] = []
        if not all(file.is_whole(folder / file.name) for file in files):
            self._fetch(files, commit)
            self._verified(lambda: check_weights(self._staging, read_config(self._staging)))
            staged = [self._staged(file) for file in files]
        hub_cache.install(self._repository, commit, staged)
        shutil.rmtree(self._staging, ignore_errors=True)
        return Pulled(folder, _how_verified(files))

    def _copy_that_is_here(self, problem: UnreachableError) -> Pulled:
        cached = hub_cache.snapshot(self._repository)
        for folder in (cached, old_folder(self._id)):
            if folder is not None and is_model(names_of(folder)):
                return Pulled(folder, f"the Hub can't be asked ({problem}); the copy that is here is used")
        raise DownloadError(f"the Hub can't be asked for {self._id}: {problem}") from problem

    # ------------------------------------------------------------ what there is, and whether it can be used

    def _list(self) -> list[RemoteFile]:
        """What there is to fetch, weights last. Raises DownloadError when that can't become a usable model."""
        config, weights = self._hub.ask(CONFIG), self._hub.ask(WEIGHTS)
        index = self._hub.ask(INDEX) if weights is None else None
        if config is None or (weights is None and index is None):
            raise DownloadError(explain(self._hub.names(_UNUSABLE), self._id))
        tokenizer = [file for name in TOKENIZERS if (file := self._hub.ask(name)) is not None]
        if not tokenizer:
            raise DownloadError(f"{self._id} can't be used: it has no tokenizer files, so it could write nothing")
        extras = [file for name in SETTINGS if (file := self._hub.ask(name)) is not None]
        first = [config, *tokenizer, *extras]
        if index is None:
            return [*first, *([weights] if weights else [])]
        self._get(index, lambda *what: None)
        names = self._verified(lambda: shard_names(self._staging))
        shards = [(name, self._hub.ask(name)) for name in names]
        if missing := [name for name, shard in shards if shard is None]:
            raise DownloadError(f"{self._id} lacks {missing[0]}, which its {INDEX} names")
        return [*first, index, *(shard for _, shard in shards if shard is not None)]

    def _verified(self, look: Callable[[], T]) -> T:
        """What a look at the staged files gives; when they can't be used they go."""
        try:
            return look()
        except ModelFileError as problem:
            shutil.rmtree(self._staging, ignore_errors=True)
            # the person sees the model's id, not a folder that is gone
            said = str(problem).replace(shown(self._staging), self._id)
            raise DownloadError(f"{self._id} can't be used: {said}") from problem

    # ------------------------------------------------------------ the bytes

    def _fetch(self, files: list[RemoteFile], commit: str) -> None:
        total = sum(file.size or 0 for file in files)
        here = hub_cache.size_of(self._staging)
        make_folder(self._staging, DownloadError)
        self._sweep(files)
        for file in files:
            self._borrow(file, commit)
        missing = sum(file.size or 0 for file in files if not (self._staging / file.name).exists())
        require_space(self._staging, missing - here, f"the model {self._id}")
        before, checked = 0, False
        for file in files:
            if file.name.endswith(".safetensors") and not checked:
                self._verified(self._check_all_but_weights)  # said before the weights come
                checked = True

            def report(what: str, done: int, size: int, name: str = file.name, before: int = before) -> None:
                if what == name:  # a mirror may not have told all sizes before
                    self._report(what, before + done, max(total, before + size))
                else:  # a pause
                    self._report(what, 0, 0)

            self._get(file, report)
            before += (self._staging / file.name).stat().st_size
            self._report(file.name, before, max(total, before))

    def _get(self, file: RemoteFile, report: Progress) -> None:
        fetch(file, self._staging / file.name, report, self._check)

    def _check_all_but_weights(self) -> None:
        rows, tokenizer = read_config(self._staging).vocab_size, Tokenizer.from_folder(self._staging)
        try:
            tokenizer.fit(rows)
        except SettingError as problem:
            raise ModelFileError(str(problem)) from problem

    def _borrow(self, file: RemoteFile, commit: str) -> None:
        """Where a file is on this machine already, whole, it is not fetched. Without a digest its commit must tell."""
        staged = self._staging / file.name
        if file.has_digest and file.is_whole(staged):
            return
        staged.unlink(missing_ok=True)
        places = [self._repository / "snapshots" / commit / file.name]
        if file.has_digest:
            places += [self._repository / "blobs" / file.version, old_folder(self._id) / file.name]
        for place in places:
            if file.is_whole(place):
                with contextlib.suppress(OSError):
                    _link_or_copy(place.resolve(), staged, self._repository / "blobs")
                    return

    def _sweep(self, files: list[RemoteFile]) -> None:
        """Files of an earlier version, and parts of them, that the repository no longer has."""
        wanted = {file.name for file in files}
        for path in self._staging.iterdir():
            if path.name not in wanted and path.name.removesuffix(".part").rpartition(".")[0] not in wanted:
                path.unlink(missing_ok=True)

    def _staged(self, file: RemoteFile) -> tuple[Path, str]:
        """A file and the name of its blob: its digest, whatever a mirror without one calls its version."""
        path = self._staging / file.name
        return path, file.version if file.has_digest else sha256_of(path)


def _how_verified(files: list[RemoteFile]) -> str:
    blind = [file.name for file in files if not file.has_digest]
    if not blind:
        return "all its files are verified by their checksums"
    names = ", ".join(blind[:3]) + (", ..." if len(blind) > 3 else "")
    return (
        f"the server tells no checksum of {len(blind)} of {len(files)} files ({names}), so they are not verified; "
        "lengths and the structure of the weights were checked"
    )


def _link_or_copy(source: Path, target: Path, blobs: Path) -> None:
    """A symbolic link to one of the blobs; of any other file a second name, or a copy."""
    try:
        if source.parent == blobs.resolve():
            target.symlink_to(source)
        else:
            os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _worth_keeping(staging: Path) -> bool:
    """Whether a download can go on with what lies there: weights, or a part of them."""
    with contextlib.suppress(OSError):
        weights = [path for path in staging.iterdir() if path.name.endswith((".part", ".safetensors"))]
        return any(path.stat().st_size and not path.is_symlink() for path in weights)
    return False


def sweep_leftovers() -> None:
    """Delete what downloads that nobody went on with have left: here after a week, of version 0.1 after a day."""
    old = paths.models_dir() / ".staging"
    found = [(repository / _STAGING, STALE) for repository in hub_cache.repositories()]
    for folder, age in [*found, (old, STALE_OLD)]:
        with contextlib.suppress(OSError):
            newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
            if time.time() - newest > age:
                shutil.rmtree(folder, ignore_errors=True)
