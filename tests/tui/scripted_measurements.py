"""What the engine without a model takes, in ms, and what it measures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sg_core.engine.commands import Bench, Race
from sg_core.engine.events import Done, Event, Measured, Phase, Raced
from sg_core.measure.benchmark import Timing
from sg_core.measure.race import Lap
from sg_core.network.optimizations import USUAL, Optimizations

OPERATIONS = {
    "embedding": 0.01,
    "layernorm": 0.02,
    "qkv": 0.08,
    "attention": 0.06,
    "linear": 0.24,
    "gelu": 0.03,
    "residual": 0.01,
    "unembedding": 0.09,
    "sampling": 0.02,
}  # ms of a token with every switch on
SWITCHED = {
    "kv_cache": ("qkv", "attention"),
    "linear": ("linear",),
    "gelu": ("gelu",),
    "residual": ("residual",),
    "layernorm": ("layernorm",),
    "unembedding": ("unembedding",),
}
SPEED = {"f32": 1.0, "bf16": 0.6, "int8": 0.4, "w8a8": 0.4, "int4": 0.3}  # a token's time against f32's


class ScriptedMeasurements:
    """Times depend on switches, precision and position. writing: request and tokens of what is under way."""

    replies: Sequence[str]
    optimizations: Optimizations
    precision: str
    writing: tuple[int, int] | None

    def emit(self, *events: Event) -> None:
        """To the app; the engine does it."""

    def op_ms(self, position: int) -> dict[str, float]:
        op_ms = {name: ms * SPEED[self.precision] for name, ms in OPERATIONS.items()}
        for switch, operations in SWITCHED.items():
            if not getattr(self.optimizations, switch):
                op_ms |= {name: op_ms[name] * position for name in operations}
        return op_ms

    def bench(self, command: Bench) -> Iterator[None]:
        self.writing = (command.request, 0)
        self.emit(Phase("benchmarking"))
        settings = Optimizations.none()
        for name in ("", *USUAL):
            settings = settings.with_(name) if name else settings
            self.optimizations, kept = settings, self.optimizations
            ms = sum(self.op_ms(command.tokens).values())
            self.optimizations = kept
            label = f"+ {name}" if name else "no optimization"
            times = (0.9 * ms, *[ms] * (command.tokens - 2), 1.2 * ms)
            self.emit(Measured(command.request, label, Timing(settings, self.precision, 2, times, sum(times) / 1e3)))
            yield
        self.writing = None
        self.emit(Done(command.request, "length", command.tokens), Phase("idle"))

    def race(self, command: Race) -> Iterator[None]:
        self.emit(Phase("racing"))
        kept = self.optimizations, self.precision
        for number, piece in enumerate(re.findall(r" ?\w+|\W", self.replies[0])[: command.tokens], 1):
            ms = []
            for side in (command.left, command.right):
                self.optimizations, self.precision = side.optimizations, side.precision
                ms.append(sum(self.op_ms(number).values()))
            self.optimizations, self.precision = kept
            self.writing = (command.request, number)
            self.emit(Raced(command.request, Lap((number, number), (piece, piece), (ms[0], ms[1]), 0.0)))
            yield
        self.writing = None
        self.emit(Done(command.request, "length", command.tokens), Phase("idle"))
