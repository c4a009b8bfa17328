"""Fetching models: against a server on 127.0.0.1 that answers as the Hub does, or misbehaves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_server import COMMIT, Answer, FileServer  # type: ignore[import-not-found, unused-ignore]
from whole_weights import whole_weights

from sg_core import paths
from sg_core.config import GPT2Config
from sg_core.errors import DownloadError, ModelFileError
from sg_core.storage import hub_cache
from sg_core.storage.download import TIMEOUT
from sg_core.storage.hub import CACHE, InstalledModel, installed, resolve
from sg_core.storage.pretrained import read_config, tensor_shapes, write_model
from sg_core.storage.pull import Pulled
from sg_core.storage.pull import pull as pull_model
from sg_core.text.tokenizer import Tokenizer
from sg_core.text.vocabulary import learn_vocabulary

CONFIG = GPT2Config(vocab_size=300, n_ctx=32, n_layer=2, n_head=2, n_embd=64)
ID = "openai-community/tiny-gpt2"
WEIGHTS = f"/store/{ID}/model.safetensors"
ROOT = Path(hub_cache.__file__).parents[2]
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a repository, more of them than are wanted."""
    folder = tmp_path_factory.mktemp("repository")
    draw = np.random.default_rng(0)
    weights = {name: draw.standard_normal(shape).astype(np.float32) for name, shape in tensor_shapes(CONFIG).items()}
    write_model(folder, CONFIG, weights, learn_vocabulary("to be or not to be, that is the question. " * 50, 300))
    (folder / "pytorch_model.bin").write_bytes(b"never to be fetched")
    return folder


