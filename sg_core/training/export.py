"""The model that a run gives away: its average where it has one, of its best checkpoint or its last step."""

from __future__ import annotations

from pathlib import Path

from sg_core.gpt2 import GPT2
from sg_core.network.parameters import Parameters
from sg_core.storage.checkpoint import load_checkpoint
from sg_core.storage.manifest import checkpoint_folders, read_manifests
from sg_core.training.trainer import Trainer


def model_to_export(trainer: Trainer, run: Path) -> tuple[GPT2, int]:
    """The model, and the step it is from. The best one is that of the best checkpoint in the folder `run`; without one,
    or where nothing was validated, it is the last. Raises CheckpointError for a checkpoint that can't be read."""
    if trainer.config.export == "best" and trainer.best_step not in (-1, trainer.step_count):
        best = [one for one in read_manifests(checkpoint_folders(run))[0] if one.best and one.step == trainer.best_step]
        if best:
            name = "average" if trainer.config.average != "none" else "parameters"
            arena = load_checkpoint(best[0].folder, {name}).arrays[name]
            return _like(trainer.model, Parameters(trainer.model.config, arena)), best[0].step
    if trainer.validated_parameters is trainer.model.parameters:
        return trainer.model, trainer.step_count
    return _like(trainer.model, trainer.validated_parameters), trainer.step_count


def _like(model: GPT2, parameters: Parameters) -> GPT2:
    return GPT2(model.config, parameters, model.tokenizer, model.name)
