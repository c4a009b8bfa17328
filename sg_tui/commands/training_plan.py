"""What `sg-tui train` tells before a run: its plan (--plan), or a learning rate (--find-lr). Neither leaves a run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sg_tui.commands.output import DONE, Output
from sg_tui.figures import bar

if TYPE_CHECKING:
    from sg_core.training.trainer import Trainer

_WIDTH = 40  # cells of a loss


def tell_plan(trainer: Trainer, args: argparse.Namespace, output: Output) -> int:
    """Memory against what is free, time from measured steps, and the size of what comes out."""
    from sg_core.memory import available_memory
    from sg_core.training.memory_plan import size_text
    from sg_core.training.plan import checkpoint_bytes, measure_time, result_bytes

    memory, free = trainer.memory_plan, available_memory()
    output.progress("measuring steps")
    taken = measure_time(trainer)
    result, checkpoint = result_bytes(trainer, args.export_dtype), checkpoint_bytes(trainer)
    if args.json:
        output.json(
            {
                "plan": {
                    "parameters": trainer.model.config.parameter_count,
                    "memory": memory.total,
                    "free": free,
                    **{f"memory_{name}": size for name, size in memory.parts.items()},
                    "step_ms": taken.step_seconds * 1e3,
                    "steps": taken.steps,
                    "validation_ms": taken.validation_seconds * 1e3,
                    "validations": taken.validations,
                    "seconds": taken.seconds,
                    "result": result,
                    "checkpoint": checkpoint,
                }
            }
        )
        return DONE
    parts = ", ".join(f"{name} {size_text(size)}" for name, size in memory.parts.items())
    there = "" if free is None else f", of {size_text(free)} that are free"
    validations = (
        f", {taken.validations:,} validations of {_span(taken.validation_seconds)}" if taken.validations else ""
    )
    made = f"OUT/adapter {size_text(result)}" if trainer.config.lora else f"OUT/model {size_text(result)}"
    output.text(
        f"memory  {size_text(memory.total)}{there}: {parts}\n"
        f"time    about {_span(taken.seconds)}: {taken.steps:,} steps of {_span(taken.step_seconds)}{validations}\n"
        f"result  {made} in {args.export_dtype}; checkpoints of {size_text(checkpoint)}, three at most\n"
    )
    return DONE


def tell_learning_rate(trainer: Trainer, args: argparse.Namespace, output: Output) -> int:
    """The curve of losses, and one number."""
    from sg_core.training.find_lr import RULE, STEPS, find_learning_rate
    from sg_core.training.results import Trial

    def told(trial: Trial) -> None:
        output.progress(f"learning rate {trial.rate:.1e}, loss {trial.loss:.3f}")

    trials, suggested = find_learning_rate(trainer, progress=told)
    if args.json:
        for one in trials:
            output.json({"lr": one.rate, "loss": one.loss, "smoothed": one.smoothed})
        output.json({"suggested_lr": suggested, "rule": RULE})
        return DONE
    highest, lowest = max(one.smoothed for one in trials), min(one.smoothed for one in trials)
    for one in trials[:: max(1, STEPS // 25)]:
        share = (one.smoothed - lowest) / max(1e-9, highest - lowest)
        output.text(f"{one.rate:.1e}  {one.smoothed:7.4f}  {bar(share, _WIDTH)}\n")
    output.text(f"suggested: --lr {suggested:.1e}, {RULE}\n")
    return DONE


def _span(seconds: float) -> str:
    if seconds < 1.0:
        return f"{seconds * 1e3:,.0f} ms"
    if seconds < 120.0:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200.0 else f"{seconds / 3600:,.1f} h"
