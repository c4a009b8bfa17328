"""A model, sessions and a trainer that compute nothing, with hooks that run on the engine thread at exact places."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from sg_core.config import GPT2Config
from sg_core.engine.commands import Bench, Command, Train
from sg_core.engine.engine import Engine
from sg_core.engine.events import Event, Measured, Sample, Saved, TrainingEnded
from sg_core.engine.parts import Parts
from sg_core.errors import ModelFileError, SettingError
from sg_core.inference.sampling import Sampling
from sg_core.inference.token import Token
from sg_core.measure.benchmark import Timing
from sg_core.network.adapters import Adapters
from sg_core.network.optimizations import Optimizations
from sg_core.network.precisions import Precision
from sg_core.storage.run_log import RunEvent
from sg_core.training.results import Evaluation, StepResult
from sg_core.training.settings import TrainingConfig
from sg_core.training.steering import Steering

E = TypeVar("E")
PATIENCE = 20.0  # seconds until a test gives up
CONFIG = GPT2Config(vocab_size=300, n_ctx=64, n_layer=1, n_head=1, n_embd=8)


def nothing(*_: Any) -> None:
    """A hook that does nothing."""


@dataclass
class World:
    """What the fakes share. Hooks: a token is about to be written; a step, evaluation part or save is about to be done;
    a model is about to be loaded; kernels to be compiled; a training to be prepared (it gets its callbacks)."""

    on_token: Callable[[FakeSession, int], None] = nothing
    on_prefill: Callable[[int], None] = nothing
    on_step: Callable[[FakeTrainer], None] = nothing
    on_evaluation: Callable[[int], None] = nothing
    on_save: Callable[[Path], None] = nothing
    on_load: Callable[[str], None] = nothing
    on_prepare: Callable[[Any, Callable[[], bool]], None] = nothing
    on_row: Callable[[int], None] = nothing
    losses: Callable[[int], float] = lambda step: 5.0 / step
    config: GPT2Config = CONFIG
    prefill_chunks: int = 1
    damaged: tuple[str, ...] = ()  # tensors that are not finite
    held_back: str = ""  # when a generation is stopped
    moved_at: int = -1  # the token before which the context moves
    models: list[FakeModel] = field(default_factory=list)
    trainers: list[FakeTrainer] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    bases: dict[str, str] = field(default_factory=dict)  # adapter -> its model
    exports: list[tuple[str, str]] = field(default_factory=list)  # folder and dtype

    def parts(self) -> Parts:
        def warm_up(training: bool, progress: Callable[[str, int, int], None], precision: str) -> None:
            self.log.append("compile training" if training else f"compile {precision}")
            for done in range(3):
                progress("kernel" if done < 2 else "", done, 2)

        def load(name: str) -> Any:
            self.on_load(name)
            if name == "missing":
                raise ModelFileError("missing is not there; see sg-tui models list")
            return FakeModel(self, name)

        def load_one(name: str, precision: str) -> Any:
            model = load(name)
            model.precision, model.has = precision, lambda other: True
            return model

        def prepare(
            command: Train,
            progress: Callable[[str, int, int], None],
            cancelled: Callable[[], bool],
            threads: int | None,
        ) -> Any:
            self.on_prepare(progress, cancelled)
            return FakeTrainer(self, command)

        def new_run_folder(name: str) -> Path:
            return Path("fresh") / name

        def measure(
            command: Bench, session: Any, progress: Callable[[str, int, int], None], cancelled: Callable[[], bool]
        ) -> Iterator[Measured]:
            for row in range(8):
                progress(f"row {row}", row, 8)
                self.on_row(row)
                if cancelled():
                    return
                yield Measured(
                    command.request,
                    f"row {row}",
                    Timing(Optimizations(), "f32", 7, (1.0,) * command.tokens, command.tokens / 1e3),
                )

        def load_adapters(model: Any, references: Sequence[str]) -> None:
            self.log.append(f"adapters {', '.join(references)} on {model.name}")

        def warm_up_adapters(training: bool, progress: Any, precision: str) -> None:
            self.log.append(f"compile adapters {precision}")

        return Parts(
            warm_up=warm_up,
            load=cast(Any, load),
            load_one=load_one,
            prepare=cast(Any, prepare),
            new_run_folder=new_run_folder,
            default_threads=lambda model: 7,
            measure=measure,
            base_of=self.bases.get,
            load_adapters=load_adapters,
            warm_up_adapters=warm_up_adapters,
        )


class FakeModel:
    def __init__(self, world: World, name: str) -> None:
        self.world, self.name, self.config = world, name, world.config
        self.precision, self.adapters = "f32", Adapters()
        self.notes: tuple[str, ...] = ()
        self.parameters = SimpleNamespace()
        self.tokenizer = SimpleNamespace(token_bytes=lambda id: b"\xf0\x9f" if id == 99 else b"<%d>" % id)
        self.sessions: list[FakeSession] = []
        self.has: Callable[[str], bool] = lambda precision: self.precision in ("f32", precision)
        world.models.append(self)

    def storage(self, precision: str) -> Precision:
        return Precision.named(precision)

    def session(
        self, optimizations: Optimizations | None = None, precision: str = "f32", threads: int | None = None
    ) -> FakeSession:
        self.sessions.append(FakeSession(self, optimizations or Optimizations(), precision, threads or 7))
        return self.sessions[-1]

    def save_pretrained(self, folder: Path, dtype: str = "F32") -> None:
        self.world.exports.append((str(folder), dtype))

    def not_finite(self) -> list[str]:
        return list(self.world.damaged)


class FakeSession:
    """Writes "t0 ", "t1 ", ...; `seen` holds (optimizations, threads) of every token, `precisions` its precision.

    With lookup on every second token is a draft that came true, and free.
    """

    def __init__(self, model: FakeModel, optimizations: Optimizations, precision: str, threads: int) -> None:
        self.model, self.optimizations, self.precision, self.threads = model, optimizations, precision, threads
        self.tokenizer, self.decoder = model.tokenizer, self
        self.sampling = Sampling()
        self.ids: list[int] = []
        self.prefill_ms = 3.0
        self.finish_reason = ""
        self.context_size = model.config.n_ctx
        self.seen: list[tuple[Optimizations, int]] = []
        self.precisions: list[str] = []
        self.drafted = self.accepted = self.rounds = 0
        self.drafter, self.draft_note = "int8", "draft: int8 weights"
        self.branches = FakeBranches()
        self.dropped: list[int] = []  # how many tokens were written when the cache was dropped

    def generate(
        self,
        prompt: list[int],
        max_tokens: int = 200,
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> FakeTokens:
        if max_tokens < 0:
            raise SettingError("max_tokens is negative")
        self.sampling = sampling or self.sampling
        return FakeTokens(self._tokens(prompt, max_tokens, progress, cancelled or (lambda: False)), self.model.world)

    def _tokens(
        self,
        prompt: list[int],
        max_tokens: int,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool],
    ) -> Iterator[Token]:
        world, self.finish_reason = self.model.world, "stopped"
        self.ids = list(prompt)
        for chunk in range(world.prefill_chunks):
            world.on_prefill(chunk)
            if cancelled():
                return
            if progress is not None:
                progress(chunk + 1, world.prefill_chunks)
        for count in range(max_tokens):
            if cancelled():
                return
            world.on_token(self, count)
            self.seen.append((self.optimizations, self.threads))
            self.precisions.append(self.precision)
            free = self.optimizations.lookup and count % 2 == 1
            if free:
                self.drafted += 2
                self.accepted += 1
                self.rounds += 1
            self.ids.append(count % 256)
            top = ((count % 256, -0.5), (99, -2.0))
            moved = 32 if count == world.moved_at else 0
            yield Token(count % 256, f"t{count} ", -0.5, top, 0.0 if free else 2.0, {"linear": 1.5}, moved)
        self.finish_reason = "length"

    def prompt_ids(self, prompt: str) -> list[int]:
        return list(prompt.encode()) or [0]

    def texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(map(chr, ids))

    def rewind(self, n: int) -> None:
        del self.ids[n:]

    @property
    def context_used(self) -> int:
        return min(len(self.ids), self.context_size)

    def forget(self) -> None:
        self.dropped.append(len(self.seen))


class FakeBranches(list[object]):
    most, kept, cache_bytes = 0, 0, 4096


class FakeTokens:
    """What a session's `generate` returns: tokens, and the text that a stop finds held back."""

    def __init__(self, tokens: Iterator[Token], world: World) -> None:
        self._tokens, self._world = tokens, world

    def __iter__(self) -> FakeTokens:
        return self

    def __next__(self) -> Token:
        return next(self._tokens)

    def rest(self) -> str:
        return self._world.held_back


