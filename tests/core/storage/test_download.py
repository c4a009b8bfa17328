"""A download resumes, is verified before it gets its name, and can be stopped at once."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from file_server import Answer, FileServer  # type: ignore[import-not-found, unused-ignore]

from sg_core.errors import DownloadError
from sg_core.storage import download
from sg_core.storage.download import RemoteFile, fetch, require_space
from sg_core.storage.waiting import exclusive, interruptible
from sg_core.training import tinyshakespeare
from sg_core.training.texts import read_text
from sg_core.training.tinyshakespeare import read_tinyshakespeare

BODY = bytes(range(256)) * 8000  # 2 MB


@pytest.fixture
def server() -> Iterator[Any]:
    with FileServer() as running:
        yield running


def remote(server: Any, **facts: Any) -> RemoteFile:
    usual: dict[str, Any] = {"size": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}
    return RemoteFile("data", f"{server.url}/data", **(usual | facts))


def get(file: RemoteFile, target: Path) -> list[tuple[str, int, int]]:
    reports: list[tuple[str, int, int]] = []
    fetch(file, target, lambda *report: reports.append(report), lambda: None)
    return reports


def test_a_file_arrives_with_progress_and_nothing_else_stays(server: Any, tmp_path: Path) -> None:
    server.answers["/data"] = Answer(BODY)
    reports = get(remote(server), tmp_path / "new" / "data")
    assert (tmp_path / "new" / "data").read_bytes() == BODY
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["data"]
    assert reports[0] == ("data", 0, len(BODY))
    assert reports[-1] == ("data", len(BODY), len(BODY))
    assert len(reports) > 4


def test_a_connection_dropped_at_60_percent_resumes_there(server: Any, tmp_path: Path) -> None:
    place = len(BODY) * 6 // 10
    server.answers["/data"] = Answer(BODY, drop_at=[place])
    get(remote(server), tmp_path / "data")
    assert (tmp_path / "data").read_bytes() == BODY
    assert server.gets("/data") == [None, f"bytes={place}-"]


def test_what_arrived_is_kept_for_the_next_call(server: Any, tmp_path: Path) -> None:
    server.answers["/data"] = Answer(BODY)

    def stop_at_half(what: str, done: int, total: int) -> None:
        if done > len(BODY) // 2:
            raise DownloadError("stopped")

    with pytest.raises(DownloadError, match="stopped"):
        fetch(remote(server), tmp_path / "data", stop_at_half, lambda: None)
    assert not (tmp_path / "data").exists()
    get(remote(server), tmp_path / "data")
    assert (tmp_path / "data").read_bytes() == BODY
    (resumed,) = server.gets("/data")[1:]
    assert int(resumed.removeprefix("bytes=").removesuffix("-")) > len(BODY) // 2


def test_a_server_that_knows_no_ranges_starts_again(server: Any, tmp_path: Path) -> None:
    server.answers["/data"] = Answer(BODY, drop_at=[1000, 2000], ranges=False)
    get(remote(server), tmp_path / "data")
    assert (tmp_path / "data").read_bytes() == BODY


def test_the_beginning_of_an_older_version_is_not_continued(server: Any, tmp_path: Path) -> None:
    server.answers["/data"] = Answer(BODY)
    file = RemoteFile("data", f"{server.url}/data", len(BODY), git_sha1=git_sha1(BODY))
    (tmp_path / f"data.{file.git_sha1[:12]}.part").write_bytes(b"wrong" * 1000)  # type: ignore[index]
    get(file, tmp_path / "data")
    assert (tmp_path / "data").read_bytes() == BODY


def git_sha1(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


@pytest.mark.parametrize(
    "facts",
    [
        {"sha256": "0" * 64},
        {"sha256": None, "git_sha1": "0" * 40},
        {"sha256": None, "size": len(BODY) - 1},
        {"sha256": None, "size": len(BODY) + 1},
    ],
    ids=["wrong bytes", "wrong bytes, git's digest", "too long", "too short"],
)
def test_wrong_bytes_never_get_the_name(server: Any, tmp_path: Path, facts: dict[str, Any]) -> None:
    server.answers["/data"] = Answer(BODY)
    with pytest.raises(DownloadError) as caught:
        get(remote(server, **facts), tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_a_file_that_is_there_and_right_is_not_fetched_again(server: Any, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(BODY)
    get(remote(server), tmp_path / "data")
    assert server.requests == []
    (tmp_path / "data").write_bytes(BODY[:-1] + b"x")
    server.answers["/data"] = Answer(BODY)
    get(remote(server), tmp_path / "data")
    assert (tmp_path / "data").read_bytes() == BODY


def test_a_missing_file_and_a_missing_server_give_one_line(server: Any, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"/data can't be fetched: HTTP Error 404"):
        get(remote(server), tmp_path / "data")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/data"
        with pytest.raises(DownloadError, match=r"/data can't be reached: connection refused"):
            get(RemoteFile("data", nobody), tmp_path / "data")


def test_what_a_server_says_stays_one_harmless_line(server: Any, tmp_path: Path) -> None:
    server.answers["/data"] = Answer(b"", {"Location": f"{server.url}/data"}, 302)  # to itself, for ever
    with pytest.raises(DownloadError, match=r"/data can't be fetched: HTTP Error 302: ") as caught:
        get(remote(server), tmp_path / "data")
    assert str(caught.value).isprintable()


def test_a_file_that_arrived_whole_without_a_known_size_is_not_fetched_again(server: Any, tmp_path: Path) -> None:
    server.answers["/data"] = Answer(BODY)
    file = RemoteFile("data", f"{server.url}/data", version="1")
    (tmp_path / f"data.{download._tag(file)}.part").write_bytes(BODY)
    get(file, tmp_path / "data")
    assert (tmp_path / "data").read_bytes() == BODY
    assert server.gets("/data") == [f"bytes={len(BODY)}-"]


def test_a_server_that_only_hangs_up_is_given_up(server: Any, tmp_path: Path) -> None:
    server.answers["/data"] = Answer(BODY, drop_at=[0] * 100)
    with pytest.raises(DownloadError, match="broke off after 0 of 2,048,000 bytes"):
        get(remote(server), tmp_path / "data")
    assert len(server.requests) == download.TRIES


def test_an_unwritable_folder_gives_one_line(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="can't be made: file exists"):
        get(remote(server), tmp_path / "file" / "data")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_gives_one_line_and_installs_nothing(server: Any, tmp_path: Path) -> None:
    server.answers["/data"] = Answer(BODY)
    file = remote(server)
    (tmp_path / f"data.{file.sha256[:12]}.part").symlink_to("/dev/full")  # type: ignore[index]
    with pytest.raises(DownloadError, match=r"\.part can't be written: no space left on device"):
        get(file, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_too_little_space_is_said_before(tmp_path: Path) -> None:
    require_space(tmp_path, 1, "x")
    with pytest.raises(DownloadError, match=r"the model x needs 1,000,000,000,000 MB on the disk of .*; make room"):
        require_space(tmp_path, 10**18, "the model x")


def test_stopping_does_not_wait_for_the_network(server: Any, tmp_path: Path) -> None:
    server.answers["/data"] = Answer(BODY, stall=True)
    seen: list[tuple[str, int, int]] = []

    def work(report: Any, check: Any) -> None:
        fetch(remote(server), tmp_path / "data", report, check)

    began = time.monotonic()
    with pytest.raises(DownloadError, match="was stopped; the next one goes on"):
        interruptible(work, lambda *report: seen.append(report), lambda: bool(server.requests))
    assert time.monotonic() - began < download.TIMEOUT / 2
    assert not (tmp_path / "data").exists()


def test_an_interruptible_work_gives_its_result_or_its_error() -> None:
    caller = threading.get_ident()
    threads: set[int] = set()

    def work(report: Any, check: Any) -> int:
        report("working", 1, 2)
        return threading.get_ident()

    assert interruptible(work, lambda *report: threads.add(threading.get_ident()), None) != caller
    assert threads == {caller}

    def fail(report: Any, check: Any) -> None:
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        interruptible(fail, None, None)


def test_of_two_downloads_of_the_same_one_waits(tmp_path: Path) -> None:
    waiting, inside, order = threading.Event(), threading.Event(), []

    def report(*what: Any) -> None:
        waiting.set()

    def second() -> None:
        inside.wait(10)
        with exclusive(tmp_path / "lock", report, lambda: None):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with exclusive(tmp_path / "lock", lambda *what: None, lambda: None):
        inside.set()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_waiting_for_another_download_can_be_stopped(tmp_path: Path) -> None:
    def check() -> None:
        raise DownloadError("stopped")

    with pytest.raises(DownloadError, match="stopped"), exclusive(tmp_path / "lock", lambda *what: None, check):
        pytest.fail("the lock was taken after the stop")


TEXT = b"First Citizen:\n" + b"Before we proceed any further, hear me speak.\n" * 3000


@pytest.fixture
def play(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A server whose tinyshakespeare is a smaller text; the home is empty."""
    monkeypatch.setattr(tinyshakespeare, "SHA256", hashlib.sha256(TEXT).hexdigest())
    monkeypatch.setattr(tinyshakespeare, "SIZE", len(TEXT))
    monkeypatch.setenv("SG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SG_DATASETS", raising=False)
    server.answers["/play"] = Answer(TEXT)
    return server


