"""What a run gives away: its model, or the adapter that it trained, of its best checkpoint or its last step."""

from __future__ import annotations

from pathlib import Path

from sg_core.files import absolute
from sg_core.gpt2 import GPT2
from sg_core.network.adapters import Adapter, Trainable
from sg_core.network.parameters import Parameters
from sg_core.storage.checkpoint import load_checkpoint
from sg_core.storage.manifest import checkpoint_folders, read_manifests
from sg_core.storage.peft_file import EXPORT, write_adapter
from sg_core.training.trainer import Trainer


def model_to_export(trainer: Trainer, run: Path) -> tuple[GPT2, int]:
    """The model, and the step it is from. The best one is that of the best checkpoint in the folder `run`; without one,
    or where nothing was validated, it is the last. Raises CheckpointError for a checkpoint that can't be read."""
    trained, step = _to_export(trainer, run)
    if trained is trainer.model.parameters:
        return trainer.model, step
    assert isinstance(trained, Parameters)
    return GPT2(trainer.model.config, trained, trainer.model.tokenizer, trainer.model.name), step


def export_adapter(trainer: Trainer, run: Path) -> tuple[Path, int]:
    """Write the adapter, chosen as `model_to_export` chooses, in PEFT's files: its folder and the step it is from.

    Raises CheckpointError or ModelFileError.
    """
    adapter, step = _to_export(trainer, run)
    settings = trainer.config.adapter
    assert isinstance(adapter, Adapter)
    assert settings is not None
    write_adapter(run / EXPORT, adapter, settings, absolute(trainer.model.name))
    return run / EXPORT, step


def _to_export(trainer: Trainer, run: Path) -> tuple[Trainable, int]:
    last = trainer.validated_parameters
    if trainer.config.export == "best" and trainer.best_step not in (-1, trainer.step_count):
        best = [one for one in read_manifests(checkpoint_folders(run))[0] if one.best and one.step == trainer.best_step]
        if best:
            learned = "parameters" if trainer.config.adapter is None else "adapter"
            name = learned if trainer.config.average == "none" else "average"
            return last.like(load_checkpoint(best[0].folder, {name}).arrays[name]), best[0].step
    return last, trainer.step_count
