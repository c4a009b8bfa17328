"""The manifest of a checkpoint's folder: how a whole checkpoint is told from a torn, damaged or newer one.

manifest.json lists every other file with its size and SHA-256, and ends in a SHA-256 of itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sg_core.errors import CheckpointError
from sg_core.files import parse_json_object, read_bytes, shown

FORMAT = 1
MANIFEST = "manifest.json"
REPLACED = ".replaced-"  # prefix of the earlier checkpoint of a step that is being saved again

_FOLDER_NAME = re.compile(r"(?:\.replaced-)?step-\d{8,}")
_MOST_BYTES = 1 << 20  # of manifest.json, which has a line or two a file


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a checkpoint's folder says of itself."""

    folder: Path
    step: int
    serial: int  # grows with every save of a run, also when the run starts again at a lower step
    best: bool
    files: dict[str, dict[str, Any]]  # path with "/" -> size in bytes, sha256; of arrays also dtype and shape


class RefusedError(CheckpointError):
    """The newest checkpoint is whole but can't be taken; an older one must not stand in for it."""


def manifest_bytes(step: int, serial: int, best: bool, files: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The contents of manifest.json."""
    entries = {"format": FORMAT, "step": step, "serial": serial, "best": best, "files": files}
    return json.dumps({**entries, "sha256": _seal(entries)}, indent=1).encode()


def _seal(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's other entries. Every later format keeps this rule: its number can be trusted."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """A folder's manifest. Raises CheckpointError when it is missing or damaged, RefusedError for a newer format."""
    path = folder / MANIFEST
    found = parse_json_object(read_bytes(path, _MOST_BYTES, CheckpointError), shown(path), CheckpointError)
    if found.get("sha256") != _seal(found):
        raise CheckpointError(f"{shown(path)} is damaged: its SHA-256 is not the one it was saved with")
    if found.get("format") != FORMAT:
        raise RefusedError(
            f"{shown(folder)} has checkpoint format {found.get('format')}; this version of sg-tui reads format "
            f"{FORMAT}: update sg-tui"
        )
    for name in found["files"]:
        if name.startswith("/") or ".." in PurePosixPath(name).parts or "\\" in name or ":" in name:
            raise CheckpointError(f"{shown(path)} lists {shown(name)!r}, which lies outside the checkpoint")
    return Manifest(folder, found["step"], found["serial"], found["best"], found["files"])


def checkpoint_folders(run: Path) -> list[Path]:
    """The folders of a run that have a checkpoint's name, whole or not; none when the run can't be read."""
    return [path for path in entries(run) if _FOLDER_NAME.fullmatch(path.name)]


def entries(run: Path) -> list[Path]:
    """Everything in a run's folder, sorted; none when it can't be read."""
    try:
        return sorted(run.iterdir())
    except OSError:
        return []


def read_manifests(folders: Iterable[Path]) -> tuple[list[Manifest], list[str]]:
    """The manifests that verify, newest first, and what is wrong with the others, highest step first.

    Raises RefusedError when one has a newer format.
    """
    good, wrong = [], []
    for folder in sorted(folders, key=lambda folder: folder.name.removeprefix(REPLACED), reverse=True):
        try:
            good.append(read_manifest(folder))
        except RefusedError:
            raise
        except CheckpointError as problem:
            wrong.append(str(problem))
    return sorted(good, key=lambda manifest: manifest.serial, reverse=True), wrong


def sizes_fit(manifest: Manifest) -> bool:
    """Whether every listed file is there with its size; its bytes are not read."""
    try:
        return all((manifest.folder / name).stat().st_size == entry["size"] for name, entry in manifest.files.items())
    except OSError:
        return False


def seems_whole(folder: Path) -> bool:
    """Whether a folder's manifest verifies and its files are there; True for a newer format."""
    try:
        return sizes_fit(read_manifest(folder))
    except RefusedError:
        return True
    except CheckpointError:
        return False
