"""Models by name: shipped, in folders, runs, and in the Hub's cache, whoever fetched them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from whole_weights import whole_weights

from sg_core import paths
from sg_core.config import GPT2Config
from sg_core.errors import DownloadError, ModelFileError
from sg_core.storage import hub_cache
from sg_core.storage.hub import (
    CACHE,
    FETCHED,
    RUN,
    SHIPPED,
    InstalledModel,
    Removal,
    installed,
    removal,
    remove,
    resolve,
)
from sg_core.storage.pretrained import tensor_shapes, write_model
from sg_core.text.vocabulary import learn_vocabulary

CONFIG = GPT2Config(vocab_size=300, n_ctx=32, n_layer=2, n_head=2, n_embd=64)
ID = "openai-community/tiny-gpt2"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder."""
    folder = tmp_path_factory.mktemp("repository")
    draw = np.random.default_rng(0)
    weights = {name: draw.standard_normal(shape).astype(np.float32) for name, shape in tensor_shapes(CONFIG).items()}
    write_model(folder, CONFIG, weights, learn_vocabulary("to be or not to be, that is the question. " * 50, 300))
    return folder


def cached(source: Path, id: str = ID, commit: str = "a" * 40) -> Path:
    """The model in the cache, as a library puts it there; its snapshot."""
    repository = hub_cache.repository(id)
    (repository / "blobs").mkdir(parents=True, exist_ok=True)
    folder = repository / "snapshots" / commit
    folder.mkdir(parents=True)
    for path in source.iterdir():
        shutil.copy(path, repository / "blobs" / f"etag-{path.name}")
        (folder / path.name).symlink_to(f"../../blobs/etag-{path.name}")
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(commit)
    return folder


