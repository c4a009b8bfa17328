"""One training run of the engine thread: a step a call, and what is due after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sg_core.engine.commands import Train
from sg_core.engine.events import (
    Calibrated,
    Exported,
    Notice,
    Sample,
    Saved,
    TrainingEnded,
    TrainingStarted,
)
from sg_core.engine.outbox import Outbox, readable
from sg_core.engine.run_control import RunControl
from sg_core.errors import CheckpointError, SgError, TrainingError
from sg_core.files import shown
from sg_core.inference.sampling import Sampling
from sg_core.storage.lock import FileLock, lock_run
from sg_core.storage.run_log import BACK, FORKED
from sg_core.storage.runs import other_folders

if TYPE_CHECKING:
    from sg_core.network.parameters import Parameters
    from sg_core.training.results import StepResult
    from sg_core.training.trainer import Trainer

SAMPLE_TOKENS = 120
SAMPLE_TEMPERATURE = 0.8
SAVE_ADVICE = "training is paused, its state is in memory"
RETRIES = (0.0, 0.5, 1.5)  # seconds before a failed save is tried again where nobody can name another place


class TrainingRun:
    """A trainer with its folder. Ends with exactly one TrainingEnded.

    interlude: called between the parts of an evaluation and the tokens of a sample, so that others have their turn;
    True ends that evaluation or sample early.

    When a save fails it is tried again, and then the run pauses with its state in memory: it goes on, unsaved, after a
    resume; a save to another folder settles it; a stop that can't save pauses too, and only a second stop gives up what
    was not saved. Where nobody is there to name another folder (`attended` is False, or the program ends) one is taken
    in the data folder or among the temporary files.

    lock: of `folder`; released at the end.
    """

    def __init__(
        self,
        command: Train,
        trainer: Trainer,
        folder: Path | None,
        outbox: Outbox,
        interlude: Callable[[], bool],
        export_dtype: str = "F32",
        calibrate: bool = False,
        lock: FileLock | None = None,
    ) -> None:
        self.trainer = trainer
        self.folder = folder
        self.attended = True
        self.paused = False
        self.ended = False
        self.stopping = False  # a stop was asked for
        self.step_seconds = 0.0  # of the last step
        self._save_to: Path | None = None  # a save that was asked for
        self._saved_step = trainer.step_count if command.resume and not command.out else -1
        self._first_step = trainer.step_count
        self._lock = lock
        self._reason = ""  # why it ends, once it does
        self._stop_failed = False  # a stop could not save
        self._command = command
        self._outbox = outbox
        self._interlude = interlude
        self._export_dtype = export_dtype
        self._wants_calibration = calibrate
        trainer.watch.every = command.watch_every
        own = folder if command.resume and not command.out else None
        self.control = RunControl(trainer, outbox, interlude, own)
        if command.resume and own is None and not trainer.steering.coming:
            trainer.steering.add(trainer.steering.next(trainer.step_count, FORKED, {"folder": command.resume}))
        # what is due after a step is done again after a resume: a kill may have come in between
        self._follow_up = bool(command.resume) and trainer.step_count > 0 and self._something_due

    @property
    def active(self) -> bool:
        """Whether `advance` has something to do."""
        return not self.paused or self._follow_up or self.stopping or self._save_to is not None or bool(self.control)

    def tell_start(self) -> None:
        """The run's facts."""
        trainer = self.trainer
        self._outbox.emit(
            TrainingStarted(
                model=trainer.model.name,
                config=trainer.model.config,
                training=trainer.config,
                data=trainer.dataset.name,
                train_tokens=len(trainer.dataset.train_ids),
                validation_tokens=len(trainer.dataset.validation_ids),
                first_step=trainer.step_count,
                out=None if self.folder is None else str(self.folder),
                events=tuple(trainer.steering.done),
            )
        )
        for problem in trainer.passed_over:
            self._outbox.emit(Notice(f"an older checkpoint was taken: {problem}"))
        self.tell_state()

    def tell_state(self) -> None:
        """The phase: paused, or training and how far."""
        if self.paused:
            self._outbox.phase("paused")
        else:
            self._outbox.phase("training", "", self.trainer.step_count, self.trainer.config.steps)

    # ------------------------------------------------------------ what is asked of it

    def pause(self) -> None:
        """Wait, with the state in memory."""
        self.paused = True
        self.tell_state()

    def resume(self) -> None:
        """Go on after a pause."""
        self.paused = self._stop_failed = False
        self.tell_state()

    def save_to(self, folder: Path) -> None:
        """Save into another folder, now and from here on."""
        self._save_to, self._stop_failed = folder, False

    def close(self) -> None:
        """The program ends: save what is new, wherever that can be done."""
        self.attended = False
        if not self.ended and self._saved_step != self.trainer.step_count > self._first_step:
            if self.folder is not None:
                self._save()
            else:
                self._rescue()
        self._release()

    # ------------------------------------------------------------ the work

    def advance(self) -> None:
        """Do what was asked for, or one step, or what is due after it; the step is told before.

        A TrainingError ends the run with its last good state saved; any other failure of the trainer is raised.
        """
        try:
            if self._save_to is not None:
                self._move()
            elif self.stopping:
                self._stop()
            elif self._follow_up:
                try:
                    self._after_step()
                finally:
                    self._follow_up = False  # last, so that a run whose save failed is busy while it evaluates
            elif self.control:
                self._steer()
            elif self._reason or self.trainer.finished:
                self._end(self._reason or "finished")
            else:
                self._step()
        except TrainingError as error:
            self._outbox.fail(error, "Train")
            self._end("failed")

    def abandon(self) -> None:
        """End without saving, after a failure that may have left the state half changed."""
        self.ended = True
        self._release()
        self._outbox.emit(TrainingEnded(self.trainer.step_count, "failed"))

    def _steer(self) -> None:
        event = self.control.do_next(self.folder)
        if event is not None and event.kind == BACK:
            self._saved_step = -1  # saved anew, as the newest checkpoint, so that a resume need not go there again
            self._save()
        self.tell_state()

    def _step(self) -> None:
        for event in self.trainer.replay():
            self._outbox.emit(event)
            self._saved_step = -1 if event.kind == BACK else self._saved_step
        began = time.perf_counter()
        result = self.trainer.step()
        self.step_seconds = time.perf_counter() - began
        self._tell_step(result)
        self._follow_up = self._something_due

    @property
    def _something_due(self) -> bool:
        """Whether the step that was just done asks for more."""
        training = self.trainer.config
        intervals = (training.save_every, training.evaluate_every, self._command.sample_every)
        return self.trainer.finished or any(_due(self.trainer.step_count, every) for every in intervals)

    def _after_step(self) -> None:
        """Save, evaluate, sample and end, as far as it is due."""
        step, training, last = self.trainer.step_count, self.trainer.config, self.trainer.finished
        saved = not (last or _due(step, training.save_every)) or self._save()
        if _due(step, training.evaluate_every) or (last and training.evaluate_every):
            self._evaluate()
        if _due(step, self._command.sample_every) and not self.stopping:
            self._sample(step)
        if last and saved and not self.stopping:
            self._end("finished")
        elif last:
            self._reason = "finished"

    def _tell_step(self, result: StepResult) -> None:
        self._outbox.emit(result)
        if self.trainer.watch.figures is not None:
            self._outbox.emit(self.trainer.watch.figures)
        if result.skipped:
            self._outbox.emit(Notice(f"step {result.step} was skipped: its loss or gradient was not finite"))

    def _evaluate(self) -> None:
        self._outbox.phase("evaluating")
        evaluation = self.trainer.evaluate(cancelled=self._interlude)
        if self.stopping:
            return
        self._outbox.emit(evaluation)
        if evaluation.val_loss == self.trainer.best_val_loss and self._keeps(evaluation.step):
            self._saved_step = -1  # saved before it was known to be the best: once more, marked as such
            self._save()
        if self.trainer.out_of_patience:
            patience = self.trainer.config.patience
            self._outbox.emit(Notice(f"the validation loss has not fallen for {patience} evaluations: the run ends"))
        self.tell_state()

    def _keeps(self, step: int) -> bool:
        """Whether the best step so far is to lie in a checkpoint: it does already, or it is to be exported."""
        training = self.trainer.config
        return self._saved_step == step or (training.export == "best" and training.save_every > 0)

    def _sample(self, step: int) -> None:
        """A text by the weights as they are; its seed is the step."""
        session = self.trainer.model.session()
        sampling = Sampling(temperature=SAMPLE_TEMPERATURE, seed=step)
        text = ""
        try:
            for token in session.generate(
                self._command.sample_prompt, SAMPLE_TOKENS, sampling, cancelled=self._interlude
            ):
                text += token.text
        except SgError as error:
            self._outbox.emit(Notice(f"no sample at step {step}: {readable(error)}"))
            return
        if not self.stopping:
            self._outbox.emit(Sample(step, text))

    # ------------------------------------------------------------ saving and ending

    @property
    def _unsaved(self) -> bool:
        return self.folder is not None and self._saved_step != self.trainer.step_count

    def _save(self) -> bool:
        """Save what is new; False, and a pause, when it can't be written."""
        if self.folder is None or not self._unsaved:
            return True
        problem: Exception | None = None
        for seconds in (0.0, *(RETRIES[:1] if self.attended else RETRIES)):
            time.sleep(seconds)
            problem = self._written(self.folder)
            if problem is None:
                self.tell_state()
                return True
        assert problem is not None
        self._outbox.fail(problem, "Train", advice=SAVE_ADVICE if self.attended else "")
        if not self.attended and self._rescue():
            return True
        self.pause()
        return False

    def _written(self, folder: Path) -> Exception | None:
        """Save into a folder and tell it; what went wrong, if anything did."""
        self._outbox.phase("saving")
        try:
            self.control.move_log(folder)
            checkpoint = self.trainer.save(folder)
        except Exception as problem:  # whatever it is, the state in memory outlives it
            return problem
        self._saved_step = self.trainer.step_count
        self._outbox.emit(Saved(self.trainer.step_count, str(checkpoint)))
        return None

    def _rescue(self) -> bool:
        """Save into a folder that takes it, and go on there; False when there is none."""
        for folder in other_folders(self.folder):
            if self._written(folder) is None:
                self._take_folder(folder)
                self._outbox.emit(
                    Notice(f"the run is kept in {shown(folder)} from here on; its own folder took nothing")
                )
                self.tell_state()
                return True
            with suppress(OSError):
                folder.rmdir()
        return False

    def _move(self) -> None:
        """Save into the folder that was asked for; the earlier one stays the run's if that fails."""
        before, wanted = (self.folder, self._saved_step), self._save_to
        self._save_to = None
        try:
            lock = lock_run(wanted) if wanted is not None and wanted != self.folder else None
        except CheckpointError as problem:
            self._outbox.fail(problem, "SaveTraining")
            return
        self.folder, self._saved_step = wanted, -1
        if not self._save():
            self.folder, self._saved_step = before
            if lock is not None:
                lock.release()
            return
        if wanted != before[0]:
            self._take_folder(self.folder, lock)
        if self._reason:
            self._end(self._reason)

    def _take_folder(self, folder: Path | None, lock: FileLock | None = None) -> None:
        """The run is in another folder from here on, whose lock it takes unless it has it already."""
        if lock is None and folder is not None:
            lock = lock_run(folder)
        self._release()
        self.folder, self._lock = folder, lock

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _stop(self) -> None:
        self.stopping = False
        if self._stop_failed and self._unsaved:
            self._reason = "stopped"
            self._outbox.emit(Notice(f"the last steps, up to {self.trainer.step_count}, were not saved"))
            self._tell_end()
        else:
            self._stop_failed = True
            self._end("finished" if self.trainer.finished else "stopped")

    def _end(self, reason: str) -> None:
        """Save and end; when the save fails the run waits instead, for another folder or a second stop."""
        self._reason = reason
        if self._save():
            self._tell_end()

    def _export(self) -> None:
        """Put the model, as any program of the field reads it, beside the checkpoints."""
        if self.folder is None or self._unsaved:
            return
        from sg_core.training.export import export_adapter, model_to_export

        folder = self.folder / "model"
        try:
            if self.trainer.config.lora:
                folder, step = export_adapter(self.trainer, self.folder)
            else:
                model, step = model_to_export(self.trainer, self.folder)
                with self._calibrated(model.parameters) if self._wants_calibration else nullcontext():
                    model.save_pretrained(folder, self._export_dtype)
        except Exception as error:  # the checkpoint holds everything
            self._outbox.emit(Notice(f"the model was not exported: {readable(error)}"))
        else:
            self._outbox.emit(Exported(step, str(folder), adapter=bool(self.trainer.config.lora)))

    def _calibrated(self, parameters: Parameters) -> AbstractContextManager[None]:
        """Within, the weights are calibrated; they stay as they are when the search is stopped."""
        from sg_core.training.calibration import calibrate, final_norm_scaled

        self._outbox.phase("calibrating")
        found = calibrate(self.trainer, self._interlude, parameters)
        if found is None:
            self._outbox.emit(Notice("calibrating was stopped: the exported model is the trained one as it is"))
            return nullcontext()
        self._outbox.emit(Calibrated(self.trainer.step_count, found.scale, found.before, found.after))
        return final_norm_scaled(parameters, found.scale)

    def _tell_end(self) -> None:
        self._export()
        self._release()
        self.ended = True
        self._outbox.emit(TrainingEnded(self.trainer.step_count, self._reason))


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
