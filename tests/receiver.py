"""A local web server that is posted to."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it; answers `status`, after `answers` is set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posts: list[tuple[str, str | None, dict[str, Any]]] = []
        self.status = 204
        self.answers = threading.Event()
        self.answers.set()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def events(self) -> list[tuple[str, Any]]:
        documents = [document for _, _, document in self.posts]
        return [(one["event"], one["best"] and one["best"]["value"]) for one in documents]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answers.wait(60)
        post = (self.path, self.headers["Authorization"], json.loads(body))
        self.server.posts.append(post)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    yield server
    server.answers.set()
    server.shutdown()
    thread.join(60)
    server.server_close()
