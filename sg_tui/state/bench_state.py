"""What is known of the benchmark, fed by the engine's events: its rows and what each saves. No widgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sg_core.engine.commands import Bench
from sg_core.engine.events import (
    Done,
    Event,
    Failed,
    Loaded,
    Measured,
    Phase,
)
from sg_core.network.optimizations import TABLE, USUAL, Optimizations

SortKey = Literal["order", "ms", "switches"]
SORT_KEYS: tuple[SortKey, ...] = ("order", "ms", "switches")
COMBINATIONS = 2 ** len(USUAL)


@dataclass(frozen=True, slots=True)
class Line:
    """A measured row with what it means beside the others. Factors are times faster, NaN-free."""

    row: Measured
    order: int
    ms: float  # per token
    step: float  # against the row before it
    total: float  # against the first row
    share: float  # ms per token as a share of the slowest row's


class BenchState:
    """The last benchmark: what was measured on what, and its rows so far."""

    def __init__(self) -> None:
        self.command: Bench | None = None
        self.measured: Loaded | None = None  # the model the rows belong to
        self.rows: list[Measured] = []
        self.before: dict[Optimizations, float] = {}  # ms per token of an earlier measurement
        self.before_name = ""
        self.chosen = 0  # place among the sorted rows
        self.running = False
        self.reason = ""  # why it ended
        self.failure = ""
        self.phase = Phase("idle")
        self.version = 0

    def asked(self, command: Bench, loaded: Loaded | None) -> None:
        """`command` is about to be submitted, to be measured on `loaded`."""
        self.command, self.measured = command, loaded
        self.rows, self.running, self.reason, self.failure = [], True, "", ""
        self.chosen = 0
        self.phase = Phase("starting")
        self.version += 1

    def take(self, event: Event) -> bool:
        """Take what belongs to the running benchmark; False when nothing changed."""
        if not self.running or self.command is None:
            return False
        match event:
            case Measured(request=request) if request == self.command.request:
                self.rows.append(event)
            case Done(request=request, reason=reason) if request == self.command.request:
                self.running, self.reason = False, reason
            case Failed(request=request, message=message) if request == self.command.request:
                self.running, self.failure = False, message
            case Phase():
                self.phase = event
            case _:
                return False
        self.version += 1
        return True

    def choose(self, by: int) -> None:
        """Another row."""
        self.chosen = max(0, min(len(self.rows) - 1, self.chosen + by))
        self.version += 1

    def compare(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        """Put what an earlier measurement took beside the rows; none: no longer. Raises ValueError for other rows."""
        before = {}
        for row in rows:
            switches, ms = row.get("optimizations"), row.get("ms_per_token")
            if not isinstance(switches, dict) or not isinstance(ms, int | float):
                raise ValueError("no rows of a benchmark")
            on = [name for name in Optimizations.names() if switches.get(name) is True]
            before[Optimizations.none().with_(*on)] = float(ms)
        self.before, self.before_name = before, name
        self.version += 1

    def records(self) -> list[dict[str, Any]]:
        """The rows for a file, with the names that the command prints."""
        model = self.measured.model if self.measured else ""
        return [_record(model, row) for row in self.rows]

    @property
    def is_ladder(self) -> bool:
        """Each row has one switch more than the row before it."""
        return self.command is None or not self.command.every_combination

    @property
    def expected(self) -> int:
        """How many rows there will be at the most."""
        if self.command is None:
            return 0
        return len(USUAL) + 1 if self.is_ladder else COMBINATIONS

    def lines(self, sort: SortKey = "order") -> list[Line]:
        """The rows with their factors, sorted: as measured, by ms per token, or by how many switches are on."""
        if not self.rows:
            return []
        times = [row.timing.ms_per_token for row in self.rows]
        slowest = max(times)
        lines = [
            Line(
                row,
                order,
                ms,
                _times(times[max(0, order - 1)], ms),
                _times(times[0], ms),
                ms / slowest if slowest > 0 else 0.0,
            )
            for order, (row, ms) in enumerate(zip(self.rows, times, strict=True))
        ]
        keys: dict[SortKey, Callable[[Line], tuple[float, float]]] = {
            "order": lambda line: (line.order, 0.0),
            "ms": lambda line: (line.ms, line.order),
            "switches": lambda line: (-len(switched_on(line.row.timing.optimizations)), line.ms),
        }
        return sorted(lines, key=keys[sort])


def switched_on(optimizations: Optimizations) -> tuple[int, ...]:
    """The numbers of the switches that are on."""
    return tuple(one.number for one in TABLE if one.default and getattr(optimizations, one.name))


def pattern(optimizations: Optimizations) -> str:
    """The switches as seven places: the number where one is on, a dot where it is off."""
    on = switched_on(optimizations)
    return "".join(str(one.number) if one.number in on else "·" for one in TABLE if one.default)


def words_of(row: Measured) -> str:
    """What a row is called, with the labels of the table of optimizations."""
    name = row.label.removeprefix("+ ")
    return next((f"+ {one.label}" for one in TABLE if one.name == name), row.label)


def _record(model: str, row: Measured) -> dict[str, Any]:
    timing = row.timing
    return {
        "model": model,
        "precision": timing.precision,
        "threads": timing.threads,
        "optimizations": {name: getattr(timing.optimizations, name) for name in Optimizations.names()},
        "tokens": timing.tokens,
        "ms_per_token": timing.ms_per_token,
        "mean": timing.mean,
        "min": timing.minimum,
        "max": timing.maximum,
        "tokens_per_second": timing.tokens_per_second,
    }


def _times(before: float, after: float) -> float:
    return before / after if before > 0 and after > 0 else 1.0
