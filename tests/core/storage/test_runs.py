"""The folders of training runs and the requests in them."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from failing_files import every_failure

from sg_core.errors import CheckpointError
from sg_core.storage.runs import REQUEST, new_run_folder, read_request, write_request


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_run_folders_are_new_and_plainly_named(home: Path) -> None:
    folders = [new_run_folder("../my model\x1b[2J") for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(folder.parent == home / "data" / "runs" and folder.is_dir() for folder in folders)
    assert all(folder.name.isprintable() and " " not in folder.name for folder in folders)


def test_a_request_is_read_as_it_was_written_until_there_is_a_checkpoint(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert read_request(run) is None
    write_request(run, {"data": "é", "config": None})
    assert read_request(run) == {"format": 1, "data": "é", "config": None}
    (run / "step-00000002").mkdir()
    assert read_request(run) is None
    with pytest.raises(CheckpointError, match="already holds a run"):
        write_request(run, {"data": "other"})


def test_a_request_that_can_not_be_written_leaves_no_folder(tmp_path: Path) -> None:
    for failing in every_failure(tmp_path):
        with failing, suppress(CheckpointError):
            write_request(tmp_path / "run", {"data": "text"})
        assert (tmp_path / "run").exists() != failing.failed
        shutil.rmtree(tmp_path / "run", ignore_errors=True)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 99}', ""])
def test_a_request_that_can_not_be_read_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / REQUEST).write_text(text)
    with pytest.raises(CheckpointError) as caught:
        read_request(tmp_path)
    assert "\n" not in str(caught.value)
    assert REQUEST in str(caught.value)


def test_where_no_folder_can_be_made_the_reason_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on_a_disk_without_writing(path: str, *_: object) -> None:
        number = errno.EROFS if os.path.isdir(os.path.dirname(path)) else errno.ENOENT
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "mkdir", on_a_disk_without_writing)
    with pytest.raises(CheckpointError, match="can't be made: read-only file system; name another place"):
        new_run_folder("a")