@pytest.fixture
def server(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("SG_HOME", str(tmp_path / "home"))
    with FileServer() as running:
        for path in source.iterdir():
            running.add_model_file(ID, path.name, path.read_bytes(), large=path.suffix in (".safetensors", ".bin"))
        yield running


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def pull(*arguments: Any, **settings: Any) -> Path:
    return pull_model(*arguments, **settings).folder


def place() -> Path:
    """Where the model lies in the cache."""
    return hub_cache.repository(ID)


FILES = {"config.json", "vocab.json", "merges.txt", "tokenizer_config.json", "model.safetensors"}


def test_a_pulled_model_is_whole_and_found_by_its_id(server: Any, source: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    done = pull_model(ID, lambda *report: seen.append(report), endpoint=server.url)
    folder = tmp_path / "home/cache/huggingface/hub/models--openai-community--tiny-gpt2/snapshots" / COMMIT
    assert done == Pulled(folder, "all its files are verified by their checksums")
    assert names(folder) == FILES
    for name in FILES:
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    assert resolve(ID) == folder
    total = sum((source / name).stat().st_size for name in FILES)
    assert seen[-1][1:] == (total, total)
    assert [model for model in installed() if model.path == folder] == [InstalledModel(ID, folder, total, CACHE)]
    assert names(place()) == {"refs", "blobs", "snapshots"}


def test_the_library_finds_what_was_pulled(server: Any, source: Path) -> None:
    import huggingface_hub

    folder = pull(ID, endpoint=server.url)
    cache = folder.parents[2]
    for name in FILES:
        found = huggingface_hub.try_to_load_from_cache(ID, name, cache_dir=cache)
        assert isinstance(found, str)
        assert Path(found).read_bytes() == (source / name).read_bytes()
    scan = huggingface_hub.scan_cache_dir(cache)
    assert not scan.warnings
    (repo,) = scan.repos
    assert (repo.repo_id, repo.nb_files, list(repo.refs)) == (ID, len(FILES), ["main"])
    requests = len(server.requests)
    assert huggingface_hub.snapshot_download(ID, cache_dir=cache, local_files_only=True) == str(folder)
    assert len(server.requests) == requests


def test_what_the_library_fetched_is_found_and_not_fetched_again(server: Any) -> None:
    import huggingface_hub

    for name in FILES:
        fetched = huggingface_hub.hf_hub_download(
            ID, name, cache_dir=hub_cache.cache_folder(), endpoint=server.url, token=False
        )
    assert resolve(ID) == Path(fetched).parent
    assert pull(ID, endpoint=server.url) == Path(fetched).parent
    assert server.gets(WEIGHTS) == [None]


def test_the_generation_and_chat_files_come_too(server: Any) -> None:
    more = {"added_tokens.json", "special_tokens_map.json", "generation_config.json", "chat_template.jinja"}
    for name in more:
        server.add_model_file(ID, name, b"{}")
    assert names(pull(ID, endpoint=server.url)) == FILES | more


def test_a_copy_of_version_0_1_is_found_and_spares_the_download(server: Any, source: Path) -> None:
    old = paths.models_dir() / "openai-community--tiny-gpt2"
    shutil.copytree(source, old)
    assert resolve(ID) == old
    assert [model.path for model in installed() if model.name == ID] == [old]
    folder = pull(ID, endpoint=server.url)
    assert server.gets(WEIGHTS) == []
    assert resolve(ID) == folder != old


def test_nothing_is_fetched_twice_and_only_what_is_needed(server: Any) -> None:
    pull(ID, endpoint=server.url)
    first = [request for request in server.requests if request[0] == "GET"]
    assert not [path for _, path, _ in server.requests if path.endswith((".bin", ".md"))]
    pull(ID, endpoint=server.url)
    assert [request for request in server.requests if request[0] == "GET"] == first


def test_a_damaged_model_is_mended(server: Any, source: Path) -> None:
    folder = pull(ID, endpoint=server.url)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").resolve().write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert (pull(ID, endpoint=server.url) / "model.safetensors").read_bytes() == whole


def test_a_changed_model_is_brought_up_to_date(server: Any, source: Path) -> None:
    folder = pull(ID, endpoint=server.url)
    config = json.loads((source / "config.json").read_text()) | {"layer_norm_epsilon": 1e-6}
    server.add_model_file(ID, "config.json", json.dumps(config).encode())
    for answer in server.answers.values():
        answer.headers["X-Repo-Commit"] = "d" * 40
    newer = pull(ID, endpoint=server.url)
    assert newer == folder.with_name("d" * 40) == resolve(ID)
    assert (read_config(folder).layer_norm_epsilon, read_config(newer).layer_norm_epsilon) == (1e-5, 1e-6)
    assert server.gets(WEIGHTS) == [None]


def test_a_connection_dropped_at_60_percent_resumes(server: Any, source: Path) -> None:
    place = len(server.answers[WEIGHTS].body) * 6 // 10
    server.answers[WEIGHTS].drop_at = [place]
    folder = pull(ID, endpoint=server.url)
    assert server.gets(WEIGHTS) == [None, f"bytes={place}-"]
    assert (folder / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()


def test_a_stopped_download_goes_on_where_it_ended(server: Any) -> None:
    server.answers[WEIGHTS].stall = True
    half = len(server.answers[WEIGHTS].body) // 2
    arrived = threading.Event()

    def progress(what: str, done: int, total: int) -> None:
        if what == "model.safetensors" and done >= half:
            arrived.set()

    with pytest.raises(DownloadError, match="stopped; the next one goes on where it ended"):
        pull(ID, progress, arrived.is_set, endpoint=server.url)
    with pytest.raises(ModelFileError, match="not on this machine"):
        resolve(ID)
    server.answers[WEIGHTS].stall = False
    server.ending.set()  # lets the request that was left behind come to its end
    assert read_config(pull(ID, endpoint=server.url)) == CONFIG
    (resumed,) = server.gets(WEIGHTS)[1:]
    assert 0 < int(resumed.removeprefix("bytes=").removesuffix("-")) <= half


def spoil(server: Any, body: bytes) -> None:
    server.answers[WEIGHTS].body = body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda whole: b"<html>".ljust(len(whole)), r"length or checksum differs\); nothing was installed"),
        (lambda whole: b"<html>sign in</html>", r"would send 20 bytes, but model.safetensors has [\d,]+; nothing"),
        (lambda whole: whole + b"x", r"would send [\d,]+ bytes, but model.safetensors has"),
        (lambda whole: whole[:-1] + b"\xff", r"length or checksum differs"),
    ],
    ids=["HTML", "short HTML", "too long", "one wrong byte"],
)
def test_wrong_weights_are_never_installed(server: Any, body: Any, message: str) -> None:
    spoil(server, body(server.answers[WEIGHTS].body))
    with pytest.raises(DownloadError, match=message):
        pull(ID, endpoint=server.url)
    assert not place().exists()


