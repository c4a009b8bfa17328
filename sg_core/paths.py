"""Where things lie on the user's machine. SG_HOME, a folder, moves all of them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NAME = "sg-tui"


def cache_dir() -> Path:
    """What can be fetched or made again: models, datasets, compiled kernels.

    Like every function here but `assets_dir`, it makes the folder, readable by its owner alone, if it can;
    one that can't be made is returned all the same, and whoever writes into it gets the error.
    """
    return _private(_base("cache"))


def data_dir() -> Path:
    """What is the user's own: conversations, runs, checkpoints."""
    return _private(_base("data"))


def config_dir() -> Path:
    """Settings."""
    return _private(_base("config"))


def models_dir() -> Path:
    """Models fetched from the Hub."""
    return _private(cache_dir() / "models")


def datasets_dir() -> Path:
    """Training texts that were downloaded."""
    return _private(cache_dir() / "datasets")


def kernels_dir() -> Path:
    """Compiled kernels."""
    return _private(cache_dir() / "kernels")


def runs_dir() -> Path:
    """Training runs with their checkpoints."""
    return _private(data_dir() / "runs")


def assets_dir() -> Path:
    """The folder of the shipped models: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "assets"
    return installed if installed.is_dir() else package.parent / "assets"


def _base(kind: str) -> Path:
    home = os.environ.get("SG_HOME")
    if home:
        return Path(os.path.expanduser(home)).absolute() / kind
    from platformdirs import PlatformDirs

    folders = PlatformDirs(NAME, appauthor=False)
    return {
        "cache": folders.user_cache_path,
        "data": folders.user_data_path,
        "config": folders.user_config_path,
    }[kind]


def _private(folder: Path) -> Path:
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
