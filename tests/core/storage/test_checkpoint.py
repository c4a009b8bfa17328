"""Checkpoints: exact round trip, damage seen, older ones stand in, a failed or killed save loses nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sg_core.errors import CheckpointError, ModelFileError
from sg_core.storage import checkpoint
from sg_core.storage.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, sweep

INFO = {"loss": 0.1 + 0.2, "seed": 2**63 - 1, "name": "тест\n", "nested": {"none": None, "list": [1, 2.5]}}


def arrays_of(step: int) -> dict[str, npt.NDArray[Any]]:
    return {"weights": np.full((5, 7), step, np.float32), "ids": np.arange(step, step + 20)}


def save(run: Path, step: int, **options: Any) -> Path:
    return save_checkpoint(run, step, arrays_of(step), {"step": step}, **options)


def require_exact(found: Checkpoint, step: int) -> None:
    assert found.step == step
    assert found.info == {"step": step}
    assert set(found.arrays) == set(arrays_of(step))
    for name, array in arrays_of(step).items():
        np.testing.assert_array_equal(found.arrays[name], array)


def names(run: Path) -> list[str]:
    return sorted(path.name for path in run.iterdir())


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


# ---------------------------------------------------------------- round trip


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(["<f4", "<f8", "<i8", "<u8", "<i4", "|b1", "|u1", ">f4", "<f2"]),
    shape=st.lists(st.integers(0, 4), max_size=3).map(tuple),
    data=st.data(),
)
def test_every_bit_comes_back(dtype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    array = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), kind).reshape(shape)
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder), 1, {"a.b": array, "f": np.array(array, order="F")}, INFO)
        found = load_checkpoint(Path(folder))
    for name in ("a.b", "f"):
        assert (found.arrays[name].dtype, found.arrays[name].shape) == (array.dtype, array.shape)
        assert found.arrays[name].tobytes() == array.tobytes()
    assert found.info == INFO


def test_arrays_are_plain_npy_files_that_can_be_written_to_after_loading(run: Path) -> None:
    folder = save(run, 3)
    np.testing.assert_array_equal(np.load(folder / "arrays" / "weights.npy"), arrays_of(3)["weights"])
    load_checkpoint(run).arrays["weights"][...] = 1


def test_a_view_that_is_not_contiguous(run: Path) -> None:
    array = np.arange(24.0).reshape(4, 6)[::2, ::-3].T
    save_checkpoint(run, 1, {"a": array}, {})
    np.testing.assert_array_equal(load_checkpoint(run).arrays["a"], array)


def test_neither_saving_nor_loading_copies_the_arrays(run: Path) -> None:
    array = np.ones(1 << 22)  # 32 MB
    tracemalloc.start()
    try:
        save_checkpoint(run, 1, {"big": array}, {})
        assert tracemalloc.get_traced_memory()[1] < 4e6
        load_checkpoint(run)
        assert tracemalloc.get_traced_memory()[1] < array.nbytes + 4e6
    finally:
        tracemalloc.stop()


def test_what_never_changes_in_a_run_is_written_once_and_stays_in_its_file(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LARGE", 100)
    first = save(run, 1, constant=["ids", "weights"])
    second = save_checkpoint(run, 2, arrays_of(1), {}, constant=["ids"], source=first)
    other = save_checkpoint(run, 3, arrays_of(3), {}, constant=["ids"], keep=3)  # of another run, for all we know

    def file(folder: Path, name: str) -> os.stat_result:
        return (folder / "arrays" / f"{name}.npy").stat()

    assert file(first, "ids").st_ino == file(second, "ids").st_ino != file(other, "ids").st_ino
    assert file(first, "weights").st_ino != file(second, "weights").st_ino
    found = load_checkpoint(second, mapped=["ids"]).arrays
    assert found["ids"].tolist() == arrays_of(1)["ids"].tolist()
    assert not found["ids"].flags.writeable
    assert found["weights"].flags.writeable
    (second / "arrays" / "ids.npy").write_bytes(bytes(file(second, "ids").st_size))
    with pytest.raises(CheckpointError, match="SHA-256"):
        load_checkpoint(second, mapped=["ids"])


def test_where_files_can_not_have_two_names_they_are_written(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(checkpoint, "LARGE", 100)
    monkeypatch.setattr(os, "link", refuse)
    first = save(run, 1, constant=["ids"])
    second = save_checkpoint(run, 2, arrays_of(1), {}, constant=["ids"], source=first)
    assert load_checkpoint(second).arrays["ids"].tolist() == arrays_of(1)["ids"].tolist()


def test_the_name_of_the_newest_for_people(run: Path) -> None:
    save(run, 1)
    assert save(run, 1234) == run / "step-00001234"
    assert (run / "latest").read_text() == "step-00001234\n"
    (run / "latest").write_text("rubbish")
    require_exact(load_checkpoint(run), 1234)


def test_one_checkpoint_of_a_run_can_be_named(run: Path) -> None:
    first = save(run, 1)
    save(run, 2)
    require_exact(load_checkpoint(first), 1)


def test_files_of_the_caller_are_listed_and_verified(run: Path) -> None:
    def extra(folder: Path) -> None:
        (folder / "model").mkdir()
        (folder / "model" / "vocab.json").write_text("{}")

    save(run, 1)
    folder = save(run, 2, extra=extra)
    require_exact(load_checkpoint(run), 2)
    assert "model/vocab.json" in json.loads((folder / "manifest.json").read_text())["files"]
    (folder / "model" / "vocab.json").write_text("[]")
    require_exact(load_checkpoint(run), 1)


# ---------------------------------------------------------------- damage


def damages(size: int) -> list[Callable[[bytes], bytes | None]]:
    """What can become of a file's bytes; None: it is gone."""

    def cut(length: int) -> Callable[[bytes], bytes]:
        return lambda data: data[:length]

    cuts = [cut(length) for length in {0, 1, size // 3, size // 2, size - 2, size - 1}]
    return [lambda data: None, lambda data: data + b"\0", lambda data: bytes(len(data)), *cuts]


def test_a_torn_missing_or_longer_file_makes_the_older_checkpoint_stand_in(run: Path) -> None:
    save(run, 1)
    folder = save(run, 2)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 4
    for path in files:
        whole = path.read_bytes()
        for damage in damages(len(whole)):
            path.unlink()
            if (damaged := damage(whole)) is not None:
                path.write_bytes(damaged)
            found = load_checkpoint(run)
            require_exact(found, 1)
            assert path.name in found.passed_over[0]
            path.write_bytes(whole)
    require_exact(load_checkpoint(run), 2)


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("two") / "run"
    save(run, 1)
    save(run, 2)
    return run


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 3), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_seen(two_checkpoints: Path, which: int, place: float, bit: int) -> None:
    path = sorted(path for path in (two_checkpoints / "step-00000002").rglob("*") if path.is_file())[which]
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[int(place * len(whole))] ^= 1 << bit
    path.write_bytes(damaged)
    try:
        found = load_checkpoint(two_checkpoints)
        # white space in manifest.json may change (a blank becomes "\x00", say: not JSON; or stays white: the same)
        require_exact(found, 2 if path.name == "manifest.json" and not found.passed_over else 1)
    finally:
        path.write_bytes(whole)


def test_a_fifo_in_place_of_a_file_does_not_hang(run: Path) -> None:
    save(run, 1)
    info = save(run, 2) / "info.json"
    info.unlink()
    os.mkfifo(info)
    require_exact(load_checkpoint(run), 1)


def test_nothing_good_left_is_said_in_one_line(run: Path) -> None:
    for step in (1, 2):
        (save(run, step) / "info.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"step-00000002/info\.json can't be read.*1 more.*start a new run"
    ) as caught:
        load_checkpoint(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("there", [True, False])
def test_a_place_without_checkpoints_is_named(run: Path, there: bool) -> None:
    if there:
        run.mkdir()
    with pytest.raises(CheckpointError, match="holds no checkpoint" if there else "there is no run at"):
        load_checkpoint(run)


def rewrite_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    del manifest["sha256"]
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    path.write_text(json.dumps(manifest | {"sha256": hashlib.sha256(text.encode()).hexdigest()}))


def test_a_newer_format_is_refused_with_its_number_and_kept(run: Path) -> None:
    save(run, 1)
    folder = save(run, 2)
    rewrite_manifest(folder, format=7)
    for use in (load_checkpoint, lambda run: save(run, 3)):
        with pytest.raises(CheckpointError, match=r"format 7.*update"):
            use(run)
    os.rename(folder, run / ".replaced-step-00000002")
    sweep(run)
    assert folder.is_dir()


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../../b"])
def test_a_manifest_that_points_outside_is_not_followed(run: Path, name: str) -> None:
    folder = save(run, 1)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    rewrite_manifest(folder, files=files | {name: {"size": 0, "sha256": ""}})
    with pytest.raises(CheckpointError, match="outside"):
        load_checkpoint(run)


# ---------------------------------------------------------------- pruning


def test_the_newest_and_the_best_are_kept(run: Path) -> None:
    for step in range(1, 8):
        save(run, step, best=step in (2, 3), keep=2)
    assert names(run) == ["latest", "step-00000003", "step-00000006", "step-00000007"]


def test_the_one_just_saved_is_always_kept(run: Path) -> None:
    save(run, 1)
    save(run, 2, keep=0)
    assert names(run) == ["latest", "step-00000002"]


def test_damaged_checkpoints_do_not_count_as_kept(run: Path) -> None:
    save(run, 1)
    (save(run, 2) / "arrays" / "ids.npy").unlink()
    save(run, 3)
    require_exact(load_checkpoint(run / "step-00000001"), 1)


def test_a_run_that_starts_again_at_a_lower_step_goes_on_from_there(run: Path) -> None:
    for step in (100, 200, 10, 20):
        save(run, step)
    require_exact(load_checkpoint(run), 20)
    assert names(run) == ["latest", "step-00000010", "step-00000020"]


def test_saving_a_step_again_replaces_it(run: Path) -> None:
    save(run, 5)
    save_checkpoint(run, 5, {"other": np.zeros(1)}, {})
    assert list(load_checkpoint(run).arrays) == ["other"]
    assert names(run) == ["latest", "step-00000005"]


# ---------------------------------------------------------------- failing saves


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("function", ["fsync", "rename", "replace"])
def test_a_failing_disk_is_named_and_harms_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch, code: int, function: str
) -> None:
    save(run, 1)
    real = getattr(os, function)
    failures = 0
    while True:
        calls = iter(range(100))

        def fails_once(*arguments: Any, calls: Any = calls, which: int = failures) -> Any:
            if next(calls) == which:
                raise OSError(code, os.strerror(code))
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, function, fails_once)
            message = message_of_save(run, 2)
        assert not [name for name in names(run) if name.startswith(".")]
        require_exact(load_checkpoint(run / "step-00000001"), 1)
        if message is None:
            break
        failures += 1
        assert message.startswith(f"the checkpoint of step 2 can't be written in {run}")
        assert os.strerror(code).lower() in message
        require_exact(load_checkpoint(run), load_checkpoint(run).step)
    assert failures >= {"fsync": 7, "rename": 1, "replace": 1}[function]
    require_exact(load_checkpoint(run), 2)


