"""Settings are written whole or not at all, whichever write or rename fails."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from failing_files import every_failure

from sg_tui.library import preferences
from sg_tui.library.preferences import Preferences


def test_settings_are_the_old_or_the_new_ones(tmp_path: Path) -> None:
    before, after = Preferences(model="before"), Preferences(model="after")
    preferences.write(tmp_path, before)
    for failing in every_failure(tmp_path):
        written = False
        with failing, suppress(OSError):
            preferences.write(tmp_path, after)
            written = True
        found, trouble = preferences.read(tmp_path)
        assert trouble == ""
        assert found == (after if written else before)
        assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["settings.toml"]
        preferences.write(tmp_path, before)
