"""Checkpoints that survive a kill at any byte, a full disk and a flipped bit.

A run's folder holds a folder for each checkpoint, `step-00001234`: arrays/NAME.npy, info.json, what the caller adds,
and manifest.json. It is written under a hidden name (each file synced, the manifest last, the folders synced) and
then renamed, so that a folder with its final name is whole. `latest` names the newest for people and scripts; the
loader trusts nothing but manifests that verify.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from sg_core.checks import quoted
from sg_core.errors import CheckpointError, SgError
from sg_core.files import make_folder, open_regular, parse_json_object, put_in_place, reason, shown
from sg_core.memory import give_back, require_memory
from sg_core.storage.manifest import (
    MANIFEST,
    REPLACED,
    Manifest,
    RefusedError,
    checkpoint_folders,
    entries,
    manifest_bytes,
    read_manifests,
    seems_whole,
    sizes_fit,
)

INFO = "info.json"
LATEST = "latest"

_UNFINISHED = ".saving-"
_PRUNED = ".pruned-"
_ARRAY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MOST_INFO = 1 << 22  # bytes of info.json
LARGE = 1 << 26  # bytes of an array from which on it is not copied where that can be helped
_CHUNK = 1 << 24  # bytes read, hashed or written at a time

AnyArray = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What `save_checkpoint` was given, bit for bit. passed_over: why newer checkpoints of the run weren't taken."""

    folder: Path
    step: int
    arrays: dict[str, AnyArray]
    info: dict[str, Any]
    passed_over: tuple[str, ...] = ()


# ---------------------------------------------------------------- saving


def save_checkpoint(
    run: Path,
    step: int,
    arrays: Mapping[str, AnyArray | Callable[[], AnyArray]],
    info: Mapping[str, Any],
    extra: Callable[[Path], None] | None = None,
    best: bool = False,
    keep: int = 2,
    constant: Collection[str] = (),
    source: Path | None = None,
) -> Path:
    """Write a checkpoint into the folder `run` and return its own folder, `run/step-00001234`.

    arrays: any shape, of booleans, integers or floats, or what makes one when its turn comes. info: JSON values. extra:
    called with the folder while it is being written, to add files that are then synced and listed like the others.
    best: the best so far. constant: names of arrays that are the same in the run's earlier checkpoint `source`; large
    ones are one file with several names.
    Afterwards the newest `keep` checkpoints and the newest best one remain. A step saved again replaces itself.

    Raises CheckpointError when it can't be written; earlier checkpoints are untouched then.
    """
    folder = run / f"step-{step:08d}"
    try:
        make_folder(run, CheckpointError)
        sweep(run)
        earlier, _ = read_manifests(checkpoint_folders(run))
        serial = 1 + max((manifest.serial for manifest in earlier), default=0)
        with hidden_folder(run) as unfinished:
            same = next((one for one in earlier if one.folder == source and sizes_fit(one)), None)
            files = _write_extra(unfinished, extra)
            (unfinished / "arrays").mkdir()
            if same is not None:
                files |= _linked(same, unfinished, {name: cast(AnyArray, arrays[name]) for name in constant})
            files |= _write_files(unfinished, {name: arrays[name] for name in arrays if _file(name) not in files}, info)
            _write(unfinished / MANIFEST, [manifest_bytes(step, serial, best, files)])
            sync_folder(unfinished)
            _put_in_place(unfinished, folder)
        with hidden_folder(run) as unfinished:
            _write(unfinished / LATEST, [f"{folder.name}\n".encode()])
            put_in_place(unfinished / LATEST, run / LATEST)
        sync_folder(run)
    except OSError as problem:
        raise CheckpointError(
            f"the checkpoint of step {step} can't be written in {shown(run)}: {reason(problem)}; the training is still "
            "in memory and earlier checkpoints are untouched: make room, or save to another folder"
        ) from problem
    _prune(run, keep)
    return folder


@contextlib.contextmanager
def hidden_folder(run: Path) -> Iterator[Path]:
    """A new folder that no loader looks into; gone afterwards unless it was renamed."""
    folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=run))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _file(array: str) -> str:
    return f"arrays/{array}.npy"


def _write_extra(folder: Path, extra: Callable[[Path], None] | None) -> dict[str, dict[str, Any]]:
    """Writes and syncs the caller's files; returns the manifest's list of them."""
    files: dict[str, dict[str, Any]] = {}
    if extra is not None:
        try:
            extra(folder)
        except SgError as problem:
            raise CheckpointError(f"the checkpoint can't be written: {problem}") from problem
        for path in sorted(folder.rglob("*")):
            if path.is_dir():
                sync_folder(path)
            else:
                files[path.relative_to(folder).as_posix()] = sync(path)
    return files


