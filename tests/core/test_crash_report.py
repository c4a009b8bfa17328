"""What nobody foresaw becomes one line and a report that its owner alone can read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sg_core import crash_report
from sg_core.crash_report import unforeseen, write_report


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SG_HOME", str(tmp_path))
    monkeypatch.setattr(crash_report, "_written", {})
    return tmp_path


def failed(message: str = "what\n\x1b[2Jnow", deep: bool = False) -> Exception:
    try:
        if deep:
            raise ZeroDivisionError(message)
        raise ZeroDivisionError(message)
    except ZeroDivisionError as error:
        return error


def test_the_line_is_harmless_and_names_the_report(home: Path) -> None:
    said = unforeseen(failed())
    (report,) = (home / "data").glob("crash-*.txt")
    assert said == f"internal error: ZeroDivisionError: what \\x1b[2Jnow; a report of it is in {report}"
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert "in failed" in report.read_text()
    assert "Python 3" in report.read_text()


def test_what_happens_again_is_reported_once(home: Path) -> None:
    assert write_report(failed("a")) == write_report(failed("b"))
    write_report(failed("c", deep=True))
    assert len(list((home / "data").glob("crash-*.txt"))) == 2


def test_old_reports_make_room(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_report, "_KEPT", 3)
    (home / "data").mkdir()
    for number in range(5):
        (home / "data" / f"crash-2020010{number}-000000-1-0.txt").write_text("old")
    newest = write_report(failed())
    kept = sorted((home / "data").glob("crash-*.txt"))
    assert len(kept) == 3
    assert kept[-1] == newest


def test_without_a_place_for_it_the_line_stands_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("SG_HOME", str(home / "file"))
    assert unforeseen(failed("oh")) == "internal error: ZeroDivisionError: oh"
