"""The engine thread: one long-lived daemon that owns model, session and trainer; commands in, events out.

Importing this is cheap: NumPy, Numba and the model are imported on the thread, at the first command that needs them.

While nothing runs the thread sleeps on its inbox. A generation writes tokens for a slice of time, then a training
takes one step, and so on: the slice is as long as the last step, within bounds, so that each gets half of the time
and neither waits long for the other. Commands are looked at between two tokens, between two steps, and between
the parts of an evaluation, a sample or the preparation of a training.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sg_core import notices
from sg_core.engine.commands import (
    Bench,
    Command,
    CompareLoss,
    Generate,
    Load,
    Look,
    MeasureHeads,
    MeasureReads,
    MeasureSteps,
    PauseTraining,
    Race,
    ResumeTraining,
    SaveTraining,
    Score,
    SetAdapterScale,
    SetInterventions,
    SetOptimizations,
    SetPace,
    SetPrecision,
    SetProbes,
    SetSampling,
    SetThreads,
    StopTraining,
    Train,
    TrainingCommand,
)
from sg_core.engine.events import Done, Event, InterventionsSet, Notice, TrainingEnded
from sg_core.engine.generation import Generation
from sg_core.engine.inbox import FOREVER, Inbox, Order
from sg_core.engine.models import Models
from sg_core.engine.outbox import Outbox
from sg_core.engine.parts import Parts, real_parts
from sg_core.engine.reel import Reel
from sg_core.engine.spare_work import SpareWork
from sg_core.engine.training_run import TrainingRun
from sg_core.errors import CheckpointError, SgError, TrainingError
from sg_core.files import given_path
from sg_core.storage.lock import FileLock, lock_run
from sg_core.storage.manifest import MANIFEST

SHORTEST_SLICE, LONGEST_SLICE = 0.05, 1.0  # seconds of tokens between two training steps


class Engine:
    """`submit`, `stop`, `close` and `busy` may be used from any thread; `events` is drained with popleft by one."""

    def __init__(self, parts: Callable[[], Parts] = real_parts) -> None:
        self._inbox = Inbox()
        self._outbox = Outbox()
        self._models = Models(parts, self._outbox, self._inbox.wake)
        self._generation: Generation | None = None
        self._training: TrainingRun | None = None
        self._reel = Reel(self._outbox, self._models.follow)
        self._free_at = 0.0  # when a model or its kernels were last made ready
        self._spare = SpareWork(self._models, self._outbox)
        self._preparing = False  # a training is being prepared
        self._preparation_stopped = False
        self._postponed: list[Order] = []  # commands to the training that is being prepared
        self._obeyed = 0  # commands dealt with
        self._thread = threading.Thread(target=self._run, name="sg-engine", daemon=True)

    # ------------------------------------------------------------ for other threads

    @property
    def events(self) -> deque[Event]:
        """What happened, oldest first."""
        return self._outbox.events

    @property
    def last_traceback(self) -> str:
        """Of the last failure that nobody foresaw, "" before one."""
        return self._outbox.last_traceback

    @property
    def busy(self) -> bool:
        """True while a command waits or something runs; training that is paused does not count."""
        training = self._training
        return (
            self._obeyed != self._inbox.count
            or self._generation is not None
            or bool(self._spare)
            or self._models.looking.asked
            or (training is not None and training.active)
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, command: Command) -> None:
        """Give a command; what comes of it are events."""
        self._inbox.put(command)

    def stop(self) -> None:
        """Stop what was asked for so far and is not a training: within one token the generation or benchmark ends.

        A training that is still being prepared is stopped too; so is the loading of a model when another one is there.
        """
        self._inbox.stop()

    def close(self, timeout: float = 1.0) -> None:
        """End everything, waiting at most `timeout` seconds; the thread is a daemon and holds no process open.

        A training saves its last steps, if need be in another folder; one that takes longer than `timeout` for it keeps
        its last checkpoint when the process ends before: see TrainingRun.close.
        """
        self._inbox.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        notices.listen(lambda line: self._outbox.emit(Notice(line)))
        while not self._inbox.closed:
            self._turn()
        self._end_generation()
        if self._training is not None:
            self._training.close()

    def _turn(self) -> None:
        """Obey what waits, then let generation and training each have their share."""
        if self._training is not None and self._training.active:
            self._obey_waiting()
        else:
            idle = self._generation is None and not self._spare.ready
            self._obey_waiting(FOREVER if idle else self._reel.rest(self._generation))
        written = None if self._generation is None else self._generation.session
        if self._models.answer_looks(written, self._inbox, self._fail) and self._generation is not None:
            self._generation.rested = True
        self._write()
        self._train()
        self._do_spare()
        self._tell_state()

    def _obey_waiting(self, wait: float = 0.0) -> None:
        order = self._inbox.take(wait)
        while order is not None and not self._inbox.closed:
            if self._preparing and _needs_training(order.command):
                self._postponed.append(order)
            else:
                try:
                    self._obey(order)
                except Exception as error:  # the thread outlives every failure of a command
                    self._fail(error, order.command)
                self._obeyed += 1
            order = self._inbox.take(0.0)

    def _fail(self, error: Exception, command: Command) -> None:
        request = getattr(command, "request", None)
        self._outbox.fail(error, type(command).__name__, request)

    def _write(self) -> None:
        """Tokens for a slice of time, as far as they are due; fewer when a command comes."""
        generation = self._generation
        if generation is None:
            return
        step = 0.0 if self._training is None else self._training.step_seconds
        end = time.perf_counter() + min(max(step, SHORTEST_SLICE), LONGEST_SLICE)
        try:
            while self._reel.rest(generation) == 0.0:
                if not self._reel.advance(generation):
                    self._generation = None
                    return
                if self._inbox.waiting() or time.perf_counter() >= end:
                    return
        except Exception as error:  # of any kind: the generation is over, the thread goes on
            self._reel.show_all()
            self._outbox.fail(error, "Generate", generation.request)
            self._generation = None

    def _train(self) -> None:
        """One step and what is due after it."""
        run = self._training
        if run is None or not run.active or self._inbox.closed:
            return
        try:
            run.advance()
        except Exception as error:  # of any kind: the training is over, the thread goes on
            self._outbox.fail(error, "Train")
            run.abandon()
        if self._generation is not None:
            self._generation.rested = True
        if run.ended:
            self._training = None
            self._models.training_ended()

    def _do_spare(self) -> None:
        """One of the things that wait for an idle moment; any command ends it, and a training has no such moment."""
        if self._spare.ready and self._generation is None and not self._inbox.waiting():
            training = self._training is not None and self._training.active
            self._spare.do_one(lambda: training or self._inbox.closed or self._inbox.waiting())

    def _tell_state(self) -> None:
        if self._generation is not None:
            return
        if self._training is not None:
            self._training.tell_state()
        elif not self._models.prepare_ahead():
            self._outbox.phase("idle")

    def _interlude(self) -> bool:
        """Between two parts of an evaluation or a sample: others have their turn. True to end it early."""
        self._obey_waiting()
        self._write()
        run = self._training
        if run is not None and self._inbox.closed:
            run.stopping = True
        return run is None or run.stopping

    # ------------------------------------------------------------ commands

    def _obey(self, order: Order) -> None:
        match order.command:
            case Load():
                self._load(order, order.command)
            case Generate():
                self._generate(order, order.command)
            case Bench() | Race():
                self._bench(order, order.command)
            case Score() | MeasureReads() | MeasureSteps():
                self._spare.add(order.command)
            case Train():
                self._start_training(order, order.command)
            case command if isinstance(command, TrainingCommand):
                self._steer_training(command)
            case SetOptimizations(optimizations=optimizations):
                self._models.set_optimizations(optimizations)
            case SetThreads(threads=threads):
                self._models.set_threads(threads)
            case SetPrecision(precision=precision):
                if not self._inbox.holds(SetPrecision):
                    self._models.set_precision(precision)
                    self._free_at = time.perf_counter()
            case SetAdapterScale(amount=amount):
                if not self._inbox.holds(SetAdapterScale):
                    self._models.set_adapter_scale(amount)
            case SetInterventions(scales=scales):
                if not self._inbox.holds(SetInterventions):
                    self._models.set_interventions(scales)
                    self._reel.tell(InterventionsSet(scales))
            case SetProbes():
                self._models.set_probes(order.command)
            case Look() | MeasureHeads() | CompareLoss():
                self._models.looking.ask(order)
            case SetPace(tokens_per_second=rate):
                self._reel.set_pace(rate)
            case SetSampling(sampling=sampling):
                if self._generation is not None:
                    self._generation.session.sampling = sampling

    def _load(self, order: Order, command: Load) -> None:
        self._end_generation()
        inbox, replaceable = self._inbox, self._models.session is not None

        def cancelled() -> bool:
            return inbox.closed or inbox.holds(Load) or (replaceable and inbox.stopped(order))

        try:
            self._models.load(command, cancelled)
        finally:
            self._free_at = time.perf_counter()

    def _generate(self, order: Order, command: Generate) -> None:
        self._end_generation()
        if self._inbox.stopped(order):
            self._outbox.emit(Done(command.request, "stopped", 0))
            return
        if command.from_training:
            session, version = self._models.training_session()
        else:
            session, version = self._models.ready_session(), int

        def cancelled() -> bool:
            return self._inbox.closed or self._inbox.stopped(order) or self._inbox.holds(Generate, Load, Bench, Race)

        waited = max(0.0, self._free_at - order.at)
        order = replace(order, at=order.at + waited)
        told = (self._outbox, cancelled, version, waited * 1e3, lambda: self._models.preparing_ahead)
        self._generation = Generation(order, command, session, *told)

    def _end_generation(self) -> None:
        if self._generation is not None:
            self._reel.cut(self._generation)
            self._generation = None

    def _bench(self, order: Order, command: Bench | Race) -> None:
        self._end_generation()
        if self._preparing or (self._training is not None and not self._training.paused):
            raise SgError("pause the training first: it would disturb the measurement")
        inbox = self._inbox

        def cancelled() -> bool:
            return inbox.closed or inbox.stopped(order) or inbox.holds(Generate, Load, Bench, Race)

        if isinstance(command, Race):
            self._models.race(command, cancelled)
        else:
            self._models.bench(command, cancelled)

    def _start_training(self, order: Order, command: Train) -> None:
        if self._preparing or self._training is not None:
            raise TrainingError("a training is already running; stop it first")
        self._preparing, self._preparation_stopped = True, False

        def cancelled() -> bool:
            self._obey_waiting()
            self._write()
            return self._preparation_stopped or self._inbox.closed or self._inbox.stopped(order)

        lock: FileLock | None = None
        try:
            folder = _given_folder(command)
            lock = None if folder is None else lock_run(folder)
            trainer = self._models.prepare(command, cancelled)
            if trainer is not None and folder is None:
                folder = self._new_folder(command)
            if folder is not None:
                lock = lock or lock_run(folder)
        except Exception as error:  # of any kind: it never began
            if lock is not None:
                lock.release()
            self._outbox.fail(error, "Train")
            self._outbox.emit(TrainingEnded(0, "failed"))
            return
        finally:
            self._preparing = False
            self._inbox.put_back(self._postponed)
            self._postponed = []
        if trainer is None:
            if lock is not None:
                lock.release()
            self._outbox.emit(TrainingEnded(0, "stopped"))
            return
        self._training = TrainingRun(command, trainer, folder, self._outbox, self._interlude, lock=lock)
        self._training.tell_start()

    def _new_folder(self, command: Train) -> Path | None:
        try:
            return self._models.parts.new_run_folder(command.model or command.config)
        except CheckpointError as error:
            self._outbox.emit(Notice(f"{error}; the run is kept in memory only"))
            return None

    def _steer_training(self, command: TrainingCommand) -> None:
        run = self._training
        if run is None and self._preparing:
            self._preparation_stopped = True
            return
        if run is None:
            raise TrainingError("no training is running")
        match command:
            case PauseTraining():
                run.pause()
            case ResumeTraining():
                run.resume()
            case StopTraining():
                run.stopping = True
            case SaveTraining(folder=folder):
                run.save_to(given_path(folder, CheckpointError))
            case _:
                run.control.waiting.append(command)


def _needs_training(command: Command) -> bool:
    """Whether a command makes no sense before the training has begun; its stop does."""
    if isinstance(command, Generate):
        return command.from_training
    return isinstance(command, TrainingCommand) and not isinstance(command, StopTraining)


def _given_folder(command: Train) -> Path | None:
    """The folder of a run as far as it was told: its own, or that of the run which goes on; None for a new one."""
    if command.out:
        return given_path(command.out, CheckpointError)
    if command.resume:
        folder = given_path(command.resume, CheckpointError)
        return folder.parent if (folder / MANIFEST).is_file() else folder
    return None
