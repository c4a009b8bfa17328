"""The models of the engine thread: the loaded one, the one in training, and the settings that outlive both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sg_core.checks import MOST_THREADS, whole
from sg_core.engine.commands import (
    Bench,
    Command,
    Load,
    MeasureReads,
    MeasureSteps,
    Race,
    Scale,
    Score,
    SetProbes,
    Train,
)
from sg_core.engine.compiled import Compiled, StoppedError, go_on
from sg_core.engine.events import (
    AdapterScaleSet,
    Done,
    Loaded,
    Notice,
    PrecisionSet,
    ReadRate,
    Scored,
    StepsMeasured,
)
from sg_core.engine.generation import Generation
from sg_core.engine.inbox import Inbox
from sg_core.engine.looking import Looking, interventions
from sg_core.engine.outbox import Outbox
from sg_core.engine.parts import Parts
from sg_core.engine.warming import Kernels, Warming
from sg_core.errors import ModelFileError, SettingError, SgError, TrainingError
from sg_core.files import shown
from sg_core.network.optimizations import Optimizations
from sg_core.network.precisions import PRECISIONS, Precision
from sg_core.types import Cancelled

if TYPE_CHECKING:
    from sg_core.gpt2 import GPT2
    from sg_core.inference.session import Session
    from sg_core.training.trainer import Trainer

_BRANCHES = 16  # of a text, held ready to be gone on with; what they may take of memory is bounded too


@dataclass
class _Trainee:
    """The model in training, also after its end. version: a number that changes with the weights."""

    model: GPT2
    version: Callable[[], int]
    trainer: Trainer | None  # while it trains
    session: Session | None = None


class Models:
    """Used by the engine thread alone. A model that can't be loaded leaves the one before in place."""

    def __init__(self, parts: Callable[[], Parts], outbox: Outbox, wake: Callable[[], None]) -> None:
        self.session: Session | None = None  # of the loaded model
        self.looking = Looking(outbox)
        self._make_parts = parts
        self._parts: Parts | None = None
        self._outbox = outbox
        self._compiled = Compiled(lambda: self.parts, outbox)
        self._trainee: _Trainee | None = None
        self._optimizations = Optimizations()
        self._threads: int | None = None
        self._precision = PRECISIONS[0]
        self._warming = Warming(lambda: self.parts.warm_inside, outbox, wake)

    @property
    def parts(self) -> Parts:
        """The parts that compute, imported at their first use."""
        if self._parts is None:
            self._outbox.phase("importing")
            self._parts = self._make_parts()
        return self._parts

    # ------------------------------------------------------------ the loaded model

    def load(self, command: Load, cancelled: Cancelled) -> None:
        """Load a model, or an adapter with the model that it names, and tell it.

        Raises SgError when it was cancelled or can't be loaded.
        """
        threads = self._threads if command.threads is None else command.threads
        wanted = self._precision if command.precision is None else Precision.named(command.precision).name
        try:
            parts = self.parts  # imported before that is told
            self._outbox.phase("loading", command.model)
            base, adapters = parts.base_of(command.model) or command.model, command.adapters
            if base != command.model:  # an adapter was named, which brings its model
                adapters = (command.model, *adapters)
            model = self.parts.load_one(base, wanted) if command.one_precision else self.parts.load(base)
            kernels = model.storage(wanted).kernels
            self._compiled.require(kernels, cancelled)
            if adapters:
                self.parts.load_adapters(model, adapters)
                self._compiled.require_adapters(kernels, cancelled)
            go_on(cancelled)
        except StoppedError:
            raise ModelFileError(f"loading {shown(command.model)} was stopped") from None
        session = self._new_session(model, wanted, threads)
        session.branches.most = _BRANCHES
        if self._optimizations.draft:
            self._ready_to_draft(session)
        self.looking.scales = ()
        for note in model.notes:
            self._outbox.emit(Notice(note))
        if damaged := model.not_finite():
            names = ", ".join(shown(name) for name in damaged[:5])
            self._outbox.emit(Notice(f"{len(damaged)} tensors hold NaN or infinite numbers, first {names}"))
        self.session, self._threads, self._precision = session, threads, wanted
        templates, complaint = self.parts.templates(model)
        if complaint:
            self._outbox.emit(Notice(complaint))
        self._outbox.emit(
            Loaded(command.model, model.config, session.precision, session.threads, tuple(templates), len(adapters))
        )

    def ready_session(self) -> Session:
        """The session of the loaded model. Raises ModelFileError when there is none."""
        if self.session is None:
            raise ModelFileError("no model is loaded; load one first")
        return self.session

    def _new_session(self, model: GPT2, precision: str, threads: int | None) -> Session:
        self._tell_conversion(precision)
        return model.session(self._optimizations, precision, threads)

    def _tell_conversion(self, precision: str) -> None:
        if Precision.named(precision).reduced:
            self._outbox.phase("converting", precision)

    # ------------------------------------------------------------ settings

    def set_optimizations(self, optimizations: Optimizations) -> None:
        """From the next token on, of these and all later models."""
        asked = optimizations.draft and not self._optimizations.draft
        self._optimizations = optimizations
        for session in self._sessions():
            if asked:
                self._ready_to_draft(session)
            session.optimizations = optimizations

    def _ready_to_draft(self, session: Session) -> None:
        """Compile what writing ahead needs, and tell what it takes."""
        if drafter := session.drafter:
            self._compiled.require(Precision.named(drafter).kernels, lambda: False)
        self._outbox.emit(Notice(session.draft_note))

    def set_threads(self, threads: int | None) -> None:
        """From the next token or training step on, of these and all later models. Raises SettingError."""
        if threads is not None:
            whole("threads", threads, 1, MOST_THREADS)
        for session in self._sessions():
            session.threads = threads or self.parts.default_threads(session.model)
        if self._trainee is not None and self._trainee.trainer is not None:
            self._trainee.trainer.use_threads(threads)
        self._threads = threads

    def set_precision(self, precision: str) -> None:
        """From the next token on, of these and all later models. Raises SgError: nothing has changed then."""
        Precision.named(precision)
        sessions = self._sessions()
        for session in sessions:
            self._compiled.require(session.model.storage(precision).kernels, lambda: False)
        if self.session is not None and self.session.model.adapters.stack:
            self._compiled.require_adapters(self.session.model.storage(precision).kernels, lambda: False)
        if self.looking.scales and self.session is not None:
            self._warming.require(_kernels(self.session, precision))
        for session in reversed(sessions):  # the loaded one last: it is the one that is told
            if not session.model.has(precision):
                continue  # the base of an adapter that is trained
            self._tell_conversion(precision)
            session.precision = precision
        self._precision = precision
        self._outbox.emit(PrecisionSet(precision))

    def set_adapter_scale(self, amount: float) -> None:
        """From the next token on, of the loaded model. Raises ModelFileError or SettingError: nothing changed then."""
        model = self.ready_session().model
        if not model.adapters.stack:
            raise SettingError("the model has no adapter to fade; start with one: sg-tui --adapter FOLDER")
        model.adapters = model.adapters.faded(amount)
        self._outbox.emit(AdapterScaleSet(amount))

    # ------------------------------------------------------------ looking inside

    @property
    def preparing_ahead(self) -> bool:
        """Whether what looking inside needs is being compiled: another kernel's first use would wait for that."""
        return self._warming.working

    def prepare_ahead(self) -> bool:
        """While nothing is to do: compile what looking inside needs. Whether that goes on, which is then told."""
        if self.session is not None:
            self._warming.begin(_kernels(self.session, self.session.precision))
        return self._warming.tell()

    def set_interventions(self, scales: tuple[Scale, ...]) -> None:
        """From the next token on, of the loaded model. Raises SgError: nothing has changed then."""
        session, made = self.ready_session(), interventions(scales)
        self._warming.require(_kernels(session, session.precision))
        session.interventions = made
        self.looking.scales = scales

    def set_probes(self, command: SetProbes) -> None:
        """Whether the newest token is looked into while tokens come."""
        self.looking.following, self.looking.split = command.newest, command.split

    def follow(self, generation: Generation, back: int, each: bool) -> bool:
        """Look into the token that `back` others followed, if that is wanted; whether it was done. See `Reel`."""
        wanted = self.looking.following and generation.alone and generation.session is self.session
        return wanted and self.ready_to_look() and self.looking.follow(generation, back, each)

    def ready_to_look(self) -> bool:
        """Whether what that needs is compiled; else it is on the way. Raises what went wrong there, once."""
        session = self.ready_session()
        return self._warming.ready(_kernels(session, session.precision))

    def answer_looks(self, written: Session | None, inbox: Inbox, fail: Callable[[Exception, Command], None]) -> bool:
        """Look inside the loaded model where that was asked for; whether it was.

        written: the session whose text is being written.
        """
        looked = False
        while (order := self.looking.next_asked) is not None and not inbox.closed:
            try:
                session = self.ready_session()
                if not self.ready_to_look():
                    break
                looked = True
                self.looking.answer(order, session, inbox, writing=written is session)
            except Exception as error:  # of any kind: the thread outlives it
                fail(error, order.command)
            self.looking.answered(order)
        return looked

    def _sessions(self) -> list[Session]:
        trained = None if self._trainee is None else self._trainee.session
        return [session for session in (self.session, trained) if session is not None]

    # ------------------------------------------------------------ training

    def prepare(self, command: Train, cancelled: Cancelled) -> Trainer | None:
        """The trainer for a command, None once cancelled. Raises SgError."""
        asked = False

        def poll() -> bool:
            nonlocal asked
            asked = asked or cancelled()
            return asked

        def tell(what: str, done: int, total: int) -> None:
            if what == "vocabulary":
                self._outbox.phase("learning vocabulary", "", done, total)
            else:
                self._outbox.phase("downloading" if what == "tinyshakespeare" else "loading", what, done, total)

        try:
            self._compiled.require("training", poll)
            self._outbox.phase("loading", command.resume or _first(command.data))
            threads = self._threads
            trainer = self.parts.prepare(command, tell, poll, threads)
            if trainer.config.lora:
                self._compiled.require_adapters(Precision.named(trainer.config.precision).kernels, poll, training=True)
            if self._threads != threads:  # set while it was prepared
                trainer.use_threads(self._threads)
            go_on(poll)
        except SgError:
            if asked:
                return None
            raise
        self._trainee = _Trainee(trainer.model, lambda: trainer.step_count, trainer)
        return trainer

    def training_session(self) -> tuple[Session, Callable[[], int]]:
        """A session of the model in training, its cache empty, and the version of its weights. Raises TrainingError."""
        trainee = self._trainee
        if trainee is None:
            raise TrainingError("no model is in training; start a training first")
        if trainee.session is None:
            own = trainee.model.precision
            precision = self._precision if own == PRECISIONS[0] else own  # a frozen base is held in one alone
            self._compiled.require(trainee.model.storage(precision).kernels, lambda: False)
            trainee.session = self._new_session(trainee.model, precision, self._threads)
        trainee.session.rewind(0)
        trainee.session.precision = trainee.session.precision  # stored anew where the weights have changed
        return trainee.session, trainee.version

    def training_ended(self) -> None:
        """Keep the trained model alone: gradients and moments go with the trainer."""
        if self._trainee is not None:
            last = self._trainee.version()
            self._trainee.version, self._trainee.trainer = lambda: last, None

    # ------------------------------------------------------------ benchmark

    def bench(self, command: Bench, cancelled: Cancelled) -> None:
        """Measure the loaded model, a row at a time, and tell the end. Raises SgError."""
        session = self.ready_session()
        tokens = 0

        def tell(label: str, done: int, total: int) -> None:
            self._outbox.phase("benchmarking", label, done, total)

        for row in self.parts.measure(command, session, tell, cancelled):
            self._outbox.emit(row)
            tokens += row.timing.tokens
        self._outbox.emit(Done(command.request, "stopped" if cancelled() else "length", tokens))

    def race(self, command: Race, cancelled: Cancelled) -> None:
        """Let two settings race on the loaded model, and tell the end. Raises SgError."""
        session, count = self.ready_session(), 0
        for side in (command.left, command.right):
            self._compiled.require(session.model.storage(side.precision).kernels, cancelled)
            self._tell_conversion(side.precision)
        for lap in self.parts.race(command, session, cancelled):
            count += 1
            self._outbox.phase("racing", "", count, command.tokens)
            self._outbox.emit(lap)
        self._outbox.emit(Done(command.request, "stopped" if cancelled() else "length", count))

    def spare(self, command: Score | MeasureReads | MeasureSteps, cancelled: Cancelled) -> bool:
        """What is done while nothing else is wanted; no answer where there is no model. False when cancelled."""
        told: Scored | ReadRate | StepsMeasured | None
        if isinstance(command, MeasureSteps):
            told = self._measured(command, cancelled)
        elif self.session is None:
            return True
        elif isinstance(command, Score):
            told = self._scored(command, cancelled)
        else:
            told = self.parts.read_rate(self.session, cancelled)
        if told is not None:
            self._outbox.emit(told)
        return told is not None or not cancelled()

    def _measured(self, command: MeasureSteps, cancelled: Cancelled) -> StepsMeasured | None:
        """Compiles first what the training will need."""
        try:
            self._compiled.require("training", cancelled)
            if command.training.lora:
                kernels = Precision.named(command.training.precision).kernels
                self._compiled.require_adapters(kernels, cancelled, training=True)
        except StoppedError:
            return None
        self._outbox.phase("measuring", "steps")
        return self.parts.measure_steps(command, self._threads, cancelled)

    def _scored(self, command: Score, cancelled: Cancelled) -> Scored | None:
        session = self.ready_session()
        kernels = f"scores {session.model.storage(session.precision).kernels}"
        progress = self._compiled.progress(kernels, cancelled)
        try:
            scored = self.parts.score(command, session, progress, cancelled)
        except StoppedError:
            return None
        self._compiled.done(kernels)
        return scored


def _first(data: str | tuple[str, ...]) -> str:
    return data if isinstance(data, str) else data[0]


def _kernels(session: Session, precision: str) -> Kernels:
    """What looking inside needs."""
    return session.model.storage(precision).kernels, bool(session.model.adapters.stack)