class FakeTrainer:
    def __init__(self, world: World, command: Train) -> None:
        self.world = world
        self.model = FakeModel(world, command.model or command.config)
        self.dataset = SimpleNamespace(name=command.data, train_ids=[0] * 900, validation_ids=[0] * 100)
        self.config = command.training or TrainingConfig(steps=6, evaluate_every=3, save_every=3)
        self.step_count = 40 if command.resume else 0
        self.best_val_loss = math.inf
        self.best_step = -1
        self.out_of_patience = False
        self.validated_parameters = self.model.parameters
        self.passed_over: tuple[str, ...] = ()
        self.saves: list[Path] = []
        self.steering = Steering()
        self.watch = SimpleNamespace(every=0, figures=None)
        world.trainers.append(self)

    @property
    def finished(self) -> bool:
        return self.step_count >= self.config.steps

    def use_threads(self, threads: int | None) -> None:
        self.world.log.append(f"train with {threads}")

    def replay(self) -> list[RunEvent]:
        return []

    def step(self) -> StepResult:
        self.world.on_step(self)
        self.step_count += 1
        loss = self.world.losses(self.step_count)
        return StepResult(self.step_count, loss, 1e-3, 1.0, 1e4, not math.isfinite(loss))

    def evaluate(self, cancelled: Callable[[], bool] | None = None) -> Evaluation:
        for part in range(4):
            self.world.on_evaluation(part)
            if cancelled is not None and cancelled():
                return Evaluation(self.step_count, math.nan, math.nan)
        value = 6.0 / self.step_count
        self.best_val_loss = min(self.best_val_loss, value)
        return Evaluation(self.step_count, value, value / 2)

    def save(self, folder: Path) -> Path:
        self.world.on_save(folder)
        self.saves.append(folder)
        return folder / f"step-{self.step_count}"