def test_tinyshakespeare_is_fetched_once(play: Any) -> None:
    seen: list[tuple[str, int, int]] = []
    assert read_tinyshakespeare(lambda *report: seen.append(report), url=f"{play.url}/play") == TEXT
    assert seen[-1] == ("tinyshakespeare", len(TEXT), len(TEXT))
    assert read_tinyshakespeare(url="http://127.0.0.1:9/nobody") == TEXT
    assert len(play.requests) == 1


def test_a_copy_in_sg_datasets_needs_no_network(play: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SG_DATASETS", str(tmp_path))
    (tmp_path / "tinyshakespeare.txt").write_bytes(TEXT)
    assert read_text("tinyshakespeare").text.encode() == TEXT
    (tmp_path / "tinyshakespeare.txt").write_bytes(TEXT[:-1] + b"?")
    assert read_tinyshakespeare(url=f"{play.url}/play") == TEXT
    assert len(play.requests) == 1


def test_the_real_text_is_the_one_that_is_expected(
    real_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SG_HOME", str(tmp_path))
    text = read_text("tinyshakespeare").text
    assert len(text) == 1_115_394
    assert text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.")


def test_other_bytes_are_refused_and_offline_training_is_offered(play: Any, tmp_path: Path) -> None:
    play.answers["/play"] = Answer(b"<html>sign in</html>".ljust(len(TEXT)))
    with pytest.raises(DownloadError, match=r"checksum differs\); nothing was installed; .*python-docs"):
        read_tinyshakespeare(url=f"{play.url}/play")
    assert not [path for path in (tmp_path / "home/cache/datasets").iterdir() if path.suffix != ".lock"]
    with pytest.raises(DownloadError, match=r"can't be reached: .*; without network, train on python-docs"):
        read_tinyshakespeare(url="http://127.0.0.1:9/nobody")
