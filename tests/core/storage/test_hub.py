"""Models by name, and fetching them: against a server on 127.0.0.1 that answers as the Hub does, or misbehaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_server import COMMIT, Answer, FileServer  # type: ignore[import-not-found, unused-ignore]

from sg_core import paths
from sg_core.config import GPT2Config
from sg_core.errors import DownloadError, ModelFileError
from sg_core.storage import hub
from sg_core.storage.download import TIMEOUT
from sg_core.storage.hub import InstalledModel, installed, pull, resolve
from sg_core.storage.pretrained import read_config, read_weights, tensor_shapes, write_model
from sg_core.text.tokenizer import Tokenizer
from sg_core.text.vocabulary import learn_vocabulary

CONFIG = GPT2Config(vocab_size=300, n_ctx=32, n_layer=2, n_head=2, n_embd=64)
ID = "openai-community/tiny-gpt2"
WEIGHTS = f"/store/{ID}/model.safetensors"
ROOT = Path(hub.__file__).parents[2]
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


def test_a_pulled_model_is_whole_and_found_by_its_id(server: Any, source: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    folder = pull(ID, lambda *report: seen.append(report), endpoint=server.url)
    assert names(folder) == {"config.json", "vocab.json", "merges.txt", "model.safetensors", "origin.json"}
    for name in names(folder) - {"origin.json"}:
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    assert json.loads((folder / "origin.json").read_text())["commit"] == COMMIT
    assert resolve(ID) == folder
    total = sum((source / name).stat().st_size for name in names(folder) - {"origin.json"})
    assert seen[-1][1:] == (total, total)
    assert [model for model in installed() if not model.shipped] == [
        InstalledModel(ID, folder, total + (folder / "origin.json").stat().st_size)
    ]
    assert list((paths.models_dir() / ".staging").glob("*")) == [
        paths.models_dir() / ".staging" / "openai-community--tiny-gpt2.lock"
    ]


def test_nothing_is_fetched_twice_and_only_what_is_needed(server: Any) -> None:
    pull(ID, endpoint=server.url)
    first = [request for request in server.requests if request[0] == "GET"]
    assert not [path for _, path, _ in server.requests if path.endswith((".bin", ".md"))]
    pull(ID, endpoint=server.url)
    assert [request for request in server.requests if request[0] == "GET"] == first


def test_a_damaged_model_is_mended(server: Any, source: Path) -> None:
    folder = pull(ID, endpoint=server.url)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert (pull(ID, endpoint=server.url) / "model.safetensors").read_bytes() == whole


def test_a_changed_model_is_brought_up_to_date(server: Any, source: Path) -> None:
    folder = pull(ID, endpoint=server.url)
    config = json.loads((source / "config.json").read_text()) | {"layer_norm_epsilon": 1e-6}
    server.add_model_file(ID, "config.json", json.dumps(config).encode())
    assert pull(ID, endpoint=server.url) == folder
    assert read_config(folder).layer_norm_epsilon == 1e-6
    assert names(paths.models_dir()) == {".staging", folder.name}


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
    assert not hub._folder_of(ID).exists()


def test_a_failed_update_leaves_the_older_copy(server: Any, source: Path) -> None:
    folder = pull(ID, endpoint=server.url)
    server.add_model_file(ID, "model.safetensors", b"not weights at all" * 100, large=True)
    with pytest.raises(DownloadError, match=r"tiny-gpt2 can't be used: .*safetensors"):
        pull(ID, endpoint=server.url)
    assert (folder / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()


def test_another_architecture_is_refused_before_its_weights_come(server: Any) -> None:
    server.add_model_file(ID, "config.json", b'{"model_type": "llama"}')
    with pytest.raises(DownloadError, match=r"can't be used: .*'llama'; only gpt2"):
        pull(ID, endpoint=server.url)
    assert server.gets(WEIGHTS) == []


def test_a_repository_without_safe_weights_or_config_is_refused(server: Any) -> None:
    del server.answers[f"/{ID}/resolve/main/model.safetensors"]
    with pytest.raises(DownloadError, match=r"has no model.safetensors, the only kind of weights that can't run code"):
        pull(ID, endpoint=server.url)
    del server.answers[f"/{ID}/resolve/main/config.json"]
    with pytest.raises(DownloadError, match=r"has no config.json; it is not a model"):
        pull(ID, endpoint=server.url)


def test_shards_are_fetched_too(server: Any, source: Path) -> None:
    weights = dict(read_weights(source, CONFIG))
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
    for name, array in read_weights(folder, CONFIG):
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
    assert pull(ID, endpoint=NOBODY) == folder


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (404, {"X-Error-Code": "RepoNotFound"}, "there is no public model .*; check its spelling"),
        (403, {"X-Error-Code": "GatedRepo"}, "only to people who signed in"),
        (503, {}, "the Hub can't be asked for .*503"),
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
    assert not (paths.cache_dir() / "models").exists() or not any(paths.models_dir().iterdir())


@pytest.mark.parametrize("name", ["", "a/../b/c", "https://example.com/a/b", "\x1b[31m", "a\0b", "no such/model"])
def test_an_unknown_name_gives_one_readable_line(server: Any, name: str) -> None:
    with pytest.raises(ModelFileError, match="is no folder and no model that is here") as caught:
        resolve(name)
    assert str(caught.value).isprintable()


def test_an_id_that_was_not_fetched_says_how(server: Any) -> None:
    with pytest.raises(ModelFileError, match=r"fetch it with: sg-tui models pull openai-community/gpt2$"):
        resolve("openai-community/gpt2")


def test_folders_are_models_and_files_are_not(server: Any, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(str(source)) == source
    monkeypatch.chdir(source.parent)
    assert resolve(source.name).samefile(source)
    with pytest.raises(ModelFileError, match=r"model.safetensors is a file; give the folder"):
        resolve(str(source / "model.safetensors"))


def test_a_shipped_model_goes_before_a_folder_of_its_name(
    server: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "assets" / "shakespeare"
    write_model(shipped, CONFIG, dict(read_weights(source, CONFIG)), None)
    (tmp_path / "shakespeare").mkdir()
    monkeypatch.setattr(paths, "assets_dir", lambda: tmp_path / "assets")
    monkeypatch.chdir(tmp_path)
    assert resolve("shakespeare") == shipped
    assert installed() == [InstalledModel("shakespeare", shipped, hub._size(shipped), True)]


def test_two_programs_at_once_fetch_the_model_once(server: Any, tmp_path: Path) -> None:
    code = f"from sg_core.storage.hub import pull; print(pull({ID!r}))"
    environment = os.environ | {"HF_ENDPOINT": server.url, "SG_HOME": str(tmp_path / "home"), "HF_HOME": str(tmp_path)}
    environment.pop("HF_HUB_OFFLINE", None)
    programs = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = {program.communicate(timeout=6 * TIMEOUT)[0].strip() for program in programs}
    assert answers == {str(hub._folder_of(ID))}
    assert server.gets(WEIGHTS) == [None]
    # nothing but the model is asked for: no telemetry, no token, nothing written beside
    assert {path.split("/")[1] for _, path, _ in server.requests} <= {"openai-community", "store"}
    assert names(tmp_path) == {"home"}


def test_offline_mode_of_the_library_is_respected(server: Any, tmp_path: Path) -> None:
    code = f"from sg_core.storage.hub import pull; pull({ID!r})"
    environment = os.environ | {"HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert "DownloadError: the Hub can't be asked" in done.stderr
    assert server.requests == []
