"""The log of what was done to a run while it ran: `events.jsonl` in its folder, a numbered line each, only added to.

A line is synced before what it says is done, so that a run which is killed does it again at the same step. A last line
that was cut short was never obeyed, and is passed over. Each line names the one it came after: what a run that went on
from an earlier checkpoint did otherwise is a line of its own, and the newest one tells which of them count.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sg_core.checks import is_whole
from sg_core.errors import CheckpointError
from sg_core.files import make_folder, parse_json_object, read_bytes, reason, replacing, shown

EVENTS = "events.jsonl"
CHANGE, BACK, FORK, FORKED = "change", "back", "fork", "forked"
_KINDS = {CHANGE, BACK, FORK, FORKED}
_MOST_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class RunEvent:
    """What was done to a run, once `step` of its steps were done.

    number: of its line, from 1; after: the number of the one it came after, 0 for none. values: of a change, settings
    and what they became; "to" which step it went back; "folder" of the fork, or of the run it was forked from.
    """

    number: int
    after: int
    step: int
    kind: str
    values: Mapping[str, Any]

    @property
    def words(self) -> str:
        """What was done, for people: "learning rate 0.0005"; names in it are as they came."""
        if self.kind == CHANGE:
            return ", ".join(f"{name.replace('_', ' ')} {_figure(value)}" for name, value in self.values.items())
        if self.kind == BACK:
            return f"back to step {self.values['to']:,}"
        return f"{'fork' if self.kind == FORK else 'forked from'} {self.values['folder']}"


def _figure(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def event_from(saved: object, where: str) -> RunEvent:
    """The event that `asdict` made, of a line or a checkpoint. Raises CheckpointError, beginning with `where`."""
    fields: dict[str, Any] = saved if isinstance(saved, dict) else {}
    number, after, step, kind, values = [fields.get(name, math.nan) for name in RunEvent.__dataclass_fields__]
    fine = is_whole(number, 1) and is_whole(after, 0) and is_whole(step, 0) and isinstance(values, dict)
    if fine and kind == CHANGE:
        fine = bool(values) and all(isinstance(one, str | float | int) for one in values.values())
    elif fine and kind == BACK:
        fine = is_whole(values.get("to"), 0)
    elif fine:
        fine = kind in _KINDS and isinstance(values.get("folder"), str)
    if not fine or after >= number:
        raise CheckpointError(f"{where} is nothing that this version of sg-tui does to a run")
    return RunEvent(number, after, step, kind, values)


def read_events(run: Path) -> list[RunEvent]:
    """All lines of a run's log, none where there is no log.

    Raises CheckpointError, naming the line, for one that can't be read.
    """
    path = run / EVENTS
    if not path.exists():
        return []
    lines = read_bytes(path, _MOST_BYTES, CheckpointError).split(b"\n")[:-1]
    events = []
    for number, line in enumerate(lines, 1):
        where = f"{shown(path)}, line {number},"
        events.append(event_from(parse_json_object(line, where, CheckpointError), where))
    return events


def still_to_come(events: Iterable[RunEvent], done: int) -> list[RunEvent]:
    """What a run has to do again that did everything up to the event of number `done`, oldest first."""
    by_number = {event.number: event for event in events}
    chain: list[RunEvent] = []
    at = max(by_number, default=0)
    while at > done and at in by_number:
        chain.append(by_number[at])
        at = by_number[at].after
    return chain[::-1] if at == done else []


def add_event(run: Path, event: RunEvent) -> None:
    """Add a line to a run's log, for good. Raises CheckpointError, and then the line does not count."""
    path = run / EVENTS
    make_folder(run, CheckpointError)
    try:
        with open(path, "ab+") as file:
            _drop_unfinished_line(file)
            file.write(_line(event))
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        raise CheckpointError(
            f"{shown(path)} can't be written: {reason(problem)}; nothing was done, as a resume would not do it again"
        ) from problem


def write_events(run: Path, events: Sequence[RunEvent]) -> None:
    """A log of these events alone, none for no log. Raises CheckpointError."""
    path = run / EVENTS
    if events:
        make_folder(run, CheckpointError)
        with replacing(path, CheckpointError) as file:
            file.write(b"".join(map(_line, events)))
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError as problem:
            raise CheckpointError(f"{shown(path)} can't be removed: {reason(problem)}") from problem


def _line(event: RunEvent) -> bytes:
    return json.dumps(asdict(event)).encode() + b"\n"


def _drop_unfinished_line(file: Any) -> None:
    """Cut off what follows the last line break."""
    end = file.seek(0, os.SEEK_END)
    tail = min(end, 1 << 16)  # longer than a line
    file.seek(end - tail)
    kept = file.read(tail).rfind(b"\n") + 1
    if kept < tail:
        file.truncate(end - tail + kept)
