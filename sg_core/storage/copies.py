"""A checkpoint of one run in the folder of another."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sg_core.errors import CheckpointError
from sg_core.files import make_folder, reason, shown
from sg_core.storage.checkpoint import hidden_folder, sync, sync_folder
from sg_core.storage.manifest import checkpoint_folders, read_manifests, sizes_fit


def copy_best(run: Path, other: Path) -> None:
    """Give another, new run's folder the newest best checkpoint of `run`, if it has one; files are shared where they
    can be. Raises CheckpointError."""
    whole = [manifest for manifest in read_manifests(checkpoint_folders(run))[0] if sizes_fit(manifest)]
    best = next((manifest.folder for manifest in whole if manifest.best), None)
    if best is None:
        return
    make_folder(other, CheckpointError)
    try:
        with hidden_folder(other) as unfinished:
            shutil.copytree(best, unfinished, copy_function=_share, dirs_exist_ok=True)
            for path in (*(path for path in unfinished.rglob("*") if path.is_dir()), unfinished):
                sync_folder(path)
            os.rename(unfinished, other / best.name)
        sync_folder(other)
    except (OSError, shutil.Error) as problem:
        what = reason(problem) if isinstance(problem, OSError) else "its files can't be copied"
        raise CheckpointError(f"the checkpoint {shown(best)} can't be copied to {shown(other)}: {what}") from problem


def _share(source: str, target: str) -> None:
    """A second name for a file, which is never written again; a synced copy where that can't be had."""
    try:
        os.link(source, target)
    except (OSError, NotImplementedError):
        shutil.copyfile(source, target)
        sync(Path(target))
