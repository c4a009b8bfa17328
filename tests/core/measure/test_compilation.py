"""Whether kernels are compiled is told without compiling them."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sg_core.kernels import jit
from sg_core.kernels.jit import CACHE_FOLDER
from sg_core.kernels.store import KernelStore
from sg_core.measure.compilation import cache_description, compiled, warm_up


@pytest.fixture(scope="module", autouse=True)
def _kernels() -> None:
    warm_up()
    warm_up(precision="int8")


def told_by_a_new_process(folder: str) -> str:
    code = "from sg_core.measure.compilation import compiled; print(compiled(), compiled('bf16'), compiled('int4'))"
    environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_what_was_compiled_here_is_known() -> None:
    assert compiled()
    assert compiled("int4")


def test_what_another_process_compiled_is_known() -> None:
    assert told_by_a_new_process(CACHE_FOLDER) == "True True True"


def test_an_empty_cache_is_known(tmp_path: Path) -> None:
    assert told_by_a_new_process(str(tmp_path)) == "False False False"


def test_what_is_damaged_is_not_called_compiled(tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    shutil.copytree(CACHE_FOLDER, folder)
    for path in folder.glob("forward.*.nbc"):
        path.write_bytes(path.read_bytes()[:-1])
    assert told_by_a_new_process(str(folder)) == "False False False"


def test_the_folder_is_described_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KernelStore(tmp_path / "kernels")
    monkeypatch.setattr(jit, "STORE", store)
    assert cache_description() == f"in {tmp_path / 'kernels'}"
    store.save("op.forward", ["int64"], "ab" * 32, b"code")
    [seal] = store.folder.glob("*.nbi")
    seal.write_bytes(b"")
    assert "1 damaged there" in cache_description()

    def forbidden(*arguments: object, **named: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.mkstemp", forbidden)
    assert "nothing can be written there (read-only file system): new ones stay in memory only" in cache_description()


def test_progress_names_every_step_and_ends() -> None:
    told: list[tuple[str, int, int]] = []
    warm_up(progress=lambda *step: told.append(step), precision="int8")
    assert [done for _, done, _ in told] == [0, 1, 2]
    assert {total for _, _, total in told} == {2}
    assert all(name for name, _, _ in told[:-1])


@pytest.mark.parametrize(("features", "lanes"), [("+avx2,+fma", "8"), ("+avx2,+fma,+avx512f", "16")])
def test_vectors_are_as_wide_as_those_numba_compiles_for(features: str, lanes: str) -> None:
    environment = os.environ | {"NUMBA_CPU_FEATURES": features}
    code = "from sg_core.kernels.simd import LANES; print(LANES)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == lanes


def test_with_the_window_compiled_ahead_looking_and_muting_never_wait() -> None:
    from sg_core import GPT2, GPT2Config, Interventions, Probes
    from sg_core.network.forward import forward

    warm_up(window=True)
    known = list(forward.signatures)  # type: ignore[attr-defined]  # Numba's
    session = GPT2.random(GPT2Config(vocab_size=20, n_ctx=16, n_layer=2, n_head=2, n_embd=16)).session()
    for token in session.generate([1, 2], max_tokens=4):
        assert token.ms > 0
        session.probes = Probes("*")
        session.interventions = session.interventions.scale_head(0, 1, 0.5)
    assert isinstance(session.interventions, Interventions)
    assert list(forward.signatures) == known  # type: ignore[attr-defined]
    assert compiled()
