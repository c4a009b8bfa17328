"""What `sg-tui train` does in processes other than the first one of a training, which alone tells and saves."""

from __future__ import annotations

from sg_core.engine.outbox import readable
from sg_core.errors import SgError
from sg_core.training.follow import follow
from sg_core.training.mpi import LostError
from sg_core.training.trainer import Trainer
from sg_tui.commands.interrupt import Interrupt
from sg_tui.commands.output import DONE, Output


def follow_first(trainer: Trainer, output: Output) -> int:
    """Work in silence until the first process ends; a signal is passed on to it. Raises SgError for a failure here."""
    ranks = trainer.ranks
    with Interrupt() as interrupt:
        ranks.wish = lambda: interrupt.code if interrupt.asked else 0
        try:
            follow(trainer)
        except LostError:
            raise  # the first process tells it too
        except Exception as problem:
            output.silent = False  # the others wait for this process, and end with it
            raise SgError(
                f"process {ranks.rank + 1} of {ranks.size}: {readable(problem)}; --resume goes on from the run's last "
                "checkpoint"
            ) from problem
    return DONE
