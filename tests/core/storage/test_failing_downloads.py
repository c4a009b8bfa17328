"""A disk that fails at any point of a download: nothing half is ever installed, and the next attempt succeeds."""

from __future__ import annotations

import hashlib
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from failing_files import Failing, every_failure
from file_server import Answer, FileServer  # type: ignore[import-not-found, unused-ignore]

from sg_core.errors import DownloadError
from sg_core.storage.download import RemoteFile, fetch

BODY = bytes(range(256)) * 2000


def test_whichever_write_of_a_download_fails_nothing_half_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer: list[Failing] = []

    class CountedFile(FileIO):
        def write(self, data: Any) -> int:
            layer[-1].change(self.name, "write")
            return super().write(data)

    monkeypatch.setattr("sg_core.storage.download.FileIO", CountedFile)
    with FileServer() as server:
        server.answers["/data"] = Answer(BODY)
        remote = RemoteFile("data", f"{server.url}/data", size=len(BODY), sha256=hashlib.sha256(BODY).hexdigest())
        for number, failing in enumerate(every_failure(tmp_path)):
            layer.append(failing)
            target = tmp_path / str(number) / "data"
            said = ""
            with failing:
                try:
                    fetch(remote, target, lambda *report: None, lambda: None)
                except DownloadError as problem:
                    said = str(problem)
            assert said.isprintable()
            assert not target.exists() or target.read_bytes() == BODY
            fetch(remote, target, lambda *report: None, lambda: None)
            assert target.read_bytes() == BODY
