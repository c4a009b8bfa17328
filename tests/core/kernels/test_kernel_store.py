"""Compiled kernels as files: whatever is wrong with them, what is read is what was written, or nothing."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sg_core import notices
from sg_core.kernels.store import KernelStore, sweep_versions

KEY, CODE = "ab" * 32, bytes(range(256)) * 20


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a person would read."""
    lines: list[str] = []
    monkeypatch.setattr(notices, "_told", set())
    notices.listen(lines.append)
    yield lines
    notices.listen(None)


@pytest.fixture
def store(tmp_path: Path) -> KernelStore:
    """With one kernel in it."""
    kept = KernelStore(tmp_path / "kernels")
    kept.save("op.forward", ["int64"], KEY, CODE)
    return kept


def seal_of(store: KernelStore) -> Path:
    [path] = store.folder.glob("*.nbi")
    return path


def code_of(store: KernelStore) -> Path:
    [path] = store.folder.glob("*.nbc")
    return path


FILES = {"seal": seal_of, "code": code_of}
either_file = pytest.mark.parametrize("file", FILES.values(), ids=FILES)


def test_what_was_kept_is_read_by_the_next_process(store: KernelStore, told: list[str]) -> None:
    again = KernelStore(store.folder)
    assert again.load("op.forward", KEY) == CODE
    [seal], damaged = again.survey()
    assert (seal.kernel, seal.types, seal.key, damaged) == ("op.forward", ["int64"], KEY, 0)
    assert again.survey("op.other") == ([], 0)
    assert told == []


def test_other_kernels_and_keys_find_nothing(store: KernelStore, told: list[str]) -> None:
    assert store.load("op.other", KEY) is None
    assert store.load("op.forward", "cd" * 32) is None
    assert store.load("op.forward", KEY[:16] + "cd" * 24) is None  # a name alike is not enough
    assert told == []


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("x")


