"""The folders of training runs: their names, and the request in each, written before the first checkpoint."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from sg_core import paths
from sg_core.checks import quoted
from sg_core.errors import CheckpointError
from sg_core.files import make_folder, read_json_object, reason, replacing, shown
from sg_core.storage.manifest import checkpoint_folders
from sg_core.storage.run_log import write_events

REQUEST = "run.json"
_FORMATS = (1, 2)  # 1: of one text, by its name or path; 2: of a list of them
_LARGEST = 1 << 20  # bytes of a request


def new_run_folder(name: str) -> Path:
    """A new, empty folder for a run, called by date and `name`, in the folder of runs. Raises CheckpointError."""
    safe = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:40] or "run"
    stem = f"{datetime.now():%Y-%m-%d-%H%M%S}-{safe}"
    for number in range(1, 1000):
        folder = paths.runs_dir() / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(mode=0o700, parents=True)  # a missing parent could not be made: this tells why
        except FileExistsError:
            continue
        except OSError as problem:
            raise CheckpointError(
                f"the folder {shown(folder)} can't be made: {reason(problem)}; name another place for the run"
            ) from problem
        return folder
    raise CheckpointError(f"{shown(paths.runs_dir())} already holds a thousand runs called {shown(stem)}")


def other_folders(folder: Path | None) -> Iterator[Path]:
    """New, empty folders for a run whose own takes nothing: in the folder of runs, then among the temporary files."""
    name = "run" if folder is None else folder.name
    with suppress(CheckpointError):
        yield new_run_folder(name)
    with suppress(OSError):
        yield Path(tempfile.mkdtemp(prefix="sg-tui-run-"))


def require_new(folder: Path) -> None:
    """Raises CheckpointError when the folder holds checkpoints of an earlier run."""
    if checkpoint_folders(folder):
        raise CheckpointError(
            f"{shown(folder)} already holds a run; go on with it (--resume), or choose another folder for the new one"
        )


def write_request(folder: Path, request: Mapping[str, Any]) -> None:
    """Put what a run was asked to be into its folder, as format 1 where the request names no other.

    Raises CheckpointError when it can't be written, and leaves no empty folder then, or when the folder holds
    checkpoints of an earlier run.
    """
    require_new(folder)
    make_folder(folder, CheckpointError)
    write_events(folder, [])  # of a run that was killed there before its first checkpoint
    text = json.dumps({"format": _FORMATS[0], **request}, indent=1)
    try:
        with replacing(folder / REQUEST, CheckpointError) as file:
            file.write(f"{text}\n".encode())
    except CheckpointError:
        with suppress(OSError):  # one that holds anything stays
            folder.rmdir()
        raise


def read_request(folder: Path) -> dict[str, Any] | None:
    """What a run was asked to be that was killed before it saved anything; None for any other folder.

    Raises CheckpointError for a request that can't be read.
    """
    if checkpoint_folders(folder) or not (folder / REQUEST).is_file():
        return None
    found = read_json_object(folder / REQUEST, _LARGEST, CheckpointError)
    if found.get("format") not in _FORMATS:
        known = " and ".join(map(str, _FORMATS))
        raise CheckpointError(
            f"{shown(folder / REQUEST)} has format {quoted(found.get('format'))}; this version reads {known}"
        )
    return found
