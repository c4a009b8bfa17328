"""Whose a temporary folder is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sg_tui.library.elsewhere import is_private, last_folder


def test_a_folder_that_others_may_enter_is_private_on_windows_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    assert is_private(tmp_path)
    tmp_path.chmod(0o777)  # what every folder of Windows seems to be
    assert is_private(tmp_path) == (sys.platform == "win32")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(os, "getuid", raising=False)
    assert is_private(tmp_path)
    assert not is_private(tmp_path / "missing")
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    assert not is_private(tmp_path / "link")
    assert "sg-tui-0-" in last_folder(tmp_path).name
