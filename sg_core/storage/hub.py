"""Models by name: the shipped one, folders, a person's runs, and models fetched from the Hugging Face Hub."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from sg_core import paths
from sg_core.errors import DownloadError, ModelFileError
from sg_core.files import can_be, expanded, reason, shown
from sg_core.storage import hub_cache
from sg_core.storage.diagnosis import explain, explain_file, is_gpt2, is_model, model_folder, names_of
from sg_core.storage.hub_cache import is_id, size_of
from sg_core.storage.model_config import CONFIG
from sg_core.storage.run_models import is_run, model_of_run, run_folders

SHIPPED, RUN, CACHE, FETCHED = "shipped", "run", "hub cache", "fetched"


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that can be used at once.

    name: what --model takes. path: its folder. size: bytes of its files. origin: SHIPPED, RUN (a person's own), CACHE
    (the Hub's cache, which other programs share) or FETCHED (by version 0.1, into a folder of its own).
    """

    name: str
    path: Path
    size: int
    origin: str = FETCHED


@dataclass(frozen=True, slots=True)
class Removal:
    """A folder that `remove` would delete. shared: other programs use what lies in it."""

    path: Path
    size: int
    shared: bool


def resolve(name: str) -> Path:
    """The folder to load a model from: a shipped name, a folder, the name of a run, or the id of a model fetched
    before, by this program or another one; looked up in this order.

    Raises ModelFileError, which says what the name stands for instead, and what to do.
    """
    for model in _shipped():
        if name == model.name:
            return model.path
    if name and can_be(path := expanded(name)):
        if path.is_dir():
            return model_of_run(path) if is_run(path) else model_folder(path)
        if path.exists():
            raise ModelFileError(explain_file(path))
        if "/" not in name and is_run(run := paths.runs_dir() / name):
            return model_of_run(run)
    if not is_id(name):
        here = [model.name for model in installed()]
        known = ", ".join(here[:5]) + (f" and {len(here) - 5} more" if len(here) > 5 else "") or "none"
        raise ModelFileError(f"the model '{shown(name)}' is no folder and no model that is here ({known})")
    return _fetched(name)


def installed() -> list[InstalledModel]:
    """The shipped models, the fetched ones by name, and the runs, newest first."""
    fetched: dict[str, InstalledModel] = {}
    for folder in _folders(paths.models_dir()):
        if is_id(id := folder.name.replace("--", "/")):
            fetched[id] = InstalledModel(id, folder, size_of(folder), FETCHED)
    for repository in hub_cache.repositories():
        snapshot = hub_cache.snapshot(repository)
        if snapshot is not None and is_gpt2(snapshot):
            id = hub_cache.id_of(repository) or repository.name
            fetched[id] = InstalledModel(id, snapshot, size_of(snapshot), CACHE)
    runs = [InstalledModel(run.name, folder := model_of_run(run), size_of(folder), RUN) for run in run_folders()]
    return _shipped() + [fetched[id] for id in sorted(fetched)] + runs


def old_folder(id: str) -> Path:
    """Where version 0.1 put a fetched model."""
    return paths.models_dir() / id.replace("/", "--")


def removal(id: str) -> list[Removal]:
    """What `remove` would delete for a fetched model. Raises DownloadError when there is nothing, or nothing to fetch
    again."""
    if any(model.name == id for model in _shipped()):
        raise DownloadError(f"{id} is a part of the program; there is nothing to remove")
    run = paths.runs_dir() / id
    if "/" not in id and id and can_be(run) and is_run(run):
        raise DownloadError(f"{id} is a run of yours, which nothing can bring back; delete its folder yourself: {run}")
    if not is_id(id):
        raise DownloadError(f"'{shown(id)}' is not the id of a model; sg-tui models list shows them")
    places = [(hub_cache.repository(id), hub_cache.is_shared()), (old_folder(id), False)]
    found = [Removal(path, size_of(path), shared) for path, shared in places if path.is_dir()]
    if not found:
        raise DownloadError(f"the model {id} is not on this machine; sg-tui models list shows those that are")
    return found


def remove(id: str) -> None:
    """Delete a fetched model, as `removal` lists it. Raises DownloadError."""
    for place in removal(id):
        if place.path == hub_cache.repository(id):
            hub_cache.remove(place.path)
            continue
        try:
            shutil.rmtree(place.path)
        except OSError as problem:
            raise DownloadError(f"{shown(place.path)} can't be deleted: {reason(problem)}") from problem


def _fetched(id: str) -> Path:
    """The folder of a fetched model. Raises ModelFileError."""
    get = f"sg-tui models pull {id}"
    repository, folder = hub_cache.repository(id), old_folder(id)
    cached = hub_cache.snapshot(repository)
    if cached is not None and is_model(names_of(cached)):
        return model_folder(cached)
    if (folder / CONFIG).is_file():
        return model_folder(folder)
    if cached is not None:
        said, _, _ = explain(names_of(cached), f"the model {id} in the Hub's cache").partition(";")
        raise ModelFileError(f"{said}; fetch it whole with: {get}")
    alike = [model.name for model in installed() if model.name.endswith(f"/{id}")]
    hint = f", but {alike[0]} is" if alike else ""
    raise ModelFileError(f"the model {id} is not on this machine{hint}; fetch it with: {get}")


def _shipped() -> list[InstalledModel]:
    return [InstalledModel(folder.name, folder, size_of(folder), SHIPPED) for folder in _folders(paths.assets_dir())]


def _folders(parent: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(folder for folder in parent.iterdir() if (folder / CONFIG).is_file())
    return []
