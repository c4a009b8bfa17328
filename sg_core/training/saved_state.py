"""What a checkpoint of a training must hold besides sound files: checked before any of it is used."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sg_core.checks import is_whole
from sg_core.errors import CheckpointError
from sg_core.files import shown
from sg_core.storage.checkpoint import Checkpoint, load_checkpoint
from sg_core.storage.manifest import checkpoint_folders, read_manifests
from sg_core.training.dataset import TextDataset

_INFO: Mapping[str, tuple[type, ...]] = {
    "name": (str,), "model": (dict,), "training": (dict,), "data": (dict,),
    "updates": (int,), "skipped": (int,), "skipped_in_a_row": (int,),
    "best_val_loss": (float, int, type(None)), "best_step": (int,),
}  # fmt: skip
_DATA: Mapping[str, tuple[type, ...]] = {
    "name": (str,), "train_chars": (int,), "validation_chars": (int,), "fingerprint": (str,)
}  # fmt: skip
_ARRAYS = {
    "first_moment": "f", "second_moment": "f", "train_ids": "i", "validation_ids": "i"
}  # fmt: skip


def require_training(checkpoint: Checkpoint) -> None:
    """Raises CheckpointError, naming the field, when this is no checkpoint of a training."""
    where = shown(checkpoint.folder)
    _require_fields(checkpoint.info, _INFO, where)
    _require_fields(checkpoint.info["data"], _DATA, where)
    for name in ("train_chars", "validation_chars"):
        if not is_whole(checkpoint.info["data"][name], 1):
            raise CheckpointError(f"the checkpoint {where} can't be used: its {name} is no number of characters")
    learned = "adapter" if checkpoint.info["training"].get("lora") else "parameters"
    for name, kind in {learned: "f", **_ARRAYS}.items():
        array = checkpoint.arrays.get(name)
        if array is None or array.dtype.kind != kind or array.dtype.itemsize != 4 or array.ndim != 1:
            raise CheckpointError(f"the checkpoint {where} can't be used: it lacks the array {name}, as it must be")


def checkpoint_of(sibling: Path | None, step: int, mapped: Collection[str]) -> Checkpoint:
    """The checkpoint of a step, verified, of the run that `sibling` is one of. Raises CheckpointError."""
    manifests = read_manifests(checkpoint_folders(sibling.parent))[0] if sibling is not None else []
    folder = next((one.folder for one in manifests if one.step == step), None)
    if folder is None:
        raise CheckpointError(f"the run has no checkpoint of step {step:,} to go back to")
    checkpoint = load_checkpoint(folder, mapped=mapped)
    require_training(checkpoint)
    return checkpoint


def saved_dataset(data: Mapping[str, Any], arrays: Mapping[str, Any]) -> TextDataset:
    """The text of a checkpoint."""
    return TextDataset(
        data["name"], arrays["train_ids"], arrays["validation_ids"], data["train_chars"], data["validation_chars"]
    )  # fmt: skip


def _require_fields(found: Mapping[str, Any], wanted: Mapping[str, tuple[type, ...]], where: str) -> None:
    for name, kinds in wanted.items():
        if type(found.get(name)) not in kinds or (name not in found):
            raise CheckpointError(f"the checkpoint {where} can't be used: its {name} is missing or wrong")