def pipe_in_its_place(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def loop_in_its_place(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "garbage": lambda path: path.write_bytes(bytes(i * 37 % 256 for i in range(200))),
    "a folder": folder_in_its_place,
    "a pipe": pipe_in_its_place,
    "a loop": loop_in_its_place,
}


@either_file
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_nothing_told_once_and_replaced(
    store: KernelStore, told: list[str], file: Callable[[KernelStore], Path], damage: Callable[[Path], object]
) -> None:
    damage(file(store))
    assert store.load("op.forward", KEY) is None
    assert store.load("op.forward", KEY) is None
    [line] = told
    assert "damaged" in line
    assert "compiled again" in line
    assert str(store.folder) in line
    assert store.survey() == ([], 1)
    store.save("op.forward", ["int64"], KEY, CODE)
    assert store.load("op.forward", KEY) == CODE
    assert store.survey()[1] == 0


@either_file
def test_every_single_flipped_bit_is_found(
    store: KernelStore, told: list[str], file: Callable[[KernelStore], Path]
) -> None:
    path = file(store)
    good = path.read_bytes()
    for byte in range(0, len(good), 7):
        flipped = bytearray(good)
        flipped[byte] ^= 1 << byte % 8
        path.write_bytes(flipped)
        assert store.load("op.forward", KEY) is None
    assert len(told) == 1


def mutate(good: bytes, chance: random.Random) -> bytes:
    """Bytes as a bad disk, a cut copy or a wrong program leaves them."""
    data = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        kind, place = chance.randrange(5), chance.randrange(len(data) + 1)
        if kind == 0 and data:
            data[min(place, len(data) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            data[place:place] = chance.randbytes(chance.randint(1, 64))
        elif kind == 3:
            del data[place : place + chance.randint(1, 64)]
        else:
            data[place : place + 16] = bytes(16)
    return bytes(data)


def fuzz(store: KernelStore, rounds: int) -> None:
    chance, files = random.Random(7), [seal_of(store), code_of(store)]
    good = {path: path.read_bytes() for path in files}
    for _ in range(rounds):
        path = chance.choice(files)
        mutated = mutate(good[path], chance)
        path.write_bytes(mutated)
        found = store.load("op.forward", KEY)
        assert found == (CODE if mutated == good[path] else None)
        path.write_bytes(good[path])


def test_mutated_files_are_nothing(store: KernelStore, told: list[str]) -> None:
    fuzz(store, 2000)
    assert len(told) == 1


@pytest.mark.slow
def test_57_000_mutated_files_are_nothing(store: KernelStore, told: list[str]) -> None:
    fuzz(store, 57_000)
    assert len(told) == 1


def test_lost_code_is_nothing_to_speak_of(store: KernelStore, told: list[str]) -> None:
    code_of(store).unlink()
    assert store.load("op.forward", KEY) is None
    assert store.survey() == ([], 0)
    assert told == []


# ---------------------------------------------------------------- whose it is


@either_file
def test_what_others_may_have_written_is_not_read(
    store: KernelStore, told: list[str], file: Callable[[KernelStore], Path]
) -> None:
    file(store).chmod(0o666)
    assert store.load("op.forward", KEY) is None
    [line] = told
    assert "not used" in line


def test_what_another_user_owns_is_not_read_and_nothing_is_put_there(
    store: KernelStore, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(store.folder.iterdir())
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert store.load("op.forward", KEY) is None
    store.save("op.other", ["int64"], KEY, CODE)
    assert sorted(store.folder.iterdir()) == before
    assert "others than you own it" in store.refusal()
    not_read, not_kept = told
    assert "not used" in not_read
    assert "can't be kept" in not_kept


def test_the_folder_is_its_owners_alone(store: KernelStore) -> None:
    assert store.folder.stat().st_mode & 0o777 == 0o700


# ---------------------------------------------------------------- where nothing can be written


def failing(code: int) -> Callable[..., None]:
    def fail(*arguments: object, **named: object) -> None:
        raise OSError(code, os.strerror(code), "somewhere")

    return fail


@pytest.mark.parametrize("operation", ["tempfile.mkstemp", "os.fsync", "os.replace", "pathlib.Path.mkdir"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_where_nothing_can_be_kept_that_is_told_once(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch, operation: str, code: int
) -> None:
    store = KernelStore(tmp_path / "kernels")
    with monkeypatch.context() as broken:
        broken.setattr(operation, failing(code))
        store.save("op.forward", ["int64"], KEY, CODE)
        store.save("op.other", ["int64"], KEY, CODE)
        assert store.refusal() == os.strerror(code).lower()
    [line] = told
    assert f"can't be kept in {store.folder}: {os.strerror(code).lower()}" in line
    assert "in memory" in line
    assert list(tmp_path.rglob("*.*")) == []  # nothing half-written
    assert store.refusal() == ""
    assert list(tmp_path.rglob("*.*")) == []  # nor what the question left


def test_what_is_there_is_read_where_only_writing_is_forbidden(
    store: KernelStore, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for operation in ("tempfile.mkstemp", "os.replace", "pathlib.Path.mkdir"):
        monkeypatch.setattr(operation, failing(errno.EROFS))
    assert store.load("op.forward", KEY) == CODE
    assert told == []


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path, told: list[str]) -> None:
    (tmp_path / "kernels").write_text("x")
    store = KernelStore(tmp_path / "kernels")
    assert store.load("op.forward", KEY) is None
    store.save("op.forward", ["int64"], KEY, CODE)
    [line] = told
    assert "can't be kept" in line


# ---------------------------------------------------------------- killed, and several at once


class Killed(BaseException):
    """The process ends here."""


def ending(monkeypatch: pytest.MonkeyPatch, after: int, end: BaseException) -> list[str]:
    """So many operations on files succeed, all later ones end; the list grows with what was done."""
    done: list[str] = []

    def counted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **named: object) -> object:
            if len(done) >= after:
                raise end
            done.append(name)
            return real(*arguments, **named)

        return step

    for owner, name in ((os, "replace"), (os, "fsync"), (os, "chmod"), (os, "unlink"), (tempfile, "mkstemp")):
        monkeypatch.setattr(owner, name, counted(name, getattr(owner, name)))
    return done


@pytest.mark.parametrize("end", [Killed(), OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "bad")], ids=repr)
@pytest.mark.parametrize("old", [None, b"old code"])
def test_killed_or_failing_at_any_moment_of_a_save_it_leaves_the_old_the_new_or_nothing(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch, old: bytes | None, end: BaseException
) -> None:
    for after in itertools.count():
        store = KernelStore(tmp_path / str(after))
        if old is not None:
            store.save("op.forward", ["int64"], KEY, old)
        with monkeypatch.context() as patch:
            done = ending(patch, after, end)
            with contextlib.suppress(Killed):
                store.save("op.forward", ["int64"], KEY, CODE)
        found = KernelStore(store.folder).load("op.forward", KEY)
        assert found in (old, CODE)
        if len(done) < after:  # it lived to the end
            assert found == CODE
            break
    assert after > 6
    assert not any("damaged" in line for line in told)


def test_two_that_compile_at_once_leave_a_good_pair(tmp_path: Path, told: list[str]) -> None:
    """The code of a kernel need not be the same bytes twice."""
    folder = tmp_path / "kernels"
    first, second = KernelStore(folder), KernelStore(folder)
    first.save("op.forward", ["int64"], KEY, b"first")
    seal = seal_of(first).read_bytes()
    second.save("op.forward", ["int64"], KEY, b"second")
    seal_of(first).write_bytes(seal)  # the slower one seals last
    assert KernelStore(folder).load("op.forward", KEY) == b"first"
    assert told == []


def test_left_overs_of_killed_writers_go_when_they_are_old(store: KernelStore) -> None:
    stem = seal_of(store).stem
    part, orphan, fresh = (store.folder / name for name in (".x.1.part", f"{stem}.0.nbc", f"{stem}.1.nbc"))
    for path in (part, orphan, fresh):
        path.write_bytes(b"x")
    for path in (part, orphan):
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    store.save("op.forward", ["int64"], KEY, CODE)
    assert {path.name for path in store.folder.iterdir()} >= {fresh.name}
    assert not part.exists()
    assert not orphan.exists()
    assert store.load("op.forward", KEY) == CODE


# ---------------------------------------------------------------- older versions


def test_of_older_versions_only_the_newest_are_left(tmp_path: Path) -> None:
    names = [f"{number:016x}" for number in range(6)]
    for age, name in enumerate(names):
        (tmp_path / name / "inner").mkdir(parents=True)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    (tmp_path / "notes").mkdir()
    (tmp_path / ("f" * 16)).symlink_to(tmp_path / "notes")
    sweep_versions(tmp_path / names[3])
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {names[0], names[1], names[3], "notes", "f" * 16}


def test_beside_a_folder_that_the_user_chose_nothing_is_removed(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number:016x}").mkdir()
    (tmp_path / "mine").mkdir()
    sweep_versions(tmp_path / "mine")
    assert len(list(tmp_path.iterdir())) == 7
