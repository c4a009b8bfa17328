"""What is known of the engine and of the running generation: plain data, which events change."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from sg_core.engine.commands import Generate
from sg_core.engine.events import (
    ContextMoved,
    Done,
    Event,
    Failed,
    Loaded,
    Metrics,
    Phase,
    PrecisionSet,
    ReadRate,
    TokenEvent,
)
from sg_core.inference.sampling import Sampling
from sg_core.measure.setting import Setting
from sg_core.network.optimizations import Optimizations
from sg_core.network.precisions import PRECISIONS
from sg_tui.state.effects import Effects
from sg_tui.state.speed_state import Speed

STRIP = 240  # tokens whose ms the speed strip can show
FLIPS = 4  # newest changes of the setting that are marked


@dataclass(frozen=True, slots=True)
class Flip:
    """From `position` on tokens were computed with another setting."""

    position: int
    before: Setting
    after: Setting


class GenerationState:
    """The settings of a generation, and what came of the newest. `version` grows with every change."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.optimizations = Optimizations()
        self.sampling = Sampling()
        self.max_tokens = 400
        self.pace = 0.0  # tokens a second that are shown; 0: as they come
        self.threads: int | None = None
        self.loaded: Loaded | None = None
        self.phase = Phase("starting")
        self.phase_since = clock()
        self.request = 0  # of the newest generation of the Write screen, 0 before the first
        self.running = False
        self.reason = ""  # why the newest generation ended
        self.metrics: Metrics | None = None
        self.moves = 0  # how often the newest generation filled the context, and it moved on
        self.kept = 0  # tokens that were still seen when it last did
        self.asked_precision = ""  # asked for and not answered yet
        self.adapter_amount = 100  # percent of the adapters, as asked for last
        self.ms: deque[float] = deque(maxlen=STRIP)
        self.speed = Speed()
        self.reads: ReadRate | None = None  # of the loaded model
        self.flips: deque[Flip] = deque(maxlen=FLIPS)
        self.position = 0  # tokens in the context
        self.version = 0
        self._clock = clock
        self._left = 1  # continuations of the newest generation that have not ended
        self._several = False  # its tokens are computed together: they tell nothing of a token's price
        self._effects: dict[str, Effects] = {}  # by precision
        self._refused_precision = ""  # the one asked for last, if it did not fit
        self._old_threads = False  # the newest tokens were computed with another number of threads
        self._settled = False  # False: the next token still pays for what happened before it

    @property
    def phase_seconds(self) -> float:
        """How long the present phase has lasted."""
        return self._clock() - self.phase_since

    @property
    def precision(self) -> str:
        """In which the loaded model computes."""
        return self.loaded.precision if self.loaded else PRECISIONS[0]

    @property
    def adapters(self) -> int:
        """How many act on the loaded model."""
        return self.loaded.adapters if self.loaded else 0

    @property
    def next_precision(self) -> str:
        """The one after the present one, or after the one that was asked for last."""
        last = self.asked_precision or self._refused_precision or self.precision
        return PRECISIONS[(PRECISIONS.index(last) + 1) % len(PRECISIONS)]

    @property
    def effects(self) -> Effects:
        """What the switches are worth in the present precision."""
        return self._effects.setdefault(self.precision, Effects())

    def asked(self, command: Generate) -> None:
        """`command` is about to be submitted."""
        self.request, self.running, self.reason = command.request, True, ""
        self.moves, self._settled = 0, False
        self._left, self._several = command.n, command.n > 1
        self.version += 1

    def abandon(self) -> None:
        """The generation that was asked for is not waited for any more: what may still come of it is passed over."""
        self.request, self.running, self.reason = 0, False, "stopped"
        self.version += 1

    def switch(self, optimizations: Optimizations) -> None:
        """The switches were changed."""
        self.optimizations = optimizations
        self.version += 1

    @property
    def setting(self) -> Setting:
        """The one that was asked for: the next token's."""
        return Setting(self.asked_precision or self.precision, self.optimizations)

    @property
    def old(self) -> bool:
        """Whether the figures are of a setting that is not wanted any more."""
        return self.speed.setting is not None and (self.speed.setting != self.setting or self._old_threads)

    @property
    def lines(self) -> dict[Setting, dict[int, float]]:
        """{setting: {position: ms}}: the newest token of each position, of settings that were timed."""
        return {
            Setting(precision, optimizations): dict(times)
            for precision, effects in self._effects.items()
            for optimizations, times in effects.times.items()
        }

    def set_pace(self, tokens_per_second: float) -> None:
        """Tokens are shown at this pace from now on; 0: as fast as they come."""
        self.pace = tokens_per_second
        self.version += 1

    def set_threads(self, threads: int | None) -> None:
        """Another number of threads was asked for; None for the model's own."""
        self.threads, self._old_threads = threads, True
        self._effects = {}
        self.version += 1

    def fade(self, percent: int) -> None:
        """The adapters are about to be faded; tokens before are not compared with those after."""
        self.adapter_amount = percent
        self._effects = {}
        self.version += 1

    def ask_precision(self, precision: str) -> None:
        """Another precision is about to be asked for."""
        self.asked_precision = precision
        self.version += 1

    def take(self, event: Event) -> bool:
        """Take what belongs to the engine or to the Write screen's generation; False when nothing changed."""
        match event:
            case Phase():
                if event.name != self.phase.name:
                    self.phase_since = self._clock()
                self.phase = event
            case Loaded():
                self.loaded, self.adapter_amount = event, 100
                self._refused_precision = ""
                self._forget()
            case ReadRate():
                self.reads = event
            case PrecisionSet(precision=precision):
                self._refused_precision = ""
                if precision == self.asked_precision:
                    self.asked_precision = ""
                if self.loaded:
                    self.loaded = replace(self.loaded, precision=precision)
            case Failed(command="SetPrecision"):
                self._refused_precision, self.asked_precision = self.asked_precision, ""
            case TokenEvent(request=self.request):
                self._take_token(event)
            case Metrics(request=self.request):
                self.metrics, self.position = event, event.context_used
            case ContextMoved(request=self.request):
                self.position = self.kept = event.kept
                self._settled = False
                self.moves += 1
            case Done(request=self.request):
                self._left -= 1
                self.running, self.reason = self._left > 0, event.reason
            case Failed(request=self.request):
                self.running, self.reason = False, "failed"
            case _:
                return False
        self.version += 1
        return True

    def _take_token(self, event: TokenEvent) -> None:
        if event.number == 0:  # of several continuations one alone counts: they stand side by side
            self.position = min(self.position + 1, self.loaded.config.n_ctx) if self.loaded else self.position + 1
        before, setting = self.speed.setting, Setting(event.precision, event.optimizations)
        if self._old_threads:
            self.speed.clear()
            self._old_threads = False
        if before is not None and setting != before:
            self.flips.append(Flip(self.position, before, setting))
        if setting != before:
            self._settled = False
        self.ms.append(event.token.ms)
        self.speed.take(event)
        if self._settled and event.wall_ms > 0.0 and not event.optimizations.bursts and not self._several:
            effects = self._effects.setdefault(event.precision, Effects())
            effects.add(event.optimizations, self.position, event.token.ms)
        self._settled = True

    def _forget(self) -> None:
        self._effects = {}
        self.metrics = self.reads = None
        self.ms.clear()
        self.speed.clear()
        self.flips.clear()
