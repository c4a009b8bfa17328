"""A person's training runs as models: by name, from the exported model or else from a checkpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sg_core import paths
from sg_core.config import GPT2Config
from sg_core.errors import CheckpointError, ModelFileError, SettingError, SgError
from sg_core.files import shown
from sg_core.memory import give_back
from sg_core.network.parameters import Parameters, Piece, layout
from sg_core.storage.checkpoint import load_checkpoint
from sg_core.storage.diagnosis import ADAPTER, is_model, names_of
from sg_core.storage.manifest import checkpoint_folders, entries, read_manifests, sizes_fit
from sg_core.storage.peft_file import EXPORT as ADAPTER_EXPORT
from sg_core.storage.peft_file import base_model
from sg_core.storage.runs import REQUEST

EXPORT = "model"  # the folder, in Hugging Face layout, that a training leaves in its run's
_PARAMETERS = "parameters"  # the array of a checkpoint that holds all weights, as `Parameters` lays them out


def run_folders() -> list[Path]:
    """The runs that can be used as models, newest first: their names begin with the date."""
    found = []
    for folder in reversed(entries(paths.runs_dir())):
        with contextlib.suppress(SgError, OSError):
            if folder.is_dir() and model_of_run(folder):
                found.append(folder)
    return found


def is_run(folder: Path) -> bool:
    """Whether a folder is a training run's."""
    return (folder / REQUEST).is_file() or bool(checkpoint_folders(folder))


def model_of_run(run: Path) -> Path:
    """The folder to load a run's model from: its export, else its best checkpoint, else its newest.

    Raises ModelFileError when there is none yet, CheckpointError for a checkpoint of a newer version.
    """
    if is_model(names_of(run / EXPORT)):
        return run / EXPORT
    _require_weights(run)
    whole = [manifest for manifest in read_manifests(checkpoint_folders(run))[0] if sizes_fit(manifest)]
    best = [manifest for manifest in whole if manifest.best]
    if not whole:
        raise ModelFileError(f"the run {shown(run)} has saved no weights yet; go on with it: sg-tui train --resume")
    return (best or whole)[0].folder


def _require_weights(run: Path) -> None:
    """Raises ModelFileError for a run that trains an adapter: it has no weights of its own."""
    if (run / ADAPTER_EXPORT / ADAPTER).is_file():
        base = base_model(run / ADAPTER_EXPORT) or "MODEL"
        raise ModelFileError(
            f"the run {shown(run)} trained an adapter, which is used with its model: --model {shown(base)} --adapter "
            f"{shown(run)}"
        )
    manifests = read_manifests(checkpoint_folders(run))[0]
    if manifests and "arrays/adapter.npy" in manifests[0].files:
        raise ModelFileError(
            f"the run {shown(run)} trains an adapter, and is not through with it; go on with it: sg-tui train --resume"
        )


def checkpoint_config(folder: Path) -> GPT2Config:
    """The sizes of a checkpoint's model. Raises ModelFileError, or CheckpointError when it is damaged."""
    info = load_checkpoint(folder, arrays=()).info
    try:
        return GPT2Config.from_saved(info["model"])
    except (AttributeError, KeyError, TypeError, SettingError) as problem:
        raise ModelFileError(f"the checkpoint {shown(folder)} can't be used: {problem}") from problem


def checkpoint_weights(folder: Path, config: GPT2Config) -> Iterator[Piece]:
    """Every tensor. Raises as `checkpoint_config`."""
    arena = load_checkpoint(folder, arrays=(_PARAMETERS,), mapped=(_PARAMETERS,)).arrays.get(_PARAMETERS)
    if arena is None:
        raise CheckpointError(f"the checkpoint {shown(folder)} is of an adapter; its run's is used with --adapter")
    if arena.shape != (layout(config).size,) or arena.dtype != "<f4":
        raise CheckpointError(f"the checkpoint {shown(folder)} does not hold the weights that its sizes ask for")
    for piece in Parameters(config, arena).pieces():
        yield piece
        give_back(arena)