class Driver:
    """An engine on fakes, and everything it has told so far in `told`. patience: seconds until a wait gives up."""

    def __init__(
        self, world: World | None = None, parts: Callable[[], Parts] | None = None, patience: float = PATIENCE
    ) -> None:
        self.world = world or World()
        self.patience = patience
        self.engine = Engine(parts or self.world.parts)
        self.told: list[Event] = []
        self.engine.start()

    def submit(self, *commands: Command) -> None:
        for command in commands:
            self.engine.submit(command)

    def drain(self) -> None:
        while self.engine.events:
            self.told.append(self.engine.events.popleft())

    def until(self, predicate: Callable[[], object], what: str = "") -> None:
        """Drain until the predicate holds."""
        deadline = time.monotonic() + self.patience
        while True:
            self.drain()
            if predicate():
                return
            assert time.monotonic() < deadline, f"never: {what}; {self.told[-5:]}\n{self.engine.last_traceback}"
            time.sleep(0.001)

    def finish(self, *commands: Command) -> list[Event]:
        """Submit, wait until everything is done, and return what was told meanwhile."""
        self.drain()
        before = len(self.told)
        self.submit(*commands)
        self.until(lambda: not self.engine.busy, f"the end of {commands}")
        return self.told[before:]

    def of(self, kind: type[E]) -> list[E]:
        """What was told so far, of one kind."""
        self.drain()
        return [event for event in self.told if isinstance(event, kind)]


def story(driver: Driver) -> list[str]:
    """Steps, evaluations, saves, samples and the end, in order."""
    names = {StepResult: "step", Evaluation: "evaluated", Saved: "saved", Sample: "sample", TrainingEnded: "ended"}
    return [f"{names[type(event)]} {getattr(event, 'step', 0)}" for event in driver.told if type(event) in names]
