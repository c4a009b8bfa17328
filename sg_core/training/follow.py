"""What the processes of a training other than the first do: each thing that the first one does, at the same time."""

from __future__ import annotations

from contextlib import suppress

from sg_core.errors import TrainingError
from sg_core.training.settings import TrainingConfig
from sg_core.training.trainer import Trainer


def follow(trainer: Trainer) -> None:
    """Do what the first process tells until it tells no more. Raises LostError when it is gone."""
    for told in trainer.ranks.told():
        match told["do"]:
            case "step":
                trainer.watch.every = told["watch"]
                with suppress(TrainingError):  # the first process tells it, and saves
                    trainer.step(told["rate"])
            case "validate":
                trainer.validation_nats()
            case "collect":
                trainer.shared.collect(told["name"])
                trainer.shared.clear()
            case "use":
                trainer.use(TrainingConfig(**told["settings"]))
            case "take":
                trainer.take(told["step"], told["updates"], told["averaged"])