def test_a_failed_update_leaves_the_older_copy(server: Any, source: Path) -> None:
    folder = pull(ID, endpoint=server.url)
    server.add_model_file(ID, "model.safetensors", b"not weights at all" * 100, large=True)
    with pytest.raises(DownloadError, match=r"tiny-gpt2 can't be used: .*safetensors"):
        pull(ID, endpoint=server.url)
    assert (folder / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    assert names(place()) == {"refs", "blobs", "snapshots"}


def test_another_architecture_is_refused_before_its_weights_come(server: Any) -> None:
    server.add_model_file(ID, "config.json", b'{"model_type": "llama"}')
    with pytest.raises(DownloadError, match=r"can't be used: .*'llama'; only gpt2"):
        pull(ID, endpoint=server.url)
    assert server.gets(WEIGHTS) == []


@pytest.mark.parametrize(
    ("gone", "there", "message"),
    [
        (["config.json", "model.safetensors"], "adapter_config.json", "tiny-gpt2 is an adapter .PEFT., not a whole"),
        (["model.safetensors"], "pytorch_model.bin", "has no model.safetensors but pytorch_model.bin, .*can run code"),
        (["model.safetensors"], "flax_model.msgpack", "flax_model.msgpack, weights of Flax; convert"),
        (["model.safetensors"], None, "has no model.safetensors; take another repository of this model"),
        (["config.json"], None, "has weights but no config.json"),
        (["config.json", "model.safetensors"], None, "is a tokenizer without a model"),
        (["vocab.json", "merges.txt"], None, "can't be used: it has no tokenizer files"),
        (["vocab.json"], None, "can't be used: .*tokenizer"),
    ],
)
def test_what_can_t_be_used_is_refused_before_its_weights_come(
    server: Any, gone: list[str], there: str | None, message: str
) -> None:
    for name in [*gone, "pytorch_model.bin"]:
        del server.answers[f"/{ID}/resolve/main/{name}"]
    if there is not None:
        server.add_model_file(ID, there, b"{}")
    with pytest.raises(DownloadError, match=message) as caught:
        pull(ID, endpoint=server.url)
    assert "\n" not in str(caught.value)
    assert server.gets(WEIGHTS) == []
    assert not place().exists()


def test_a_tokenizer_of_another_model_is_refused_before_the_weights_come(server: Any, source: Path) -> None:
    more = json.loads((source / "vocab.json").read_text("utf-8")) | {
        f"token{number}": 300 + number for number in range(9)
    }
    server.add_model_file(ID, "vocab.json", json.dumps(more).encode())
    with pytest.raises(
        DownloadError, match=r"can't be used: .*tokenizer has 309 tokens, the model's vocab_size is 300"
    ):
        pull(ID, endpoint=server.url)
    assert server.gets(WEIGHTS) == []


def test_a_file_of_another_format_is_named_from_the_list_of_the_hub(server: Any) -> None:
    for name in ("config.json", "model.safetensors"):
        del server.answers[f"/{ID}/resolve/main/{name}"]
    files = [{"rfilename": name} for name in (".gitattributes", "README.md", "gpt2.Q4_K_M.gguf")]
    facts = json.dumps({"id": ID, "siblings": files, "private": False, "downloads": 0, "likes": 0, "tags": []})
    server.answers[f"/api/models/{ID}"] = Answer(facts.encode(), {"Content-Type": "application/json"})
    with pytest.raises(DownloadError, match=r"but gpt2.Q4_K_M.gguf, a file of llama.cpp; take the repository"):
        pull(ID, endpoint=server.url)


def test_shards_are_fetched_too(server: Any, source: Path) -> None:
    weights = whole_weights(source, CONFIG)
    shards = {
        "model-00001-of-00002.safetensors": list(weights)[:5],
        "model-00002-of-00002.safetensors": list(weights)[5:],
    }
    import safetensors.numpy

    for name, part in shards.items():
        server.add_model_file(ID, name, safetensors.numpy.save({key: weights[key] for key in part}), large=True)
    index = {"weight_map": {key: name for name, part in shards.items() for key in part}}
    server.add_model_file(ID, "model.safetensors.index.json", json.dumps(index).encode())
    del server.answers[f"/{ID}/resolve/main/model.safetensors"]
    folder = pull(ID, endpoint=server.url)
    assert names(folder) >= shards.keys()
    for name, array in whole_weights(folder, CONFIG).items():
        np.testing.assert_array_equal(array, weights[name])
    index["weight_map"] = dict.fromkeys(weights, "../../evil.safetensors")
    server.add_model_file(ID, "model.safetensors.index.json", json.dumps(index).encode())
    with pytest.raises(DownloadError, match=r"'../../evil.safetensors'; a .safetensors file of the same folder"):
        pull(ID, endpoint=server.url)


def test_tokenizer_json_alone_will_do(server: Any, source: Path) -> None:
    tokenizer = Tokenizer.from_folder(source)
    content = {
        "model": {"type": "BPE", "vocab": tokenizer.vocabulary, "merges": [list(pair) for pair in tokenizer.merges]}
    }
    server.add_model_file(ID, "tokenizer.json", json.dumps(content).encode())
    for name in ("vocab.json", "merges.txt"):
        del server.answers[f"/{ID}/resolve/main/{name}"]
    folder = pull(ID, endpoint=server.url)
    assert Tokenizer.from_folder(folder).encode("to be") == tokenizer.encode("to be")


def test_without_network_the_copy_is_used_or_one_line_said(server: Any) -> None:
    with pytest.raises(DownloadError, match=r"the Hub can't be asked for .*tiny-gpt2: ") as caught:
        pull(ID, endpoint=NOBODY)
    assert "\n" not in str(caught.value)
    folder = pull(ID, endpoint=server.url)
    done = pull_model(ID, endpoint=NOBODY)
    assert done.folder == folder
    assert "the copy that is here is used" in done.note


def test_proxies_are_obeyed(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, server.url)
    for path, answer in list(server.answers.items()):
        server.answers[f"http://hub.invalid{path}"] = answer
        if "Location" in answer.headers:
            answer.headers["Location"] = f"http://store.invalid/store/{ID}/model.safetensors"
            server.answers[answer.headers["Location"]] = server.answers[WEIGHTS]
    huggingface_hub.close_session()  # it keeps the proxies it has found
    try:
        assert names(pull(ID, endpoint="http://hub.invalid")) == FILES
    finally:
        huggingface_hub.close_session()
    assert all(path.startswith("http://") for _, path, _ in server.requests)


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (404, {"X-Error-Code": "RepoNotFound"}, "there is no public model .*; check its spelling"),
        (403, {"X-Error-Code": "GatedRepo"}, "only to people who signed in"),
        (200, {}, "what answers is not the Hub"),
    ],
)
def test_other_answers_of_the_hub_give_one_line(
    server: Any, status: int, headers: dict[str, str], message: str
) -> None:
    server.answers[f"/{ID}/resolve/main/config.json"] = Answer(b"<html>", headers, status)
    with pytest.raises(DownloadError, match=message) as caught:
        pull(ID, endpoint=server.url)
    assert "\n" not in str(caught.value)


