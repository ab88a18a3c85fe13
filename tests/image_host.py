"""An image host on this machine that answers as it is told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ImageHost:
    """Serves `pictures` by path; `hold` keeps a path's answers back until `release`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.pictures: dict[str, bytes] = {}
        self.requests: Counter[str] = Counter()
        self._held: dict[str, threading.Event] = {}

    def add(self, path: str, picture: bytes) -> str:
        """The URL of a new picture."""
        self.pictures[path] = picture
        return self.url + path

    def hold(self, path: str) -> None:
        self._held[path] = threading.Event()

    def release(self, path: str) -> None:
        self._held.pop(path).set()

    def answer(self, path: str) -> bytes | None:
        self.requests[path] += 1
        if gate := self._held.get(path):
            gate.wait()
        return self.pictures.get(path)


@contextmanager
def image_host() -> Iterator[ImageHost]:
    """A host for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = host.answer(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    host = ImageHost(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
