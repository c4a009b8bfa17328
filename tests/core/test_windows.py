"""What is done otherwise on Windows, run here with the answers that Windows is said to give."""

from __future__ import annotations

import ctypes
import math
import os
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sg_core import files, memory, processors, windows
from sg_core.kernels import store
from sg_core.measure.benchmark import peak_memory
from sg_core.processors import physical_cores, taken_away, usable_processors
from sg_core.storage import checkpoint
from sg_core.storage.checkpoint import load_checkpoint, save_checkpoint
from sg_core.storage.lock import FileLock, HeldError


class Kernel32:
    """Two cores of two processors each, of which the process may use three, and one cache."""

    rows = ((0b0011, 0), (0b1100, 0), (0b1111, 2))

    def GetCurrentProcess(self) -> int:  # noqa: N802
        return -1

    def GlobalMemoryStatusEx(self, status: Any) -> int:  # noqa: N802
        if status._obj.length != 64:
            return 0
        status._obj.physical, status._obj.available = 16 << 30, 5 << 30
        return 1

    def K32GetProcessMemoryInfo(self, process: Any, counters: Any, length: int) -> int:  # noqa: N802
        if length != 72:
            return 0
        counters._obj.peak = 3 << 20
        return 1

    def GetProcessAffinityMask(self, process: Any, allowed: Any, there: Any) -> int:  # noqa: N802
        allowed._obj.value, there._obj.value = 0b0111, 0b1111
        return 1

    def GetLogicalProcessorInformation(self, table: Any, length: Any) -> int:  # noqa: N802
        size = 32 * len(self.rows)
        if table is None or length._obj.value < size:
            length._obj.value = size
            return 0
        for row, (mask, relation) in zip(table, self.rows, strict=True):
            row.mask, row.relation = mask, relation
        return 1


class Msvcrt(types.ModuleType):
    """Locks bytes of files for one descriptor each, as Windows does."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        super().__init__("msvcrt")
        self.held: dict[tuple[int, int], int] = {}

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert (mode, count) == (self.LK_NBLCK, 1)
        byte = os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR)
        holder = self.held.setdefault(byte, descriptor)
        if holder != descriptor:
            raise PermissionError(13, "Permission denied")


@pytest.fixture
def on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(windows, "kernel32", Kernel32)
    monkeypatch.setitem(sys.modules, "msvcrt", Msvcrt())


@pytest.mark.usefixtures("on_windows")
def test_kernel32_tells_memory_and_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.available_memory() == 5 << 30
    assert peak_memory() == 3 << 20
    monkeypatch.setattr(processors, "usable_processors", usable_processors)
    assert (usable_processors(), physical_cores(), taken_away()) == (3, 2, 0)


@pytest.mark.usefixtures("on_windows")
def test_what_kernel32_does_not_tell_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GlobalMemoryStatusEx", "K32GetProcessMemoryInfo", "GetProcessAffinityMask"):
        monkeypatch.setattr(Kernel32, name, lambda *_: 0)
    assert (memory.available_memory(), peak_memory()) == (None, 0)
    monkeypatch.setattr(processors, "usable_processors", usable_processors)
    assert physical_cores() == usable_processors() == (os.cpu_count() or 1)


def test_a_library_of_windows_is_asked_for_there_alone() -> None:
    if not hasattr(ctypes, "WinDLL"):
        with pytest.raises(OSError, match="not Windows"):
            windows.kernel32()


@pytest.mark.usefixtures("on_windows")
def test_a_lock_tells_who_holds_it_and_is_closed_before_its_file_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = FileLock(tmp_path / "lock")
    with pytest.raises(HeldError) as held:
        FileLock(tmp_path / "lock")
    assert held.value.pid == os.getpid()
    done: list[str] = []

    def noted(name: str) -> Any:
        function = getattr(os, name)

        def call(argument: Any) -> None:
            done.append(name)
            function(argument)

        return call

    for name in ("close", "unlink"):
        monkeypatch.setattr(os, name, noted(name))
    lock.release()
    lock.release()
    assert done == ["close", "unlink"]


class Held:
    """os.replace of a file that another program has open at the first tries."""

    def __init__(self, tries: int) -> None:
        self.tries, self.waited, self._replace = tries, 0.0, os.replace

    def replace(self, source: str | Path, target: str | Path) -> None:
        self.tries -= 1
        if self.tries >= 0:
            raise PermissionError(13, "Permission denied")
        self._replace(source, target)

    def sleep(self, seconds: float) -> None:
        self.waited += seconds


@pytest.mark.usefixtures("on_windows")
@pytest.mark.parametrize("tries", [0, 1, 5, math.inf])
def test_a_file_that_someone_has_open_is_replaced_when_that_one_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tries: Any
) -> None:
    new, old, held = tmp_path / "new", tmp_path / "old", Held(tries)
    new.write_text("new")
    old.write_text("old")
    monkeypatch.setattr(os, "replace", held.replace)
    monkeypatch.setattr(time, "sleep", held.sleep)
    if tries < math.inf:
        files.put_in_place(new, old)
    else:
        with pytest.raises(PermissionError):
            files.put_in_place(new, old)
    assert old.read_text() == ("new" if tries < math.inf else "old")
    assert held.waited <= 1.1


@pytest.mark.usefixtures("on_windows")
def test_large_arrays_of_a_checkpoint_are_read_for_a_mapped_file_could_not_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LARGE", 1)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    save_checkpoint(tmp_path, 1, {"frozen": array}, {})
    found = load_checkpoint(tmp_path, mapped={"frozen"}).arrays["frozen"]
    assert np.array_equal(found, array)
    assert not found.flags.writeable
    assert not isinstance(found.base, np.memmap)


@pytest.mark.usefixtures("on_windows")
def test_compiled_code_in_the_users_profile_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "getuid", raising=False)
    tmp_path.chmod(0o777)  # what every folder there seems to be
    kept = store.KernelStore(tmp_path)
    kept.save("kernel", [], "key", b"code")
    assert kept.load("kernel", "key") == b"code"
