"""A lock lasts as long as its process, whatever ends it, and tells who holds it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sg_core.errors import CheckpointError
from sg_core.storage.lock import RUN_LOCK, FileLock, HeldError, lock_run, run_is_free

HOLDER = """
import sys
from pathlib import Path
from sg_core.storage.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of the run `tmp_path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / RUN_LOCK)],
        cwd=Path(__file__).parents[3], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with process:
        yield process
        process.kill()


def test_a_lock_is_held_by_one_and_released_with_its_file(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    with pytest.raises(HeldError) as held:
        FileLock(tmp_path / "lock")
    assert held.value.pid == os.getpid()
    lock.release()
    lock.release()
    assert not (tmp_path / "lock").exists()
    FileLock(tmp_path / "lock").release()


def test_a_run_that_another_process_trains_is_refused_by_its_number(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(CheckpointError, match=f"is being trained by process {holder.pid}"):
        lock_run(tmp_path)
    assert not run_is_free(tmp_path)


def test_the_lock_of_a_killed_process_is_nobodys(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert (tmp_path / RUN_LOCK).exists()
    assert run_is_free(tmp_path)
    lock = lock_run(tmp_path)
    assert lock is not None
    assert run_is_free(tmp_path)  # this process's own
    lock.release()


def test_a_folder_that_takes_no_file_has_no_lock(tmp_path: Path) -> None:
    assert lock_run(tmp_path / "nowhere") is None
    assert run_is_free(tmp_path / "nowhere")