def _write_files(
    folder: Path, arrays: Mapping[str, AnyArray | Callable[[], AnyArray]], info: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Writes and syncs arrays and info; returns the manifest's list of them."""
    files: dict[str, dict[str, Any]] = {}
    for name, given in arrays.items():
        array = given() if callable(given) else given
        if not _ARRAY_NAME.fullmatch(name) or array.dtype.kind not in "biuf":
            raise CheckpointError(
                f"array {quoted(name)} of {array.dtype} can't be saved; name it plainly, give it numbers"
            )
        written = _write(folder / _file(name), _npy_pieces(array))
        files[_file(name)] = {**written, "dtype": array.dtype.str, "shape": list(array.shape)}
    sync_folder(folder / "arrays")
    try:
        text = json.dumps(dict(info), indent=1, allow_nan=False)
    except (TypeError, ValueError) as problem:
        raise CheckpointError(f"the checkpoint's info is not JSON: {problem}") from problem
    files[INFO] = _write(folder / INFO, [text.encode()])
    return files


def _linked(source: Manifest, folder: Path, arrays: Mapping[str, AnyArray]) -> dict[str, dict[str, Any]]:
    """Gives the large ones of these arrays, which the checkpoint `source` holds, a second name; where that can't be
    done they are left to be written. Returns the manifest's entries of those that were."""
    done = {}
    for name, array in arrays.items():
        file = _file(name)
        entry = source.files.get(file, {})
        if array.nbytes < LARGE or (entry.get("dtype"), entry.get("shape")) != (array.dtype.str, list(array.shape)):
            continue
        with contextlib.suppress(OSError, NotImplementedError):
            os.link(source.folder / file, folder / file)
            done[file] = dict(entry)
    return done


def _npy_pieces(array: AnyArray) -> Iterator[bytes | memoryview]:
    """An array as the bytes of a .npy file: its header, then its numbers, without a copy of them."""
    array = np.asarray(array, order="C")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    yield header.getvalue()
    numbers = _bytes_of(array)
    for start in range(0, len(numbers), _CHUNK):
        yield numbers[start : start + _CHUNK]
        give_back(array)


def _bytes_of(array: AnyArray) -> memoryview:
    """The memory of a C-contiguous array."""
    return memoryview(cast(Any, array.reshape(-1).view(np.uint8)))


def _write(path: Path, pieces: Iterable[bytes | memoryview]) -> dict[str, Any]:
    """A new synced file of these pieces, and its entry for the manifest."""
    digest, size = hashlib.sha256(), 0
    with open(path, "xb", buffering=0) as file:
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            left = memoryview(piece)
            while left:
                left = left[file.write(left) :]
        os.fsync(file.fileno())
    return {"size": size, "sha256": digest.hexdigest()}


def sync(path: Path) -> dict[str, Any]:
    """Syncs a file that somebody else wrote; returns its entry for the manifest."""
    digest, size = hashlib.sha256(), 0
    with open(path, "r+b") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            size += len(piece)
        os.fsync(file.fileno())
    return {"size": size, "sha256": digest.hexdigest()}


def sync_folder(folder: Path) -> None:
    """Makes new and renamed entries of a folder last through a power cut."""
    if os.name == "nt":  # folders can't be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_in_place(unfinished: Path, folder: Path) -> None:
    """Renames a finished folder; one that is there already steps aside first, where the loader still finds it."""
    replaced = folder.with_name(REPLACED + folder.name)
    there = folder.exists()
    if there:
        os.rename(folder, replaced)
    try:
        os.rename(unfinished, folder)
    except OSError:
        if there:
            os.rename(replaced, folder)
        raise
    sync_folder(folder.parent)
    if there:
        shutil.rmtree(replaced, ignore_errors=True)


def _prune(run: Path, keep: int) -> None:
    """Removes all but the newest `keep` whole checkpoints and the newest best one.

    A folder goes out of sight in one move and is then deleted; what can't be deleted stays for the next time.
    """
    whole = [manifest for manifest in read_manifests(checkpoint_folders(run))[0] if sizes_fit(manifest)]
    best = [manifest for manifest in whole if manifest.best][:1]
    for manifest in whole[max(1, keep) :]:
        if manifest not in best:
            pruned = run / (_PRUNED + manifest.folder.name)
            with contextlib.suppress(OSError):
                os.rename(manifest.folder, pruned)
                shutil.rmtree(pruned)


def sweep(run: Path) -> None:
    """Removes what killed saves left in a run's folder, and puts back a checkpoint that was being replaced.

    Only for a run that nobody else is saving to at the moment. What can't be removed is left.
    """
    for path in entries(run):
        if path.name.startswith((_UNFINISHED, _PRUNED)):
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.startswith(REPLACED):
            folder = path.with_name(path.name.removeprefix(REPLACED))
            if seems_whole(folder) or not seems_whole(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                shutil.rmtree(folder, ignore_errors=True)
                with contextlib.suppress(OSError):
                    os.rename(path, folder)


# ---------------------------------------------------------------- loading


def load_checkpoint(run: Path, arrays: Collection[str] | None = None, mapped: Collection[str] = ()) -> Checkpoint:
    """The newest checkpoint of a run that verifies, or the one in `run` when that is a checkpoint's own folder.

    arrays: the names of those to read, None for all; they are read once, straight into their memory, and hashed on the
    way. mapped: names of those that are only read and, where they are large, stay in their file. Raises CheckpointError
    when there is none, when one has a newer format, or when it doesn't fit into memory.
    """
    manifests, passed_over = read_manifests([run] if (run / MANIFEST).is_file() else checkpoint_folders(run))
    for manifest in manifests:
        try:
            return _load(manifest, tuple(passed_over), arrays, mapped)
        except RefusedError:
            raise
        except CheckpointError as problem:
            passed_over.append(str(problem))
    if passed_over:
        others = f" ({len(passed_over) - 1} more can't be used either)" if len(passed_over) > 1 else ""
        raise CheckpointError(f"{passed_over[0]}{others}; {shown(run)} holds no good checkpoint: start a new run")
    if not run.is_dir():
        raise CheckpointError(f"there is no run at {shown(run)}; give the folder that a training was saved to")
    raise CheckpointError(f"{shown(run)} holds no checkpoint; give the folder that a training was saved to")


def _load(
    manifest: Manifest, passed_over: tuple[str, ...], wanted: Collection[str] | None, mapped: Collection[str]
) -> Checkpoint:
    """The checkpoint of a manifest, with the wanted arrays.

    Raises CheckpointError at the first file that isn't as listed.
    """
    arrays: dict[str, AnyArray] = {}
    info: dict[str, Any] | None = None
    for name, entry in manifest.files.items():
        path = manifest.folder / name
        if wanted is not None and "dtype" in entry and path.stem not in wanted:
            continue
        try:
            with open_regular(path, CheckpointError) as file:
                _require(
                    os.fstat(file.fileno()).st_size == entry["size"],
                    path,
                    f"{entry['size']:,} bytes were saved",
                )
                if "dtype" in entry:
                    read = _map_array if path.stem in mapped and entry["size"] >= LARGE else _read_array
                    arrays[path.stem] = read(path, file, entry)
                elif name == INFO:
                    _require(entry["size"] <= _MOST_INFO, path, f"it has more than {_MOST_INFO:,} bytes")
                    data = file.read()
                    _require_digest(path, hashlib.sha256(data), entry)
                    info = parse_json_object(data, shown(path), CheckpointError)
                else:
                    _require_digest(path, hashlib.file_digest(file, "sha256"), entry)
        except OSError as problem:
            raise CheckpointError(f"{shown(path)} can't be read: {reason(problem)}") from problem
    if info is None:
        raise CheckpointError(f"{shown(manifest.folder)} has no {INFO}")
    return Checkpoint(manifest.folder, manifest.step, arrays, info, passed_over)


def _require(fine: bool, path: Path, what: str) -> None:
    if not fine:
        raise CheckpointError(f"{shown(path)} is damaged: {what}")


def _require_digest(path: Path, digest: Any, entry: Mapping[str, Any]) -> None:
    _require(digest.hexdigest() == entry["sha256"], path, "its SHA-256 is not the one it was saved with")


def _map_array(path: Path, file: BinaryIO, entry: Mapping[str, Any]) -> AnyArray:
    """The numbers of an open .npy file where they lie, verified and read-only; on Windows a copy in memory: there the
    folder of a mapped file can be neither renamed nor removed."""
    _require_digest(path, hashlib.file_digest(cast(Any, file), "sha256"), entry)
    shape, dtype = tuple(entry["shape"]), np.dtype(entry["dtype"])
    header_size = entry["size"] - math.prod(shape) * dtype.itemsize
    _require(0 < header_size < _MOST_INFO, path, "its header is too long")
    if sys.platform == "win32":
        file.seek(header_size)
        array: AnyArray = np.fromfile(cast(Any, file), dtype, math.prod(shape)).reshape(shape)
        array.flags.writeable = False
        return array
    return np.asarray(np.memmap(file, dtype, "r", header_size, shape))


def _read_array(path: Path, file: BinaryIO, entry: Mapping[str, Any]) -> AnyArray:
    """The numbers of an open .npy file, which are its last bytes; shape and dtype come from the manifest."""
    shape, dtype = tuple(entry["shape"]), np.dtype(entry["dtype"])
    header_size = entry["size"] - math.prod(shape) * dtype.itemsize
    _require(header_size < _MOST_INFO, path, "its header is too long")
    require_memory(entry["size"], shown(path), RefusedError, "resume on a machine with more")
    try:
        array = np.empty(shape, dtype)
    except MemoryError as problem:
        raise RefusedError(f"{shown(path)} takes {entry['size'] / 1e6:,.0f} MB, more memory than there is") from problem
    digest = hashlib.sha256(file.read(header_size))
    room = _bytes_of(array)
    done = 0
    while count := cast(Any, file).readinto(room[done : done + _CHUNK]):
        digest.update(room[done : done + count])
        done += count
    _require_digest(path, digest, entry)
    return array
