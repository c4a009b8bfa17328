"""What is known of the engine and of the running generation: plain data, which events change."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

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
    TokenEvent,
)
from sg_core.inference.sampling import Sampling
from sg_core.network.optimizations import Optimizations
from sg_core.network.precisions import PRECISIONS
from sg_tui.state.effects import Effects

AVERAGED = 20  # tokens over which the time of an operation is averaged
STRIP = 240  # tokens whose ms the speed strip can show


class GenerationState:
    """The settings of a generation, and what came of the newest. `version` grows with every change."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.optimizations = Optimizations()
        self.sampling = Sampling()
        self.max_tokens = 400
        self.slow_motion = False
        self.threads: int | None = None
        self.loaded: Loaded | None = None
        self.phase = Phase("starting")
        self.phase_since = clock()
        self.request = 0  # of the newest generation of the Write screen, 0 before the first
        self.running = False
        self.reason = ""  # why the newest generation ended
        self.metrics: Metrics | None = None
        self.moves = 0  # how often the newest generation filled the context, and it moved on
        self.asked_precision = ""  # asked for and not answered yet
        self.adapter_amount = 100  # percent of the adapters, as asked for last
        self.ms: deque[float] = deque(maxlen=STRIP)
        self.op_ms: deque[dict[str, float]] = deque(maxlen=AVERAGED)
        self.version = 0
        self._clock = clock
        self._position = 0  # tokens in the context
        self._left = 1  # continuations of the newest generation that have not ended
        self._several = False  # its tokens are computed together: they tell nothing of a token's price
        self._effects: dict[str, Effects] = {}  # by precision
        self._refused_precision = ""  # the one asked for last, if it did not fit
        self._setting: tuple[str, Optimizations] | None = None  # precision and switches of the newest token
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

    def set_slow_motion(self, slow: bool) -> None:
        """Tokens come slowly from now on, or no longer; those before are not compared with those after."""
        self.slow_motion = slow
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
                self.metrics, self._position = event, event.context_used
            case ContextMoved(request=self.request):
                self._position, self._settled = event.kept, False
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

    def average_op_ms(self) -> dict[str, float]:
        """operation -> mean ms of the newest tokens, in the order of the computation."""
        if not self.op_ms:
            return {}
        return {name: sum(one.get(name, 0.0) for one in self.op_ms) / len(self.op_ms) for name in self.op_ms[-1]}

    def _take_token(self, event: TokenEvent) -> None:
        self._position += 1
        setting = (event.precision, event.optimizations)
        if setting != self._setting:
            self.op_ms.clear()
            self._setting, self._settled = setting, False
        self.ms.append(event.token.ms)
        self.op_ms.append(event.token.op_ms)
        if self._settled and not event.optimizations.bursts and not self._several:
            effects = self._effects.setdefault(event.precision, Effects())
            effects.add(event.optimizations, self._position, event.token.ms)
        self._settled = True

    def _forget(self) -> None:
        self._effects = {}
        self.metrics = None
        self.ms.clear()
        self.op_ms.clear()
