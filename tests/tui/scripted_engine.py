"""An engine without model, thread or clock, for tests of the app: the surface of `sg_core.engine.engine.Engine`.

    engine = ScriptedEngine()                    # every command runs to its end inside submit()
    engine = ScriptedEngine(automatic=False)     # nothing moves until the test calls engine.advance(n)
    engine = ScriptedEngine(replies=("Aye.",))   # what its model writes; the seed chooses among several
    engine.script(Load, [Phase("loading"), Failed("no such model")])   # canned events for the next Load
    engine.emit(Notice("..."))                   # any event, at once

One unit of `advance` is one token, one training step or one event of a canned list, for every job that runs.
Text depends on replies and seed alone; the milliseconds depend on switches and position.
`submitted` lists the commands in order; `started`, `closed` and `stops` say what the app asked for.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from scripted_inside import looked, measured, texts_of
from scripted_measurements import ScriptedMeasurements

from sg_core.config import GPT2Config
from sg_core.engine.commands import (
    Bench,
    Command,
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
    Scale,
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
)
from sg_core.engine.events import (
    AdapterScaleSet,
    ContextMoved,
    Done,
    Event,
    Failed,
    InterventionsSet,
    Loaded,
    Metrics,
    Phase,
    PrecisionSet,
    ReadRate,
    Sample,
    Saved,
    Scored,
    StepsMeasured,
    TokenEvent,
    TrainingEnded,
    TrainingStarted,
)
from sg_core.inference.token import Token
from sg_core.network.optimizations import Optimizations
from sg_core.training.results import Evaluation, StepResult
from sg_core.training.settings import PRESETS

REPLY = (
    "What light is this that burns upon the hill?\n\nJULIET:\nThe lantern of the watch, and not the day;\n"
    "Stay yet a little, for the night is long.\n\nROMEO:\nThen let me stay, and let the morning find me.\n"
)
CONTEXT = 256
Job = Literal["canned", "loading", "writing", "training"]


class ScriptedEngine(ScriptedMeasurements):
    """Drop-in for Engine: events, start, submit, stop, close, busy."""

    def __init__(self, replies: Sequence[str] = (REPLY,), automatic: bool = True) -> None:
        self.events: deque[Event] = deque()
        self.last_traceback = ""
        self.submitted: list[Command] = []
        self.started = False
        self.closed = False
        self.stops = 0
        self.automatic = automatic
        self.replies = tuple(replies)
        self.model = "tinyshakespeare"
        self.config = GPT2Config(vocab_size=1024, n_ctx=CONTEXT, n_layer=4, n_head=8, n_embd=256)
        self.optimizations = Optimizations()
        self.threads: int | None = None
        self.precision = "f32"
        self.scales: tuple[Scale, ...] = ()
        self.probing = False
        self.written: dict[int, Token] = {}
        self.paused = False
        self._canned: dict[type, deque[list[Event]]] = {}
        self._jobs: dict[Job, Iterator[None]] = {}
        self.writing: tuple[int, int] | None = None  # request, tokens written
        self._numbers = 1  # continuations of what is written
        self._training: tuple[int, str | None] | None = None  # step, folder

    # ------------------------------------------------------------ the surface of Engine

    @property
    def busy(self) -> bool:
        """True while something runs; training that is paused does not count."""
        return any(job != "training" or not self.paused for job in self._jobs)

    def start(self) -> None:
        self.started = True

    def submit(self, command: Command) -> None:
        self.submitted.append(command)
        canned = self._canned.get(type(command))
        if canned:
            self._jobs["canned"] = self._canned_events(canned.popleft())
        else:
            self._accept(command)
        if self.automatic:
            self.run_until_idle()

    def stop(self) -> None:
        self.stops += 1
        for job in ("canned", "loading"):
            self._jobs.pop(job, None)
        self._stop_writing()

    def close(self, timeout: float = 1.0) -> None:
        self.closed = True
        self._jobs.clear()

    # ------------------------------------------------------------ what tests add

    def script(self, command: type, events: Iterable[Event]) -> None:
        """The next command of this type yields exactly these events, one a unit."""
        self._canned.setdefault(command, deque()).append(list(events))

    def emit(self, *events: Event) -> None:
        self.events.extend(events)

    def advance(self, units: int = 1) -> None:
        """Let every running job do `units` units of its work."""
        for _ in range(units):
            for job in tuple(self._jobs):
                if (job == "training" and self.paused) or job not in self._jobs:
                    continue
                if next(self._jobs[job], self) is self:
                    self._jobs.pop(job, None)

    def run_until_idle(self) -> None:
        while self.busy:
            self.advance()

    # ------------------------------------------------------------ jobs

    def _accept(self, command: Command) -> None:
        match command:
            case Load():
                self._stop_writing()
                self._jobs["loading"] = self._load(command)
            case Generate():
                self._stop_writing()
                self.writing, self._numbers = (command.request, 0), 1
                self._jobs["writing"] = self._write(command) if command.n == 1 else self._write_several(command)
            case Bench():
                self.writing = (command.request, 0)
                self._jobs["writing"] = self.bench(command)
            case Train():
                self.paused = False
                self._jobs["training"] = self._train(command)
            case SetOptimizations():
                self.optimizations = command.optimizations
            case SetPrecision():
                self.precision = command.precision
                self.emit(PrecisionSet(command.precision))
            case SetAdapterScale():
                self.emit(AdapterScaleSet(command.amount))
            case SetThreads():
                self.threads = command.threads
            case SetInterventions():
                self.scales = command.scales
                self.emit(InterventionsSet(command.scales))
            case SetProbes():
                self.probing = command.newest
            case Look() | MeasureHeads():
                self._look(command)
            case SetSampling() | SetPace():
                pass
            case MeasureReads():
                self.emit(ReadRate(self.precision, 2, 20_000_000, 50e9))
            case MeasureSteps(request=request):
                self.emit(StepsMeasured(request, 0.05, 3, 1, 0.5, 1))
            case Score():
                self.emit(scored(command))
            case Race():
                self.writing = (command.request, 0)
                self._jobs["writing"] = self.race(command)
            case PauseTraining() | ResumeTraining() | StopTraining() | SaveTraining():
                self._steer_training(command)

    def _look(self, command: Look | MeasureHeads) -> None:
        texts = texts_of(command, {id: token.text for id, token in self.written.items()})
        if isinstance(command, MeasureHeads):
            self.emit(measured(self.config, command.request, len(texts) - 1))
        elif command.ids:
            token = self.written[command.ids[-1]]
            self.emit(looked(self.config, command.request, texts[:-1], token, command.rival, self.scales))
        else:
            self.emit(Failed("nothing lies before the first token", command.request, "Look"))

    def _steer_training(self, command: PauseTraining | ResumeTraining | StopTraining | SaveTraining) -> None:
        if self._training is None:
            self.emit(Failed("no training is running"))
            return
        step, folder = self._training
        match command:
            case PauseTraining():
                self.paused = True
                self.emit(Phase("paused"))
            case ResumeTraining():
                self.paused = False
                self.emit(Phase("training"))
            case SaveTraining():
                self._training = (step, command.folder)
                self.emit(Saved(step, command.folder))
            case StopTraining():
                self._jobs.pop("training", None)
                self._training, self.paused = None, False
                saved = (Saved(step, folder),) if folder else ()
                self.emit(*saved, TrainingEnded(step, "stopped"), Phase("idle"))

    def _stop_writing(self) -> None:
        self._jobs.pop("writing", None)
        if self.writing is not None:
            request, tokens = self.writing
            self.writing = None
            self.emit(*(Done(request, "stopped", tokens, number=one) for one in range(self._numbers)), Phase("idle"))

    def _canned_events(self, events: list[Event]) -> Iterator[None]:
        for event in events:
            self.emit(event)
            yield

    def _load(self, command: Load) -> Iterator[None]:
        self.emit(Phase("importing"))
        yield
        for done in range(3):
            self.emit(Phase("compiling", ("linear", "attention", "gelu")[done], done, 3))
            yield
        self.emit(Phase("loading", command.model))
        yield
        self.model, self.precision = command.model, command.precision or self.precision
        facts = (command.model, self.config, self.precision, command.threads or 2)
        self.emit(Loaded(*facts, adapters=len(command.adapters)), Phase("idle"))

    def _write_several(self, command: Generate) -> Iterator[None]:
        """Number i is the reply of the seed raised by i."""
        self.writing, self._numbers = (command.request, 0), command.n
        self.emit(Phase("decoding"))
        replies = [self.replies[(command.sampling.seed + one) % len(self.replies)] for one in range(command.n)]
        words = [re.findall(r" ?\w+|\W", reply)[: command.max_tokens] for reply in replies]
        for place in range(max(map(len, words))):
            for number, pieces in enumerate(words):
                if place < len(pieces):
                    self.emit(
                        replace(self._token(command.request, pieces[place], 20 + place, warm=place > 0), number=number)
                    )
            yield
        self.writing = None
        self.emit(*(Done(command.request, "length", len(one), number=n) for n, one in enumerate(words)), Phase("idle"))

    def _write(self, command: Generate) -> Iterator[None]:
        reply = self.replies[command.sampling.seed % len(self.replies)]
        cuts = [at for at in (reply.find(stop) for stop in command.stop if stop) if at >= 0]
        pieces = re.findall(r" ?\w+|\W", reply[: min(cuts)] if cuts else reply)
        used = min(max(1, len(command.prompt) // 3), CONTEXT // 2)
        times: list[float] = []
        before = re.findall(r" ?\w+|\W", command.prompt)
        self.writing = (command.request, 0)
        self.emit(Phase("prefill", "", used, used), Phase("decoding"))
        for number, piece in enumerate(pieces[: command.max_tokens], 1):
            used += 1
            if used > CONTEXT:
                used = CONTEXT // 2
                self.emit(ContextMoved(command.request, used))
            told = self._token(command.request, piece, used, warm=number > 1)
            times.append(told.token.ms)
            self.writing = (command.request, number)
            self.emit(told, metrics(command.request, times, used))
            self.written[told.token.id] = told.token
            before.append(piece)
            if self.probing:
                args = (self.config, command.request, before[:-1], told.token, None, self.scales)
                self.emit(looked(*args, live=True))
            yield
        reason = "length" if len(pieces) > command.max_tokens else "stop" if cuts else "end of text"
        self.writing = None
        self.emit(Done(command.request, reason, min(len(pieces), command.max_tokens)), Phase("idle"))

    def _token(self, request: int, piece: str, position: int, warm: bool) -> TokenEvent:
        op_ms = self.op_ms(position)
        token_id = sum(map(ord, piece)) % self.config.vocab_size
        logprob = -0.1 - (token_id % 7) / 4
        texts = (piece, " the", " and", ",", "\n")
        top = ((token_id, logprob), *((k, logprob - k - 1) for k in range(4)))
        token = Token(token_id, piece, logprob, top, sum(op_ms.values()), op_ms)
        wall_ms = 1.1 * token.ms if warm else 0.0
        return TokenEvent(request, token, texts, self.optimizations, self.precision, wall_ms=wall_ms)

    def _train(self, command: Train) -> Iterator[None]:
        preset = PRESETS[command.config]
        training = command.training or preset.training
        out = command.out or command.resume or "runs/scripted"
        first = 40 if command.resume else 0
        self._training = (first, out)
        started = TrainingStarted(
            command.model or command.config,
            preset.config,
            training,
            command.data if isinstance(command.data, str) else " and ".join(command.data),
            300_000,
            33_000,
            first,
            out,
        )
        self.emit(started, Phase("training", "", first, training.steps))
        for step in range(first + 1, training.steps + 1):
            self._training = (step, self._training[1] if self._training else out)
            loss = 1.4 + 4.8 * math.exp(-step / 40) + 0.05 * math.sin(step)
            self.emit(StepResult(step, loss, training.learning_rate, 1.0, 20_000.0))
            last = step == training.steps
            if last or _due(step, training.evaluate_every):
                self.emit(Evaluation(step, loss + 0.1, (loss + 0.1) / 2.5))
            if last or _due(step, training.save_every):
                self.emit(Saved(step, self._training[1] or out))
            if _due(step, command.sample_every):
                self.emit(Sample(step, f"\nROMEO:\nA sample after {step} steps.\n"))
            yield
        self._training = None
        self.emit(TrainingEnded(training.steps, "finished"), Phase("idle"))


def metrics(request: int, times: list[float], used: int) -> Metrics:
    """The figures after `times` (ms of every token so far)."""
    newest = sorted(times[-50:])
    median = newest[len(newest) // 2]
    return Metrics(
        request=request,
        tokens=len(times),
        ms_per_token=median,
        p95_ms=newest[int(0.95 * (len(newest) - 1))],
        tokens_per_second=1000 / median,
        first_token_ms=9.0 + times[0],
        prefill_ms=9.0,
        context_used=used,
        context_size=CONTEXT,
    )


def scored(command: Score) -> Scored:
    """A token a word: the surprise, rank and entropy of each grow with its place."""
    starts = [found.start() for found in re.finditer(r" ?\w+|\W", command.text)]
    nan, later = math.nan, range(1, len(starts))
    return Scored(
        command.request, tuple(starts), (nan, *(-0.5 * k for k in later)), (0, *(2**k for k in later)),
        (nan, *(0.4 * k for k in later)), 3.5, CONTEXT, CONTEXT // 2,
    )  # fmt: skip


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def with_steps(command: Train, steps: int) -> Train:
    """The same command for a run of `steps` steps."""
    return replace(command, training=replace(command.training or PRESETS[command.config].training, steps=steps))
