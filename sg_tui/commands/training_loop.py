"""The steps of `sg-tui train`, told line by line. What is due after a step is decided where the app has it too."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sg_core.engine.commands import Train
from sg_core.engine.events import (
    Calibrated,
    Event,
    Exported,
    Failed,
    Notice,
    Phase,
    Sample,
    Saved,
    TrainingEnded,
    TrainingStarted,
)
from sg_core.engine.outbox import Outbox
from sg_core.engine.training_run import SAVE_ADVICE, TrainingRun
from sg_core.errors import CheckpointError, SgError
from sg_core.files import given_path
from sg_core.storage.run_log import RunEvent
from sg_core.training.results import Evaluation, LayerFigures, StepResult
from sg_tui.commands.interrupt import Interrupt
from sg_tui.commands.output import DONE, FAILED, INTERRUPTED, Output
from sg_tui.commands.run_recorder import RunRecorder
from sg_tui.figures import duration

if TYPE_CHECKING:
    from sg_core.engine.run_control import ControlCommand
    from sg_core.storage.lock import FileLock
    from sg_core.training.trainer import Trainer

_LINE_SECONDS = 1.0  # between two lines for people


def train(
    trainer: Trainer,
    folder: Path,
    args: argparse.Namespace,
    output: Output,
    lock: FileLock | None = None,
    asked: Sequence[ControlCommand] = (),
) -> int:
    """Run the trainer to its end, or until a signal or the loss of its reader; returns the exit code.

    lock: of `folder`; released at the end. asked: what is done to the run first; one that can't be done ends it before
    its first step. Raises what an output raised that takes nothing, once all is saved.
    """
    outbox = Outbox()
    command = Train(
        model=args.model,
        config=args.config or "tiny",
        out=str(folder) if args.out else None,
        resume=args.resume,
        sample_every=args.sample_every,
        sample_prompt=args.sample_prompt,
        watch_every=args.watch,
    )
    with Interrupt() as interrupt:

        def interlude() -> bool:
            interrupt.hear(trainer.ranks.wished)
            training.stopping = training.stopping or interrupt.asked
            return training.stopping

        training = TrainingRun(command, trainer, folder, outbox, interlude, args.export_dtype, args.calibrate, lock)
        report = _Report(trainer, output, args.json, RunRecorder(command, folder))
        training.attended = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
        training.control.waiting.extend(asked)
        training.tell_start()
        while not training.ended:
            if interlude() and interrupt.code != INTERRUPTED:
                training.attended = False  # a terminal that is gone names no folder
            training.advance()
            report.take_all(outbox)
            if report.refused:
                training.abandon()
                output.error("sg-tui train", report.refused)
                return FAILED
            if report.broken is not None and not training.ended:
                training.stopping, training.attended = True, False
            if training.paused and not _move(training, report.failure, output):
                training.close()  # the last try: another folder
                report.take_all(outbox)
                output.error("sg-tui train", f"{report.failure}; --resume goes on from {report.last_saved}")
                return FAILED
        if report.broken is not None and interrupt.asked:
            return interrupt.code
        if report.broken is not None:
            output.note(f"nothing takes the output any more: stopped; --resume goes on from {report.last_saved}")
            raise report.broken
        if report.reason == "failed":
            output.error("sg-tui train", report.failure)
            return FAILED
        return interrupt.code if report.reason == "stopped" else DONE


def _move(training: TrainingRun, failure: str, output: Output) -> bool:
    """A save failed, the state is in memory: ask for another folder; False when nobody can or wants to give one."""
    if not training.attended:
        return False
    output.note(failure)
    output.note("another folder to save to (empty to give up):")
    while answer := sys.stdin.readline().strip():
        try:
            training.save_to(given_path(answer, CheckpointError))
        except CheckpointError as error:
            output.note(f"{error}; another one:")
            continue
        training.resume()
        return True
    return False


class _Report:
    """Events as lines: JSON, or figures for people about once a second."""

    def __init__(self, trainer: Trainer, output: Output, as_json: bool, recorder: RunRecorder) -> None:
        self.reason = ""  # why the training ended
        self.failure = ""
        self.refused = ""  # why something that was asked for can't be done to the run
        self.last_saved = "the last checkpoint"
        self.broken: OSError | SgError | None = None  # the output takes nothing any more
        self._trainer = trainer
        self._recorder = recorder
        self._output = output
        self._json = as_json
        self._began = time.monotonic()
        self._first = trainer.step_count
        self._told_at = -math.inf
        self._saved = (-1, "")

    def take_all(self, outbox: Outbox) -> None:
        """Tell what has happened; where the output takes nothing any more, know it all the same."""
        while outbox.events:
            event = outbox.events.popleft()
            self._note(event)
            self._recorder.take(event)
            if self.broken is None:
                try:
                    self._tell_event(event)
                except (OSError, SgError) as problem:
                    self.broken = problem

    def _note(self, event: Event) -> None:
        match event:
            case Saved(folder=folder):
                self.last_saved = str(Path(folder).parent)
            case Failed(message=message, command="ChangeTraining" | "BackToBest"):
                self.refused = message
            case Failed(message=message):
                self.failure = message.removesuffix(f"; {SAVE_ADVICE}")
            case TrainingEnded(reason=reason):
                self.reason = reason

    def _tell_event(self, event: Event) -> None:
        match event:
            case StepResult():
                self._step(event)
            case Evaluation():
                self._evaluated(event)
            case Sample(step=step, text=text):
                self._tell({"step": step, "sample": text}, f"--- sample at step {step}\n{text}\n---")
            case Saved(step=step, folder=folder) | Exported(step=step, folder=folder):
                self._saved_in(step, folder)
            case Calibrated(step=step, scale=scale, before=before, after=after):
                self._tell(
                    {"step": step, "calibrated": scale, "before": before, "val_loss_per_char": after},
                    f"calibrated: final norm x {scale:.3f}, validation {before:.4f} -> {after:.4f} a character",
                )
            case LayerFigures(step=step, layer=layer, grad_norm=norm, update_ratio=ratio, dead=dead):
                look = {"step": step, "layer": layer, "grad_norm": norm, "update_ratio": ratio, "dead": dead}
                shares = "" if math.isnan(dead) else f"  dead GELUs {dead:.1%}"
                line = f"step {step}: block {layer}  gradient {norm:.3g}  update/weight {ratio:.1e}{shares}"
                self._tell(look, line)
            case RunEvent(step=step, number=number):
                record = {"step": step, "event": event.kind, "number": number, **event.values}
                self._tell(record, f"step {step}: {event.words} (line {number} of the run's log)")
            case TrainingStarted():
                self._started(event)
            case Phase(name=name) if name in ("evaluating", "saving", "calibrating"):
                self._output.progress(name)
            case Notice(text=text):
                self._output.note(text)

    def _saved_in(self, step: int, folder: str) -> None:
        """Something complete is in `folder`."""
        if (step, folder) != self._saved:  # saved again: the validation found it to be the best
            self._saved = (step, folder)
            self._tell({"saved": folder, "step": step}, f"step {step}: saved {folder}")

    def _tell(self, record: dict[str, Any], line: str) -> None:
        if self._json:
            self._output.json(record)
        else:
            self._output.line(line)

    def _started(self, event: TrainingStarted) -> None:
        config = event.config
        sizes = f"{config.n_layer} layers x {config.n_embd}, {config.n_head} heads, vocabulary {config.vocab_size:,}"
        data = f"{event.data}: {event.train_tokens:,} tokens to train, {event.validation_tokens:,} to validate"
        steps = f"steps {event.first_step:,} to {event.training.steps:,}"
        self._output.note(f"{event.model}: {config.parameter_count / 1e6:,.2f} M parameters, {sizes}; {data}; {steps}")

    def _step(self, result: StepResult) -> None:
        if self._json:
            record = {
                "step": result.step,
                "loss": result.counted_loss,
                "lr": result.lr,
                "grad_norm": result.grad_norm,
                "tokens_per_second": result.tokens_per_second,
            }
            self._output.json(record)
            return
        now, steps = time.monotonic(), self._trainer.config.steps
        if now - self._told_at < _LINE_SECONDS and result.step < steps:
            return
        self._told_at = now
        left = (now - self._began) / (result.step - self._first) * (steps - result.step)
        self._output.line(
            f"step {result.step}/{steps}  loss {result.counted_loss:.4f}  lr {result.lr:.2e}  "
            f"{result.tokens_per_second:,.0f} tokens/s  {duration(left)} left"
        )

    def _evaluated(self, result: Evaluation) -> None:
        step, loss, per_char = result.step, result.val_loss, result.val_loss_per_char
        record = {"step": step, "val_loss": loss, "val_loss_per_char": per_char}
        self._tell(record, f"step {step}: validation {loss:.4f} a token, {per_char:.4f} a character")