HOSTILE = [
    "", "../../x", "..", "a/../b", "/etc/passwd", "a/b/c", "https://example.com/a/b", "a\\b", "a b", "a/b\n", "-a/b",
    "a--b", "a/.b", "a/b.git", "\x1b[31m", "a\0b", "x" * 200, "é/x", "a/b?x=1", "~root", "con:",
]  # fmt: skip


@pytest.mark.parametrize("id", HOSTILE)
def test_hostile_ids_are_refused_without_a_request(server: Any, id: str) -> None:
    with pytest.raises(
        DownloadError, match="is not the id of a model; an id looks like openai-community/gpt2"
    ) as caught:
        pull(id, endpoint=server.url)
    assert str(caught.value).isprintable()
    assert server.requests == []
    assert not hub_cache.cache_folder().exists()


def test_two_programs_at_once_fetch_the_model_once(server: Any, tmp_path: Path) -> None:
    code = f"from sg_core.storage.pull import pull; print(pull({ID!r}).folder)"
    environment = os.environ | {"HF_ENDPOINT": server.url, "SG_HOME": str(tmp_path / "home")}
    environment.pop("HF_HUB_OFFLINE", None)
    programs = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = {program.communicate(timeout=6 * TIMEOUT)[0].strip() for program in programs}
    assert answers == {str(place() / "snapshots" / COMMIT)}
    assert server.gets(WEIGHTS) == [None]
    # nothing but the model is asked for: no telemetry, nothing written beside
    assert {path.split("/")[1] for _, path, _ in server.requests} <= {"openai-community", "store"}
    assert names(tmp_path) == {"home"}


def test_offline_mode_of_the_library_is_respected(server: Any, tmp_path: Path) -> None:
    code = f"from sg_core.storage.pull import pull; pull({ID!r})"
    environment = os.environ | {"HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert "DownloadError: the Hub can't be asked" in done.stderr
    assert server.requests == []
