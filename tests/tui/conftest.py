"""Every test has a home folder of its own, and a quiet terminal."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SG_HOME in a temporary folder; no clipboard tool, no tmux, no NO_COLOR of the surroundings."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SG_HOME", str(folder))
    for name in ("TMUX", "NO_COLOR", "WAYLAND_DISPLAY", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return folder
