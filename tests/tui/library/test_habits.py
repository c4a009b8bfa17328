"""What a person uses in the palette is remembered, fades, and is no loss."""

from __future__ import annotations

from pathlib import Path

import pytest

from sg_tui.library import habits
from sg_tui.library.habits import Habits


def test_uses_count_and_fade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1e9
    monkeypatch.setattr("time.time", lambda: now)
    kept = Habits(tmp_path)
    kept.used("often")
    kept.used("often")
    now += habits.HALF
    kept.used("lately")
    kept.write()
    again = Habits(tmp_path)
    assert [again.weight(name) for name in ("often", "lately", "never")] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b'{"a": 1}', b'{"a": ["x", 1]}', b'{"a": [NaN, 1]}', b"\xff", b"[" * 60_000]
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / habits.NAME).write_bytes(content)
    kept = Habits(tmp_path)
    assert kept.weight("a") == 0.0
    kept.used("a")
    assert kept.weight("a") > 0.9  # of a use some milliseconds ago


def test_the_file_does_not_grow_without_end(tmp_path: Path) -> None:
    kept = Habits(tmp_path)
    for number in range(habits.MOST + 20):
        kept.used(f"action {number}")
    kept.write()
    assert len(Habits(tmp_path)._uses) == habits.MOST


def test_a_folder_that_takes_nothing_is_no_fault(tmp_path: Path) -> None:
    kept = Habits(tmp_path / "nowhere")
    kept.used("a")
    kept.write()
