"""A small HTTP server on 127.0.0.1 that misbehaves on demand: for what is fetched over the network."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Answer:
    """What the server sends for a path. drop_at: for each request in turn, the byte at which it hangs up."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    drop_at: list[int] = field(default_factory=list)
    ranges: bool = True
    stall: bool = False  # sends half of the body, then nothing until the server ends
    busy: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # (status, headers) of the next; 0: hangs up
    length: bool = True  # tells the length of the body; where not, the connection ends it


class FileServer:
    """answers: path -> Answer. requests: (method, path, Range header or None) in the order they came."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.authorized: list[tuple[str, str, str | None]] = []  # (Host, path, Authorization) of the same requests
        self.ending = threading.Event()
        owner = self

        class Handler(_Handler):
            server_state = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def gets(self, path: str) -> list[str | None]:
        """The Range headers of the GET requests for a path."""
        return [ranges for method, asked, ranges in self.requests if method == "GET" and asked == path]

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()

    def add_model_file(self, id: str, name: str, body: bytes, large: bool = False) -> Answer:
        """A file of a Hub repository: a small one with git's digest, a large one redirected to another host."""
        path = f"/{id}/resolve/main/{name}"
        headers = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(body))}
        if not large:
            digest = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
            self.answers[path] = Answer(body, headers | {"ETag": f'"{digest}"'})
            return self.answers[path]
        store = f"/store/{id}/{name}"
        headers |= {"X-Linked-ETag": f'"{hashlib.sha256(body).hexdigest()}"'}
        headers |= {"Location": f"http://localhost:{self.port}{store}"}
        self.answers[path] = Answer(b"", headers, 302)
        self.answers[store] = Answer(body)
        return self.answers[store]


class _Handler(BaseHTTPRequestHandler):
    server_state: FileServer

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_GET(self) -> None:
        self._answer("GET")

    def _answer(self, method: str) -> None:
        state = self.server_state
        wanted = self.headers.get("Range")
        state.requests.append((method, self.path, wanted))
        state.authorized.append((self.headers["Host"] or "", self.path, self.headers["Authorization"]))
        answer = state.answers.get(self.path, Answer(b"", {"X-Error-Code": "EntryNotFound"}, 404))
        if answer.busy:
            status, headers = answer.busy.pop(0)
            if status == 0:
                self.close_connection = True
                return
            answer = Answer(b"busy", headers, status)
        body, start = answer.body, 0
        if wanted and answer.ranges and answer.status == 200:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if answer.length:
            self.send_header("Content-Length", str(len(body) - start))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if method == "GET":
            end = answer.drop_at.pop(0) if answer.drop_at else len(body)
            self._send(body[start : len(body) // 2 if answer.stall else end], answer.stall)

    def _send(self, data: bytes, stall: bool) -> None:
        try:
            self.wfile.write(data)
            self.wfile.flush()
            if stall:
                self.server_state.ending.wait()
        except OSError:
            self.close_connection = True
