"""Whatever is typed where a file, a folder or a model is asked for: the app lives, and says what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scripted_engine import ScriptedEngine
from stories import WIDE, see

from sg_core.errors import SettingError
from sg_tui.app import SgApp
from sg_tui.library import figures_file
from sg_tui.library.export import read
from sg_tui.library.habits import Habits
from sg_tui.screens.load_dialog import LoadDialog
from sg_tui.screens.save_dialog import SaveDialog
from sg_tui.widgets.line_input import LineInput

IMPOSSIBLE = ["x" * 300, "a/" * 3000, "nul\0", "~nobody-is-called-so/x", "/no/such", "\ud800"]


@pytest.mark.parametrize("dialog", [SaveDialog, LoadDialog])
async def test_a_dialog_stays_open_and_says_what_is_wrong(
    dialog: type[SaveDialog | LoadDialog], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    app = SgApp(engine=ScriptedEngine())
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "3.5M")
        asked = SaveDialog(lambda ending: "text", "title") if dialog is SaveDialog else LoadDialog()
        app.push_screen(asked)
        await pilot.pause()
        line = asked.query_one(LineInput)
        for name in [*IMPOSSIBLE, "fifo", "fifo", "/dev/full", "/dev/full"]:  # twice: what exists is asked about first
            asked.problem("")
            line.value = name
            await line.action_submit()
            await pilot.pause()
            assert app.screen is asked, name
            assert str(asked.query_one("#problem").render()), name


async def test_any_name_of_a_model_is_answered() -> None:
    app = SgApp(engine=ScriptedEngine())
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "3.5M")
        for name in IMPOSSIBLE:
            app.desk.choose_model(name)
        assert app.is_running


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, make: object) -> None:
    assert callable(make)
    for name in ("used.json", "rows.json"):
        make(tmp_path / name)
    assert Habits(tmp_path).weight("a") == 0.0
    for reader in (figures_file.read_rows, read):
        with pytest.raises(SettingError, match="a file is needed"):
            reader(tmp_path / "rows.json")


def test_figures_beyond_the_limit_are_not_read(tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_bytes(b"[" * (figures_file.LONGEST + 1))
    with pytest.raises(SettingError, match="bytes; at most"):
        figures_file.read_rows(rows)
