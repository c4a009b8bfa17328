"""`sg-tui models` and `sg-tui doctor`."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_support import failure, make_model

from sg_core import paths
from sg_core.errors import DownloadError
from sg_core.kernels.bandwidth import ReadBandwidth
from sg_core.kernels.simd import LANES
from sg_core.storage import hub_cache, pull
from sg_tui.cli import main

ID = "openai-community/gpt2"


@pytest.fixture
def fetched(home: Path) -> Path:
    """A model as `models pull` leaves it."""
    return make_model(paths.models_dir() / "openai-community--gpt2")


def test_fetched_models_are_listed_found_and_run(fetched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["models"], ["models", "list"]):
        assert main(command) == 0
        [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith(ID)]
        assert line.split()[1:] == ["0.1", "MB", "fetched", str(fetched)]
    assert main(["models", "path", ID]) == 0
    assert capsys.readouterr().out == f"{fetched}\n"
    assert main(["complete", "The", "--max-tokens", "2", "--model", ID]) == 0


def test_shipped_models_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path / "small")
    monkeypatch.setattr(paths, "assets_dir", lambda: tmp_path)
    assert main(["models"]) == 0
    assert capsys.readouterr().out.split()[0:4] == ["small", "0.1", "MB", "shipped"]


def test_pull_prints_the_folder(
    fetched: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def pull_model(id: str, progress: Callable[[str, int, int], None]) -> pull.Pulled:
        asked.append(id)
        progress("model.safetensors", 5_000_000, 20_000_000)
        return pull.Pulled(fetched, "verified by its looks")

    monkeypatch.setattr(pull, "pull", pull_model)
    assert main(["models", "pull", ID]) == 0
    out, err = capsys.readouterr()
    assert asked == [ID]
    assert out == f"{fetched}\n"
    assert f"{ID} is here (verified by its looks); use it with --model {ID}" in err


def test_a_download_that_fails_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def pull_model(id: str, progress: object) -> pull.Pulled:
        raise DownloadError("the line is dead")

    monkeypatch.setattr(pull, "pull", pull_model)
    assert failure(capsys, 1, "models", "pull", ID) == "sg-tui models: the line is dead"


@pytest.mark.parametrize("id", ["../../x", "https://example.org/x", "a\x1b[2Jb"])
@pytest.mark.parametrize("action", ["pull", "path", "remove"])
def test_hostile_ids_are_refused(capsys: pytest.CaptureFixture[str], action: str, id: str) -> None:
    assert "\x1b" not in failure(capsys, 1, "models", action, id)


@pytest.fixture
def cached(home: Path) -> Path:
    """A model in the cache of huggingface_hub; its snapshot."""
    return make_model(hub_cache.repository(ID) / "snapshots" / ("a" * 40))


def test_a_model_in_the_cache_is_listed_and_removed(cached: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith(ID)]
    assert line.split()[1:] == ["0.1", "MB", "hub", "cache", str(cached)]
    assert main(["models", "remove", ID]) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"{hub_cache.repository(ID)}  0.1 MB",
        f"{ID} is gone: 0.1 MB",
    ]
    assert not hub_cache.repository(ID).exists()
    assert "is not on this machine" in failure(capsys, 1, "models", "remove", ID)


def test_what_other_programs_share_is_removed_after_a_yes_alone(
    cached: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(hub_cache.cache_folder()))
    said = failure(capsys, 1, "models", "remove", ID)
    assert said == f"sg-tui models: {ID} lies in a cache that other programs share; to delete it all the same: --yes"
    assert cached.exists()
    for answer, code, gone in (("n\n", 1, False), ("\n", 1, False), ("y\n", 0, True)):
        terminal = io.StringIO(answer)
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", terminal)
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        assert main(["models", "remove", ID]) == code
        assert cached.exists() is not gone
        assert "which other programs may use too" in capsys.readouterr().err


def test_yes_does_not_ask(cached: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(hub_cache.cache_folder()))
    assert main(["models", "remove", ID, "--yes"]) == 0
    assert not cached.exists()


def test_unknown_actions_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "invalid choice: 'push'" in failure(capsys, 2, "models", "push")


# ---------------------------------------------------------------- doctor


@pytest.fixture(autouse=True)
def rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReadBandwidth, "measure", lambda self: 12.5e9)


def test_doctor_shows_the_machine(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = {line[:15].strip(): line[16:] for line in capsys.readouterr().out.splitlines()}
    assert lines["cache folder"] == str(home / "cache")
    assert lines["data folder"] == str(home / "data")
    assert lines["settings folder"] == str(home / "config")
    assert lines["read rate"].startswith("12.5 GB/s with 1")
    assert "numba 0." in lines["packages"]
    assert "compiled" in lines["kernels"]
    assert f"{LANES} float32 numbers at a time" in lines["vectors"]
    assert {"sg-tui", "python", "system", "models", "terminal", "cpu", "cores", "threads", "memory"} < set(lines)


def test_doctor_goes_on_where_something_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SG_HOME", str(tmp_path / "file"))

    def broken() -> bool:
        raise RuntimeError("the compiler\nis gone")

    monkeypatch.setattr("sg_core.measure.compilation.compiled", broken)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert f"cache folder    BROKEN: {tmp_path / 'file' / 'cache'} can't be made" in out
    assert "kernels         BROKEN: the compiler is gone\n" in out
    assert "read rate       12.5 GB/s" in out
    assert str(os.cpu_count()) in out
