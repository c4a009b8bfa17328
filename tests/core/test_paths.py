"""The folders of the user: SG_HOME moves all, they are private, nothing is made before it is asked for."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sg_core import paths


def test_sg_home_moves_every_folder_and_they_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SG_HOME", str(tmp_path / "home"))
    folders = {
        "cache": paths.cache_dir(), "data": paths.data_dir(), "config": paths.config_dir(),
        "cache/models": paths.models_dir(), "cache/datasets": paths.datasets_dir(),
        "cache/kernels": paths.kernels_dir(), "data/runs": paths.runs_dir(),
    }  # fmt: skip
    for name, folder in folders.items():
        assert folder == tmp_path / "home" / name
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_sg_home_the_platform_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SG_HOME", raising=False)
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.cache_dir().name == paths.data_dir().name == paths.config_dir().name == "sg-tui"
    assert paths.cache_dir().is_relative_to(tmp_path)


def test_a_folder_that_cannot_be_made_is_still_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SG_HOME", str(tmp_path / "file"))
    assert paths.models_dir() == tmp_path / "file" / "cache" / "models"


def test_importing_makes_nothing(tmp_path: Path) -> None:
    code = "import sg_core.paths, sg_core.training.dataset, sg_core.text.tokenizer, sg_core.storage.download"
    root = Path(paths.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], env={"SG_HOME": str(tmp_path / "home")}, cwd=root, check=True)
    assert not (tmp_path / "home").exists()


def test_the_assets_are_beside_the_package_in_a_checkout() -> None:
    assert paths.assets_dir().parent in (Path(paths.__file__).parent, Path(paths.__file__).parents[1])
