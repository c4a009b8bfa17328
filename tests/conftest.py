"""No test needs a network, and none sees more of this machine than it is told of.

Sockets reach this machine alone; programs started by a test find a proxy that nobody runs. The real training text is
hidden from the tests but for those that ask for `real_dataset`. Generated examples are the same in every run;
`pytest --hypothesis-profile=search` looks for new ones.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("search", derandomize=False)
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile("same")

FILE = "tinyshakespeare.txt"
_KEPT = "SG_DATASETS_OF_TESTS"  # where processes that run a part of the tests find it
if found := os.environ.pop("SG_DATASETS", None):
    os.environ[_KEPT] = found
_FOUND = os.environ.get(_KEPT)
_LOCAL = ("127.0.0.1", "::1", "localhost", "", None)

for name in [name for name in os.environ if name.startswith(("HF_", "HUGGINGFACE_", "TRANSFORMERS_"))]:
    del os.environ[name]  # the cache and the token of whoever runs the tests
for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ[name] = os.environ[name.lower()] = "http://127.0.0.1:9"
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"


def _only_this_machine(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        host = arguments[1][0] if isinstance(arguments[1], tuple) else None  # a path is a local socket
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if host not in _LOCAL:
        raise OSError(f"a test asked for the network: {event} {host!r}")


sys.addaudithook(_only_this_machine)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the real training text are marked `dataset`."""
    for item in items:
        if "real_dataset" in getattr(item, "fixturenames", ()):
            item.add_marker("dataset")


@pytest.fixture
def real_dataset(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of tinyshakespeare in the folder SG_DATASETS; where it is missing the test is skipped, and says so."""
    path = Path(_FOUND or "", FILE)
    if _FOUND is None or not path.is_file():
        pytest.skip(f"{FILE} is not on this machine: name its folder in SG_DATASETS to run this test too")
    monkeypatch.setenv("SG_DATASETS", _FOUND)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SG_HOME in a temporary folder; no clipboard tool, no tmux, no NO_COLOR of the surroundings."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SG_HOME", str(folder))
    for name in ("TMUX", "NO_COLOR", "WAYLAND_DISPLAY", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(autouse=True)
def _a_home_of_its_own(request: pytest.FixtureRequest) -> None:
    """Every test of the app and the commands has one, of a person who was here before."""
    if "tui" in request.path.parts:
        settings = request.getfixturevalue("home") / "config" / "settings.toml"
        settings.parent.mkdir(mode=0o700, parents=True)
        settings.touch()


@pytest.fixture(autouse=True)
def _many_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight, whatever this machine gives: that results do not depend on threads is shown with more than it has."""
    monkeypatch.setattr("sg_core.processors.usable_processors", lambda: 8)
