"""Numba and the folder of compiled kernels: loaded when it is good, compiled again when it is not."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import config
from numba.core import caching, event, registry, serialize

from sg_core import notices
from sg_core.kernels.cache import KernelCache
from sg_core.kernels.jit import entry, kernel
from sg_core.kernels.store import KernelStore


def doubled(values: Any) -> Any:
    for i in range(values.shape[0]):
        values[i] *= 2
    return values


class Compilations(event.Listener):
    """Counts what is really compiled."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, event: Any) -> None:
        self.count += event.data["dispatcher"].py_func is doubled

    def on_end(self, event: Any) -> None:
        """Nothing to do."""


@pytest.fixture
def compilations() -> Iterator[Compilations]:
    with event.install_listener("numba:compile", Compilations()) as counted:
        yield counted


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    lines: list[str] = []
    monkeypatch.setattr(notices, "_told", set())
    notices.listen(lines.append)
    yield lines
    notices.listen(None)


def run_anew(folder: Path, stamp: str = "sources") -> Any:
    """`doubled` as a program that has just started calls it; returns its dispatcher."""
    dispatcher: Any = kernel(doubled)
    dispatcher._cache = KernelCache(doubled, KernelStore(folder), stamp)
    assert dispatcher(np.arange(3.0)).tolist() == [0.0, 2.0, 4.0]
    return dispatcher


def test_a_kernel_is_compiled_once_and_then_loaded(tmp_path: Path, compilations: Compilations, told: list[str]) -> None:
    first, second = run_anew(tmp_path), run_anew(tmp_path)
    assert compilations.count == 1
    assert first._cache.kept() == second._cache.kept() == [["array(float64, 1d, C)"]]
    assert told == []


def test_each_list_of_argument_types_is_kept(tmp_path: Path, compilations: Compilations) -> None:
    for _ in range(2):
        dispatcher = run_anew(tmp_path)
        dispatcher(np.zeros(1, np.uint8))
    assert compilations.count == 2
    assert sorted(dispatcher._cache.kept()) == [["array(float64, 1d, C)"], ["array(uint8, 1d, C)"]]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "a bit": flip,
    "a folder": folder_in_its_place,
}


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_code_is_never_unpacked_but_compiled_again_told_once_and_kept_again(
    tmp_path: Path,
    compilations: Compilations,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    damage: Callable[[Path], object],
) -> None:
    run_anew(tmp_path)
    [path] = tmp_path.glob(f"*{suffix}")
    damage(path)
    with monkeypatch.context() as guarded:
        guarded.setattr(serialize, "loads", lambda code: pytest.fail("unpacked"))
        damaged = run_anew(tmp_path)
    assert compilations.count == 2
    [line] = told
    assert "damaged" in line
    run_anew(tmp_path)
    assert compilations.count == 2
    assert damaged._cache.kept() == [["array(float64, 1d, C)"]]


def test_code_that_this_numba_does_not_understand_is_compiled_again(
    tmp_path: Path, compilations: Compilations, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_anew(tmp_path)
    monkeypatch.setattr(serialize, "loads", lambda code: ("not", "what", "it", "packs"))
    run_anew(tmp_path)
    assert compilations.count == 2


def test_code_of_other_sources_is_ignored_and_stays(
    tmp_path: Path, compilations: Compilations, told: list[str]
) -> None:
    run_anew(tmp_path, "older")
    run_anew(tmp_path, "newer")
    run_anew(tmp_path, "older")
    assert compilations.count == 2
    assert told == []


@pytest.mark.parametrize("what", ["processor", "Numba", "Python", "setting"])
def test_code_for_another_machine_is_ignored(
    tmp_path: Path, compilations: Compilations, told: list[str], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    dispatcher = run_anew(tmp_path)
    foreign: dict[str, Callable[[], None]] = {
        "processor": lambda: monkeypatch.setattr(registry.cpu_target.target_context, "codegen", another_codegen),
        "Numba": lambda: monkeypatch.setattr("numba.__version__", "0.0"),
        "Python": lambda: monkeypatch.setattr(sys.implementation, "cache_tag", "cpython-10"),
        "setting": lambda: monkeypatch.setattr(config, "BOUNDSCHECK", 1),
    }
    foreign[what]()
    assert dispatcher._cache.kept() == []
    assert told == []


def another_codegen() -> Any:
    class Codegen:
        def magic_tuple(self) -> tuple[str, ...]:
            return ("x86_64-unknown-linux-gnu", "another", "+sse2")

    return Codegen()


def test_on_a_full_disk_it_computes_and_says_so_once(
    tmp_path: Path, compilations: Compilations, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    dispatcher = run_anew(tmp_path)
    dispatcher(np.zeros(1, np.uint8))
    [line] = told
    assert "no space left on device" in line
    assert list(tmp_path.iterdir()) == []


def test_two_processes_that_compile_at_once_both_compute(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(
        "import numpy as np\n"
        "from sg_core.kernels.jit import entry\n"
        "@entry\ndef half(values):\n    values[0] /= 2\n    return values\n"
        "print(half(np.ones(1))[0], sum(half._cache_hits.values()))\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kernels"), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(tmp_path / "work.py")]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=120)[0].split()[0] for process in both] == ["0.5", "0.5"]
    later = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert later.stdout.split() == ["0.5", "1"]
    assert later.stderr == ""


# ---------------------------------------------------------------- what is relied upon of Numba


def test_numba_asks_its_caches_for_what_ours_answers() -> None:
    assert set(caching._Cache.__abstractmethods__) <= set(vars(KernelCache))


def test_numba_looks_into_the_cache_that_entries_are_given(tmp_path: Path) -> None:
    assert isinstance(entry(doubled)._cache, KernelCache)  # type: ignore[attr-defined]
    plain: Any = kernel(doubled)
    assert isinstance(plain._cache, caching.NullCache)
    plain.enable_caching()
    assert isinstance(plain._cache, caching.FunctionCache)


def test_only_what_python_calls_is_kept() -> None:
    from sg_core.kernels.drawing import draw
    from sg_core.kernels.layernorm import layernorm_forward
    from sg_core.network.forward import forward

    kept: list[Any] = [draw, forward]
    assert all(isinstance(function._cache, KernelCache) for function in kept)
    part: Any = layernorm_forward
    assert isinstance(part._cache, caching.NullCache)


def test_without_compilation_there_is_one_line() -> None:
    code = "from sg_core.errors import KernelError\ntry:\n    import sg_core.gpt2\nexcept KernelError as e: print(e)"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
    )  # fmt: skip
    assert done.stdout.startswith("NUMBA_DISABLE_JIT is set")
    assert done.stderr == ""
