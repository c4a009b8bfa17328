"""The Hugging Face cache, which every program of the field shares: where it is, what lies in it, what is put there.

Its layout is public: models--OWNER--NAME/ holds refs/main (a commit), snapshots/COMMIT/FILE, a link to a blob, and
blobs/ETAG. Everything here works without `huggingface_hub`, which takes long to import.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from sg_core import paths
from sg_core.errors import DownloadError, SgError
from sg_core.files import expanded, make_folder, put_in_place, read_bytes, reason, replacing, shown
from sg_core.storage.model_config import CONFIG

COMMIT = re.compile(r"[0-9a-f]{40}")

_PREFIX = "models--"
_LONGEST_REF = 100
_PART = r"[A-Za-z0-9](?:[\w.-]{0,94}[\w])?"
_ID = re.compile(rf"(?:{_PART}/)?{_PART}", re.ASCII)


def is_id(name: str) -> bool:
    """Whether a name can be the id of a model: `gpt2`, `openai-community/gpt2`."""
    return bool(_ID.fullmatch(name)) and "--" not in name and ".." not in name and not name.endswith(".git")


def cache_folder() -> Path:
    """Where the library keeps models: HF_HUB_CACHE, or `hub` in HF_HOME; inside SG_HOME where that alone is set."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if given := os.environ.get(variable):
            return _path(given)
    if home := os.environ.get("HF_HOME"):
        return _path(home) / "hub"
    if os.environ.get("SG_HOME"):
        return paths.cache_dir() / "huggingface" / "hub"
    return _path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"


def is_shared() -> bool:
    """Whether other programs look into the cache too: not where it lies inside SG_HOME for want of another."""
    given = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME")
    return not os.environ.get("SG_HOME") or any(os.environ.get(name) for name in given)


def _path(text: str) -> Path:
    return expanded(os.path.expandvars(text)).absolute()


def repository(id: str) -> Path:
    """The folder of a model in the cache, whether it is there or not."""
    return cache_folder() / (_PREFIX + id.replace("/", "--"))


def id_of(repository: Path) -> str | None:
    """The id of a model's folder in the cache; None for any other folder."""
    id = repository.name.removeprefix(_PREFIX).replace("--", "/", 1)
    return id if repository.name.startswith(_PREFIX) and is_id(id) else None


def repositories(cache: Path | None = None) -> list[Path]:
    """The folders of all models in the cache, by name."""
    try:
        return sorted(path for path in (cache or cache_folder()).iterdir() if id_of(path) and path.is_dir())
    except OSError:
        return []


def snapshot(repository: Path) -> Path | None:
    """The files of a model: those of its main branch, else those which came last; None without a configuration."""
    snapshots = repository / "snapshots"
    with contextlib.suppress(SgError):
        commit = read_bytes(repository / "refs" / "main", _LONGEST_REF, SgError).decode("ascii", "replace").strip()
        if COMMIT.fullmatch(commit) and (snapshots / commit / CONFIG).is_file():
            return snapshots / commit
    with contextlib.suppress(OSError):
        found = [folder for folder in snapshots.iterdir() if (folder / CONFIG).is_file()]
        return max(found, key=lambda folder: (folder.stat().st_mtime, folder.name), default=None)
    return None


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder and below; a link counts as what it points to, every file once."""
    sizes: dict[tuple[int, int], int] = {}
    for path in _files(folder):
        with contextlib.suppress(OSError):
            status = path.stat()
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def install(repository: Path, commit: str, staged: Iterable[tuple[Path, str]]) -> Path:
    """Put verified files, (path, name of the blob), into the cache as the snapshot of `commit`, the newest of main.

    A staged link is a blob that is there. Other programs see a file when it is whole, and main when all of them are
    there. Raises DownloadError.
    """
    blobs, folder, refs = repository / "blobs", repository / "snapshots" / commit, repository / "refs"
    for made in (blobs, folder, refs):
        make_folder(made, DownloadError)
    try:
        for path, etag in staged:
            name = path.resolve().name if path.is_symlink() else etag
            if not path.is_symlink():
                put_in_place(path, blobs / name)
            _link(blobs / name, folder / path.name)
    except OSError as problem:
        raise DownloadError(f"{shown(folder)} can't be written: {reason(problem)}") from problem
    with replacing(refs / "main", DownloadError) as file:
        file.write(commit.encode("ascii"))
    return folder


def _link(blob: Path, pointer: Path) -> None:
    """A relative link, as the library makes it; on a disk without links the file itself."""
    unfinished = pointer.with_name(f".{pointer.name}.{os.getpid()}.part")
    unfinished.unlink(missing_ok=True)
    try:
        unfinished.symlink_to(Path("..", "..", "blobs", blob.name))
    except OSError:
        shutil.copyfile(blob, unfinished)
    put_in_place(unfinished, pointer)


def remove(repository: Path) -> None:
    """Delete a model from the cache, what the library keeps beside its folder too. Raises DownloadError."""
    cache = repository.parent
    with contextlib.suppress(Exception):  # a cache that the library can't read: the folder goes all the same
        _remove_revisions(cache, repository)
    shutil.rmtree(cache / ".locks" / repository.name, ignore_errors=True)
    try:
        if repository.exists():
            shutil.rmtree(repository)
    except OSError as problem:
        raise DownloadError(f"{shown(repository)} can't be deleted: {reason(problem)}") from problem


def _remove_revisions(cache: Path, repository: Path) -> None:
    """Let the library delete what it can, since it also knows blobs that several models share.

    It deletes a commit from whichever repository it meets first, so one that others have too is left to the caller.
    """
    from huggingface_hub import scan_cache_dir

    found = scan_cache_dir(cache)
    commits: dict[bool, set[str]] = {True: set(), False: set()}
    for repo in found.repos:
        commits[Path(repo.repo_path) == repository] |= {revision.commit_hash for revision in repo.revisions}
    found.delete_revisions(*(commits[True] - commits[False])).execute()
