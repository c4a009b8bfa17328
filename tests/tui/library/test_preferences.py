"""Settings are remembered; a file that can't be used is kept aside and the usual ones hold."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_core.inference.sampling import Sampling
from sg_tui.library import preferences
from sg_tui.library.preferences import Preferences
from sg_tui.state.play import Cast


def test_someone_who_was_never_here_reads_at_a_pace_and_is_shown_around(tmp_path: Path) -> None:
    assert preferences.read(tmp_path) == (preferences.FIRST, "")
    assert (preferences.FIRST.pace, preferences.FIRST.toured) == (12.0, False)


def test_settings_of_version_0_1_are_of_someone_who_was_here(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('mode = "chat"\ntheme = "light"\n')
    read, _ = preferences.read(tmp_path)
    assert (read.mode, read.pace, read.toured) == ("chat", 0.0, True)


def test_settings_come_back_as_they_were(tmp_path: Path) -> None:
    kept = Preferences(
        "chat", "light", 'C:\\models\\"mine"', 77, Cast("LADY É", "漢"), Sampling(0.0, 40, 0.5, 0.1, 1.2, 3), "int8",
        pace=12.0, toured=False,
    )  # fmt: skip
    kept = replace(kept, keys={"write.flip('gelu')": 'Ctrl+"', "write.retry": "F11 Alt+Q"})
    preferences.write(tmp_path, kept)
    assert preferences.read(tmp_path) == (kept, "")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["settings.toml"]


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_model_name_survives(name: str) -> None:
    import tomllib

    assert tomllib.loads(preferences._toml(Preferences(model=name)))["model"] == name


@pytest.mark.parametrize(
    "content",
    [
        b"mode = ",
        b"\xff\xfe",
        b'mode = "sing"',
        b"max_tokens = -3",
        b'precision = "int2"',
        b"[sampling]\ntemperature = 'hot'",
        b"[sampling]\ntop_p = 1.5",
        b"chat = 3",
        b"pace = -1",
        b'toured = "yes"',
        b"[chat]\nperson = 7",
        b"a = " + b"[" * 100_000,
        b"#" * (preferences.LONGEST + 1),
        b"[keys]\n'write.retry' = 7",
    ],
)
def test_a_broken_file_is_kept_aside_and_that_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "settings.toml").write_bytes(content)
    read, notice = preferences.read(tmp_path)
    assert read == Preferences()
    assert "settings-broken.toml" in notice
    assert "\n" not in notice
    assert (tmp_path / "settings-broken.toml").read_bytes() == content
    assert preferences.read(tmp_path) == (Preferences(), "")


def test_what_is_no_file_is_neither_waited_for_nor_read(tmp_path: Path) -> None:
    """A named pipe would keep the start waiting, /dev/zero would fill the memory."""
    os.mkfifo(tmp_path / "settings.toml")
    assert "is not a regular file" in preferences.read(tmp_path)[1]
    (tmp_path / "settings.toml").symlink_to("/dev/zero")
    assert "is not a regular file" in preferences.read(tmp_path)[1]
    assert preferences.read(tmp_path) == (Preferences(), "")


def test_what_is_unknown_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("later = 1\n[sampling]\nnew = 2\nseed = 9\n")
    read, notice = preferences.read(tmp_path)
    assert notice == ""
    assert read.sampling.seed == 9


def test_a_place_that_can_not_be_written_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        preferences.write(tmp_path / "file" / "config", Preferences())
