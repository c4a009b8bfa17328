"""A save killed at any moment leaves a loadable checkpoint, and the next save works."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from sg_core.errors import CheckpointError
from sg_core.storage import checkpoint, manifest
from sg_core.storage.checkpoint import load_checkpoint, save_checkpoint, sweep


def save(run: Path, step: int, **options: Any) -> None:
    save_checkpoint(run, step, {"a": np.full(40, step, np.float64)}, {"step": step}, extra=_extra, **options)


def _extra(folder: Path) -> None:
    (folder / "vocab.json").write_text("{}")


def step_of(run: Path) -> int:
    """The step that loads, its contents checked."""
    found = load_checkpoint(run)
    assert found.info == {"step": found.step}
    np.testing.assert_array_equal(found.arrays["a"], np.full(40, found.step))
    return found.step


def states_during(action: Callable[[], None], run: Path, where: Path) -> list[Path]:
    """Copies of `run` as a kill before any line of the saving code would leave it, each state once."""
    sources = {checkpoint.__file__, manifest.__file__, shutil.__file__}
    seen: set[tuple[tuple[str, int], ...]] = set()
    copies: list[Path] = []

    def state() -> tuple[tuple[str, int], ...]:
        return tuple(sorted((str(path), path.lstat().st_size) for path in run.rglob("*")))

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in sources:
            return None
        if event == "line":
            sys.settrace(None)
            if (now := state()) not in seen:
                seen.add(now)
                copies.append(where / str(len(copies)))
                shutil.copytree(run, copies[-1])
            sys.settrace(trace)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return copies


@pytest.mark.parametrize(
    ("earlier", "step", "options"),
    [
        ((), 1, {}),
        ((1,), 2, {}),
        ((1, 2), 3, {}),
        ((1, 2), 3, {"keep": 1}),
        ((1,), 1, {}),
        ((1, 2), 2, {"best": True}),
    ],
    ids=["first", "second", "third prunes", "keep one", "the same step", "the same step of two"],
)
def test_a_kill_before_any_line_of_a_save(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    earlier: tuple[int, ...],
    step: int,
    options: dict[str, Any],
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(checkpoint, "_CHUNK", 100)  # so that an array's file takes several writes
    run = tmp_path / "run"
    run.mkdir()
    for number in earlier:
        save(run, number)
    copies = states_during(lambda: save(run, step, **options), run, tmp_path)
    assert len(copies) > 12
    reached = set()
    for copy in copies:
        try:
            reached.add(step_of(copy))
        except CheckpointError:
            assert not earlier
        sweep(copy)
        assert not [path.name for path in copy.iterdir() if path.name.startswith(".")]
        if earlier:
            assert load_checkpoint(copy).passed_over == ()  # nothing half deleted is in sight
        save(copy, 9)
        assert step_of(copy) == 9
    assert reached == {*earlier[-1:], step}


def test_every_file_is_synced_before_the_manifest_and_the_folder_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    events: list[str] = []
    real_rename = os.rename

    def fsync(descriptor: int) -> None:
        information = os.fstat(descriptor)
        for path in [run, *run.rglob("*")]:
            if os.path.samestat(path.stat(), information):
                events.append("/".join(path.relative_to(tmp_path).parts[2:]) or path.name)

    def rename(source: Any, target: Any) -> None:
        events.append(f"-> {Path(target).name}")
        real_rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    save(run, 1)
    hidden = next(event for event in events if event.startswith(".saving-"))
    assert events == [
        "vocab.json", "arrays/a.npy", "arrays", "info.json", "manifest.json", hidden, "-> step-00000001", "run",
        "latest", "run",
    ]  # fmt: skip


SAVER = """
import sys
from pathlib import Path
import numpy as np
from sg_core.storage.checkpoint import load_checkpoint, save_checkpoint
from sg_core.errors import CheckpointError
run = Path(sys.argv[1])
try:
    step = load_checkpoint(run).step
except CheckpointError:
    step = 0
print("from", step, flush=True)
while True:
    step += 1
    extra = lambda folder: (folder / "vocab.json").write_text("{}")
    save_checkpoint(run, step, {"a": np.full(40, step, np.float64)}, {"step": step}, extra=extra)
    print("saved", step, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_real_kills_lose_nothing_that_was_announced(tmp_path: Path) -> None:
    chance = random.Random(5)
    announced = 0
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", SAVER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert int(process.stdout.readline().split()[1]) >= announced
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 0.05))
        process.kill()
        lines = process.stdout.read().splitlines()
        process.stdout.close()
        assert process.wait(60) == -signal.SIGKILL
        whole = [line for line in lines if line.startswith("saved ")]
        announced = max([announced, 1, *(int(line.split()[1]) for line in whole[:-1])])
        assert step_of(tmp_path) >= announced
