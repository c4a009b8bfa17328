"""What a checkpoint of a training must hold besides sound files: checked before any of it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sg_core.checks import is_whole
from sg_core.errors import CheckpointError
from sg_core.files import shown
from sg_core.storage.checkpoint import Checkpoint

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


def _require_fields(found: Mapping[str, Any], wanted: Mapping[str, tuple[type, ...]], where: str) -> None:
    for name, kinds in wanted.items():
        if type(found.get(name)) not in kinds or (name not in found):
            raise CheckpointError(f"the checkpoint {where} can't be used: its {name} is missing or wrong")