def message_of_save(run: Path, step: int) -> str | None:
    """What the save complains of, None when it succeeds."""
    try:
        save(run, step)
    except CheckpointError as problem:
        return str(problem)
    return None


def test_a_write_that_the_system_refuses(run: Path) -> None:
    resource = pytest.importorskip("resource")
    save(run, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(CheckpointError, match="file too large"):
            save_checkpoint(run, 2, {"big": np.zeros(5000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(run) == ["latest", "step-00000001"]
    require_exact(load_checkpoint(run), 1)


def test_a_place_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file"):
        save(tmp_path / "file", 1)


def test_what_can_not_be_saved_is_refused(run: Path) -> None:
    def broken(folder: Path) -> None:
        raise ModelFileError("vocab.json can't be written: no space left")

    attempts: list[tuple[dict[str, Any], dict[str, Any], Callable[[Path], None] | None]] = [
        ({"x": np.array(["text"])}, {}, None),
        ({"../x": np.zeros(1)}, {}, None),
        ({}, {"loss": float("nan")}, None),
        ({}, {"what": object()}, None),
        ({}, {}, broken),
        ({}, {}, lambda folder: (folder / "arrays").mkdir()),
    ]
    save(run, 1)
    for arrays, info, extra in attempts:
        with pytest.raises(CheckpointError):
            save_checkpoint(run, 2, arrays, info, extra)
        assert names(run) == ["latest", "step-00000001"]


def test_sweep_leaves_everything_else(run: Path) -> None:
    save(run, 1)
    (run / "notes.txt").write_text("mine")
    for leftover in (".saving-abc", ".pruned-step-00000000"):
        shutil.copytree(run / "step-00000001", run / leftover)
    sweep(run)
    assert names(run) == ["latest", "notes.txt", "step-00000001"]
    sweep(run / "missing")
