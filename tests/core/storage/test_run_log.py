"""The log of what was done to a run: lines that last, torn and damaged ones, and which of them are done again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sg_core.errors import CheckpointError
from sg_core.storage.run_log import EVENTS, RunEvent, add_event, read_events, still_to_come, write_events

FIRST = RunEvent(1, 0, 9, "change", {"learning_rate": 2e-3, "schedule": "wsd"})
SECOND = RunEvent(2, 1, 33, "back", {"to": 18})


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert read_events(tmp_path) == []
    add_event(tmp_path / "run", FIRST)
    add_event(tmp_path / "run", SECOND)
    assert read_events(tmp_path / "run") == [FIRST, SECOND]
    write_events(tmp_path / "run", [SECOND])
    assert read_events(tmp_path / "run") == [SECOND]
    write_events(tmp_path / "run", [])
    assert not (tmp_path / "run" / EVENTS).exists()


def test_a_line_cut_short_at_any_byte_never_counted_and_the_next_one_is_whole(tmp_path: Path) -> None:
    add_event(tmp_path, FIRST)
    size = (tmp_path / EVENTS).stat().st_size
    add_event(tmp_path, SECOND)
    data = (tmp_path / EVENTS).read_bytes()
    for cut in range(len(data)):
        (tmp_path / EVENTS).write_bytes(data[:cut])
        assert read_events(tmp_path) == ([FIRST] if cut >= size else [])
        add_event(tmp_path, SECOND)
        assert read_events(tmp_path) == ([FIRST, SECOND] if cut >= size else [SECOND])


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense", b"[]", b'{"number": 1}', b"\xff",
        b'{"number": 1, "after": 1, "step": 2, "kind": "back", "values": {"to": 1}}',
        b'{"number": 1, "after": 0, "step": 2, "kind": "back", "values": {}}',
        b'{"number": 1, "after": 0, "step": 2, "kind": "change", "values": {}}',
        b'{"number": 1, "after": 0, "step": 2, "kind": "change", "values": {"dropout": null}}',
        b'{"number": true, "after": 0, "step": 2, "kind": "fork", "values": {"folder": "x"}}',
        b'{"number": 1, "after": 0, "step": 2, "kind": "fork", "values": {"folder": 1}}',
        b'{"number": 1, "after": 0, "step": 2, "kind": "leap", "values": {"folder": "x"}}',
    ],
)  # fmt: skip
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    add_event(tmp_path, FIRST)
    with (tmp_path / EVENTS).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(CheckpointError, match=r"events\.jsonl, line 2,"):
        read_events(tmp_path)


@pytest.mark.parametrize(
    ("afters", "done", "left"),
    [
        ([0, 1, 2], 0, [1, 2, 3]),
        ([0, 1, 2], 2, [3]),
        ([0, 1, 2], 3, []),
        ([0, 1, 1], 1, [3]),  # the second was taken the place of
        ([0, 1, 1], 2, []),  # an abandoned branch
        ([0, 1, 0], 0, [3]),
        ([], 0, []),
        ([], 5, []),
    ],
)
def test_only_the_events_that_lead_to_the_newest_are_done_again(afters: list[int], done: int, left: list[int]) -> None:
    events: list[Any] = [RunEvent(number, after, 0, "fork", {"folder": ""}) for number, after in enumerate(afters, 1)]
    assert [event.number for event in still_to_come(events, done)] == left
