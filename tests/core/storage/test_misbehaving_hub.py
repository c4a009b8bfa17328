"""Servers that misbehave: what the library would lose or take all the same, and what a pull does instead."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from file_server import COMMIT, FileServer  # type: ignore[import-not-found, unused-ignore]
from huggingface_hub.utils.tqdm import tqdm

from sg_core import paths
from sg_core.config import GPT2Config
from sg_core.errors import DownloadError
from sg_core.storage import download, hub_cache
from sg_core.storage import pull as pulling
from sg_core.storage.pretrained import tensor_shapes, write_model
from sg_core.storage.pull import pull
from sg_core.text.vocabulary import learn_vocabulary

CONFIG = GPT2Config(vocab_size=300, n_ctx=32, n_layer=2, n_head=2, n_embd=64)
ID = "openai-community/tiny-gpt2"
RESOLVED = f"/{ID}/resolve/main/model.safetensors"
WEIGHTS = f"/store/{ID}/model.safetensors"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    draw = np.random.default_rng(0)
    weights = {name: draw.standard_normal(shape).astype(np.float32) for name, shape in tensor_shapes(CONFIG).items()}
    write_model(folder, CONFIG, weights, learn_vocabulary("to be or not to be, that is the question. " * 50, 300))
    return folder


@pytest.fixture
def server(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("SG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "PAUSE", 0.01)
    with FileServer() as running:
        for path in source.iterdir():
            running.add_model_file(ID, path.name, path.read_bytes(), large=path.suffix == ".safetensors")
        yield running


def place() -> Path:
    return hub_cache.repository(ID)


def weak(server: Any) -> None:
    """A mirror that tells no digest, only a version, the same of all files."""
    for answer in server.answers.values():
        for header in ("ETag", "X-Linked-ETag"):
            if header in answer.headers:
                answer.headers[header] = 'W/"version-1"'


def last_byte_changed(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


# ---------------------------------------------------------------- why the bytes are fetched here


def test_the_library_installs_bytes_that_are_not_those_of_the_digest(server: Any, source: Path) -> None:
    server.answers[WEIGHTS].body = last_byte_changed(server.answers[WEIGHTS].body)
    cache = hub_cache.cache_folder()
    arguments = {"cache_dir": cache, "endpoint": server.url, "token": False}
    taken = huggingface_hub.hf_hub_download(ID, "model.safetensors", **arguments)
    assert Path(taken).read_bytes() != (source / "model.safetensors").read_bytes()
    with pytest.raises(DownloadError, match=r"length or checksum differs\); nothing was installed"):
        pull(ID, endpoint=server.url)


def test_the_library_drops_what_arrived_and_a_pull_goes_on_with_it(server: Any) -> None:
    arguments = {"cache_dir": hub_cache.cache_folder(), "endpoint": server.url, "token": False}
    arrived: list[int] = []

    class Interrupted(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            arrived.append(int(n or 0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        huggingface_hub.hf_hub_download(ID, "model.safetensors", tqdm_class=Interrupted, **arguments)
    assert sum(arrived) > 0
    assert list((place() / "blobs").iterdir()) == []

    asked = len(server.gets(WEIGHTS))
    cut = len(server.answers[WEIGHTS].body) * 6 // 10
    server.answers[WEIGHTS].drop_at = [cut] + [0] * download.TRIES
    with pytest.raises(DownloadError, match="broke off after"):
        pull(ID, endpoint=server.url)
    server.answers[WEIGHTS].drop_at = []
    pull(ID, endpoint=server.url)
    assert server.gets(WEIGHTS)[asked:] == [None] + [f"bytes={cut}-"] * (download.TRIES + 1)


# ---------------------------------------------------------------- without a digest


def test_without_a_digest_nothing_is_called_verified(server: Any, source: Path) -> None:
    weak(server)
    done = pull(ID, endpoint=server.url)
    assert done.note.startswith(
        "the server tells no checksum of 5 of 5 files (config.json, vocab.json, merges.txt, ...)"
    )
    assert done.note.endswith("they are not verified; lengths and the structure of the weights were checked")
    assert hub_cache.snapshot(place()) == done.folder
    for path in done.folder.iterdir():
        assert path.read_bytes() == (source / path.name).read_bytes()
    assert pull(ID, endpoint=server.url) == done
    assert server.gets(WEIGHTS) == [None]


def test_without_a_digest_the_structure_of_the_weights_is_checked(server: Any) -> None:
    weak(server)
    server.answers[WEIGHTS].body = b"<html>".ljust(len(server.answers[WEIGHTS].body))
    with pytest.raises(DownloadError, match=r"can't be used: openai-community/tiny-gpt2/model.safetensors is no model"):
        pull(ID, endpoint=server.url)
    assert not place().exists()


def test_a_weak_mirror_s_newer_version_takes_the_place_of_the_older(server: Any) -> None:
    weak(server)
    older = pull(ID, endpoint=server.url).folder
    server.answers[WEIGHTS].body = changed = last_byte_changed(server.answers[WEIGHTS].body)
    server.answers[RESOLVED].headers["X-Linked-ETag"] = 'W/"version-2"'
    for answer in server.answers.values():
        answer.headers["X-Repo-Commit"] = "d" * 40
    newer = pull(ID, endpoint=server.url).folder
    assert (newer / "model.safetensors").read_bytes() == changed != (older / "model.safetensors").read_bytes()


def test_a_mirror_that_tells_no_length_works(server: Any, source: Path) -> None:
    for answer in server.answers.values():
        answer.length = False
        answer.headers.pop("X-Linked-Size", None)
    folder = pull(ID, endpoint=server.url).folder
    assert (folder / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()


def test_a_file_cut_off_without_a_length_is_refused(server: Any) -> None:
    weak(server)
    for answer in server.answers.values():
        answer.length = False
        answer.headers.pop("X-Linked-Size", None)
    server.answers[WEIGHTS].drop_at = [len(server.answers[WEIGHTS].body) * 6 // 10]
    with pytest.raises(DownloadError, match=r"can't be used: .*model.safetensors"):
        pull(ID, endpoint=server.url)
    assert not place().exists()


@pytest.mark.parametrize("etag", ['"../../../evil"', '"a/b"', '".."', '""', '"' + "x" * 300 + '"'])
def test_a_hostile_etag_names_no_file(server: Any, tmp_path: Path, etag: str) -> None:
    for answer in server.answers.values():
        answer.headers["ETag"] = answer.headers["X-Linked-ETag"] = etag
    folder = pull(ID, endpoint=server.url).folder
    blobs = [path.name for path in (place() / "blobs").iterdir()]
    assert all(len(name) == 64 for name in blobs)
    assert all(path.resolve().parent == place() / "blobs" for path in folder.iterdir())


# ---------------------------------------------------------------- busy servers


@pytest.mark.parametrize("path", [RESOLVED, WEIGHTS], ids=["when asked", "when fetching"])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 0])
def test_a_busy_server_is_asked_again(server: Any, path: str, status: int) -> None:
    server.answers[path].busy = [(status, {}), (status, {})]
    seen: list[str] = []
    pull(ID, lambda what, done, total: seen.append(what), endpoint=server.url)
    assert len([asked for _, asked, _ in server.requests if asked == path]) > 2


def test_the_pause_is_the_one_the_server_asks_for_and_is_told(server: Any) -> None:
    server.answers[WEIGHTS].busy = [(429, {"Retry-After": "1"})]
    seen: list[tuple[str, int, int]] = []
    began = time.monotonic()
    pull(ID, lambda *report: seen.append(report), endpoint=server.url)
    assert time.monotonic() - began >= 1.0
    told = [report for report in seen if "the server is busy" in report[0]]
    assert told
    assert told[0] == ("the server is busy (HTTP Error 429: Too Many Requests): asked again in 1 s", 0, 0)


def test_a_server_that_stays_busy_is_given_up(server: Any) -> None:
    server.answers[WEIGHTS].busy = [(503, {})] * 100
    with pytest.raises(DownloadError, match=r"is busy \(HTTP Error 503: .*\), 5 times in a row; try again later"):
        pull(ID, endpoint=server.url)
    server.answers[WEIGHTS].busy = [(429, {"Retry-After": "86400"})]
    with pytest.raises(DownloadError, match=r"asks for a pause of 86,400 seconds .*; try again then"):
        pull(ID, endpoint=server.url)
    server.answers[WEIGHTS].busy = []
    folder = pull(ID, endpoint=server.url).folder
    server.answers[f"/{ID}/resolve/main/config.json"].busy = [(503, {})] * 100
    done = pull(ID, endpoint=server.url)
    assert done.folder == folder
    assert "5 times in a row; try again later); the copy that is here is used" in done.note


def test_a_pause_is_over_at_a_stop(server: Any) -> None:
    server.answers[WEIGHTS].busy = [(429, {"Retry-After": "100"})]
    waiting = threading.Event()

    def progress(what: str, done: int, total: int) -> None:
        if "busy" in what:
            waiting.set()

    began = time.monotonic()
    with pytest.raises(DownloadError, match="was stopped"):
        pull(ID, progress, waiting.is_set, endpoint=server.url)
    assert time.monotonic() - began < 50


# ---------------------------------------------------------------- credentials, locks, leftovers


def test_a_token_goes_to_the_hub_alone(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull(ID, endpoint=server.url)
    hub = f"127.0.0.1:{server.port}"
    assert {token for host, _, token in server.authorized if host == hub} == {"Bearer hf_secret"}
    assert {token for host, _, token in server.authorized if host != hub} == {None}
    assert any(host != hub for host, _, _ in server.authorized)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_without_file_locks_is_no_obstacle(server: Any, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    import filelock

    def acquire(self: object, timeout: float | None = None) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    assert pull(ID, endpoint=server.url).folder == place() / "snapshots" / COMMIT


def test_a_disk_without_links_holds_the_files_themselves(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **settings: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(Path, "symlink_to", refuse)
    folder = pull(ID, endpoint=server.url).folder
    assert not any(path.is_symlink() for path in folder.iterdir())
    asked = len(server.gets(WEIGHTS))
    assert pull(ID, endpoint=server.url).folder == folder
    assert len(server.gets(WEIGHTS)) == asked


def test_what_nobody_went_on_with_is_swept_away(server: Any) -> None:
    kept, stale = place() / ".sg-tui", hub_cache.repository("other/model") / ".sg-tui"
    old = paths.models_dir() / ".staging" / "openai-community--gpt2"
    for folder in (kept, stale, old):
        folder.mkdir(parents=True)
        (folder / "model.safetensors.abc.part").write_bytes(b"half")
    for path in (stale, *stale.iterdir(), old.parent, old, *old.iterdir()):
        os.utime(path, (time.time() - pulling.STALE - 10,) * 2)
    pulling.sweep_leftovers()
    assert kept.exists()
    assert not stale.exists()
    assert not old.parent.exists()
    pull(ID, endpoint=server.url)
    assert not kept.exists()
