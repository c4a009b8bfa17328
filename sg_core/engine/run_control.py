"""What a person asks of a run while it trains, done between two steps: changes, ways back, forks, trials of rates."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sg_core.engine.commands import BackToBest, ChangeTraining, FindLearningRate, ForkTraining
from sg_core.engine.events import RateFound
from sg_core.engine.outbox import Outbox
from sg_core.errors import SgError, TrainingError
from sg_core.storage.run_log import BACK, CHANGE, FORK, RunEvent, add_event, write_events
from sg_core.storage.runs import new_run_folder, require_new

if TYPE_CHECKING:
    from sg_core.training.trainer import Trainer

ControlCommand = ChangeTraining | BackToBest | ForkTraining | FindLearningRate


class RunControl:
    """The commands that wait, and the run's log. True while one waits.

    log: the folder whose events.jsonl holds what was done to the run so far, None for none yet. interlude: as of a
    TrainingRun.
    """

    def __init__(self, trainer: Trainer, outbox: Outbox, interlude: Callable[[], bool], log: Path | None) -> None:
        self.waiting: deque[ControlCommand] = deque()
        self._trainer, self._outbox, self._interlude, self._log = trainer, outbox, interlude, log

    def __bool__(self) -> bool:
        return bool(self.waiting)

    def move_log(self, folder: Path) -> None:
        """Let the log lie in the folder that the run is saved to. Raises CheckpointError."""
        if folder != self._log:
            write_events(folder, self._events)
            self._log = folder

    @property
    def _events(self) -> Sequence[RunEvent]:
        return [*self._trainer.steering.done, *self._trainer.steering.coming]

    def do_next(self, folder: Path | None) -> RunEvent | None:
        """Do the first of what waits, and tell it or why not. What was done to the run in `folder`, if anything."""
        command = self.waiting.popleft()
        try:
            if self._trainer.finished:
                raise TrainingError("the run is at its end; start another one, or go on with more steps")
            match command:
                case ChangeTraining(settings=settings):
                    return self._act(CHANGE, dict(settings), folder)
                case BackToBest():
                    return self._act(BACK, {"to": self._best_step()}, folder)
                case ForkTraining():
                    return self._fork(command.folder, folder)
                case FindLearningRate(steps=steps):
                    self._find(steps)
        except SgError as error:
            self._outbox.fail(error, type(command).__name__)
        return None

    def _act(self, kind: str, values: dict[str, float | str], folder: Path | None) -> RunEvent:
        """Write an event into the log, and only then let it act."""
        event = self._trainer.steering.next(self._trainer.step_count, kind, values)
        act = self._trainer.prepared(event)
        if folder is not None:
            self.move_log(folder)
            add_event(folder, event)
        act()
        self._outbox.emit(event)
        return event

    def _best_step(self) -> int:
        best = self._trainer.best_step
        if best == -1:
            raise TrainingError("nothing was validated yet: there is no best step to go back to")
        if best == self._trainer.step_count:
            raise TrainingError(f"step {best:,} is the best one so far; there is nothing to go back to")
        return best

    def _fork(self, wanted: str | None, folder: Path | None) -> RunEvent:
        if self._trainer.steering.coming:
            last = self._trainer.steering.coming[-1].step
            raise TrainingError(f"what was done to the run up to step {last:,} is done again first; fork it after that")
        if wanted is None:
            target = new_run_folder(folder.name[18:] if folder is not None else self._trainer.model.name)
        else:
            target = Path(wanted).expanduser()
            require_new(target)
        self._outbox.phase("saving")
        self._trainer.fork(target, str(folder or "a run in memory"))
        return self._act(FORK, {"folder": str(target)}, folder)

    def _find(self, steps: int) -> None:
        from sg_core.training.find_lr import find_learning_rate

        with self._trainer.unchanged():
            trials, suggested = find_learning_rate(self._trainer, steps, self._outbox.emit, self._interlude)
        self._outbox.emit(RateFound(self._trainer.step_count, suggested, len(trials)))
