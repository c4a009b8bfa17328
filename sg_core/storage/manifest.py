"""The manifest of a checkpoint's folder: how a whole checkpoint is told from a torn, damaged or newer one.

manifest.json lists every other file with its size and SHA-256, and ends in a SHA-256 of itself.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sg_core.checks import is_whole, quoted
from sg_core.errors import CheckpointError
from sg_core.files import parse_json_object, read_bytes, shown

FORMAT = 1
MANIFEST = "manifest.json"
REPLACED = ".replaced-"  # prefix of the earlier checkpoint of a step that is being saved again

_FOLDER_NAME = re.compile(r"(?:\.replaced-)?step-\d{8,}")
_DTYPE = re.compile(r"\|[bi]1|\|u1|[<>](?:[iu][248]|f[248])")  # as NumPy names them: order, kind, bytes
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
            f"{shown(folder)} has checkpoint format {quoted(found.get('format'))}; this version of sg-tui reads format "
            f"{FORMAT}: update sg-tui"
        )
    step, serial, best, files = (found.get(key) for key in ("step", "serial", "best", "files"))
    if not is_whole(step, 0) or not is_whole(serial, 0) or not isinstance(best, bool) or not isinstance(files, dict):
        raise CheckpointError(f"{shown(path)} is no checkpoint's manifest: its step, serial, best or files are wrong")
    for name, entry in files.items():
        if name.startswith("/") or ".." in PurePosixPath(name).parts or "\\" in name or ":" in name or "\0" in name:
            raise CheckpointError(f"{shown(path)} lists {quoted(name)}, which lies outside the checkpoint")
        if not _is_entry(entry):
            raise CheckpointError(f"{shown(path)} lists {quoted(name)} with a size, sum, dtype or shape that can't be")
    return Manifest(folder, step, serial, best, files)


def _is_entry(entry: Any) -> bool:
    """Whether this describes a file: of an array also its numbers, which fit into it."""
    if not isinstance(entry, dict) or not is_whole(entry.get("size"), 0, 1 << 62):
        return False
    if not isinstance(entry.get("sha256"), str) or ("dtype" in entry) != ("shape" in entry):
        return False
    if "dtype" not in entry:
        return True
    dtype, shape = entry["dtype"], entry["shape"]
    if not isinstance(dtype, str) or not _DTYPE.fullmatch(dtype) or not isinstance(shape, list) or len(shape) > 32:
        return False
    return all(is_whole(one, 0, 1 << 62) for one in shape) and math.prod(shape) * int(dtype[2:]) <= entry["size"]


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