def test_the_cache_lies_where_the_library_has_it(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_cache.cache_folder() == home / "cache/huggingface/hub"
    assert not hub_cache.is_shared()
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    assert hub_cache.cache_folder() == tmp_path / "hf" / "hub"
    assert hub_cache.is_shared()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert hub_cache.cache_folder() == tmp_path / "elsewhere"
    for name in ("SG_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hub_cache.cache_folder() == tmp_path / ".cache/huggingface/hub"
    assert hub_cache.is_shared()


def test_a_model_that_another_program_fetched_is_found(source: Path) -> None:
    folder = cached(source)
    size = sum(path.stat().st_size for path in source.iterdir())
    assert resolve(ID) == folder
    assert [model for model in installed() if model.origin == CACHE] == [InstalledModel(ID, folder, size, CACHE)]


def test_the_main_branch_is_taken_else_what_came_last(source: Path) -> None:
    first, second = cached(source, commit="a" * 40), cached(source, commit="b" * 40)
    assert resolve(ID) == second
    (hub_cache.repository(ID) / "refs" / "main").write_text("a" * 40)
    assert resolve(ID) == first
    os.utime(second, (2e9, 2e9))
    (hub_cache.repository(ID) / "refs" / "main").unlink()
    assert resolve(ID) == second


def test_the_place_of_a_model_in_the_cache_is_its_snapshot(source: Path) -> None:
    folder = cached(source)
    assert resolve(str(hub_cache.repository(ID))) == folder
    with pytest.raises(
        ModelFileError, match=r"is the Hub's cache, with 1 model; give the id of one, for example " + ID
    ):
        resolve(str(hub_cache.cache_folder()))


def test_other_architectures_in_the_cache_are_not_listed(source: Path) -> None:
    cached(source, "some/llama").joinpath("config.json").resolve().write_text('{"model_type": "llama"}')
    (hub_cache.cache_folder() / "datasets--some--text").mkdir()
    (hub_cache.cache_folder() / "models--broken").mkdir()
    assert [model for model in installed() if model.origin == CACHE] == []


def test_a_model_fetched_in_part_says_how_to_get_the_rest(source: Path) -> None:
    (cached(source) / "model.safetensors").unlink()
    with pytest.raises(
        ModelFileError, match=rf"has no model.safetensors; fetch it whole with: sg-tui models pull {ID}"
    ):
        resolve(ID)


def test_an_id_without_its_owner_names_the_model_that_is_here(source: Path) -> None:
    cached(source)
    with pytest.raises(ModelFileError, match=rf"the model tiny-gpt2 is not on this machine, but {ID} is; fetch it"):
        resolve("tiny-gpt2")


def test_removing_names_the_folders_and_what_others_share(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(source)
    cached(source, "other/model")
    old = paths.models_dir() / "openai-community--tiny-gpt2"
    shutil.copytree(source, old)
    size = sum(path.stat().st_size for path in source.iterdir())
    both = [Removal(hub_cache.repository(ID), size + 40, False), Removal(old, size, False)]
    assert removal(ID) == both
    monkeypatch.setenv("HF_HUB_CACHE", str(hub_cache.cache_folder()))
    assert [place.shared for place in removal(ID)] == [True, False]
    remove(ID)
    assert [model.name for model in installed() if model.origin in (CACHE, FETCHED)] == ["other/model"]
    assert not old.exists()
    assert not hub_cache.repository(ID).exists()
    with pytest.raises(DownloadError, match="is not on this machine"):
        remove(ID)


def test_what_can_t_be_fetched_again_is_not_removed(source: Path) -> None:
    shutil.copytree(source, paths.runs_dir() / "mine" / "model")
    (paths.runs_dir() / "mine" / "run.json").write_text("{}")
    with pytest.raises(DownloadError, match="is a run of yours, which nothing can bring back; delete its folder"):
        remove("mine")
    with pytest.raises(DownloadError, match="is a part of the program"):
        remove("tinyshakespeare")
    for name in ("../x", "", ".", "..", "a\0b", "x" * 300):
        with pytest.raises(DownloadError, match="is not the id of a model"):
            remove(name)
    assert (paths.runs_dir() / "mine").exists()


def test_an_exported_run_is_a_model_by_its_name(source: Path) -> None:
    run = paths.runs_dir() / "2026-01-02-030405-tiny"
    shutil.copytree(source, run / "model")
    (run / "run.json").write_text("{}")
    (paths.runs_dir() / "2026-01-03-030405-empty").mkdir()
    assert resolve(run.name) == resolve(str(run)) == run / "model"
    size = sum(path.stat().st_size for path in source.iterdir())
    assert [model for model in installed() if model.origin == RUN] == [
        InstalledModel(run.name, run / "model", size, RUN)
    ]


@pytest.mark.parametrize(
    "name", ["", "a/../b/c", "https://example.com/a/b", "\x1b[31m", "a\0b", "no such/model", "x" * 300]
)
def test_an_unknown_name_gives_one_readable_line(name: str) -> None:
    with pytest.raises(ModelFileError, match="is no folder and no model that is here") as caught:
        resolve(name)
    assert str(caught.value).isprintable()


def test_an_id_that_was_not_fetched_says_how() -> None:
    with pytest.raises(ModelFileError, match=r"fetch it with: sg-tui models pull openai-community/gpt2$"):
        resolve("openai-community/gpt2")


def test_folders_are_models_and_files_are_not(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(str(source)) == source
    monkeypatch.chdir(source.parent)
    assert resolve(source.name).samefile(source)
    with pytest.raises(ModelFileError, match=r"model.safetensors is a file; give its folder: "):
        resolve(str(source / "model.safetensors"))


def test_a_shipped_model_goes_before_a_folder_of_its_name(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "assets" / "shakespeare"
    write_model(shipped, CONFIG, whole_weights(source, CONFIG), None)
    (tmp_path / "shakespeare").mkdir()
    monkeypatch.setattr(paths, "assets_dir", lambda: tmp_path / "assets")
    monkeypatch.chdir(tmp_path)
    assert resolve("shakespeare") == shipped
    assert installed() == [InstalledModel("shakespeare", shipped, hub_cache.size_of(shipped), SHIPPED)]
