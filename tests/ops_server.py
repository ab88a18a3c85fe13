"""The page `/ops` over HTTP with a state of one's choice, as the monitor's own server answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stream.monitor.state import OpsState
from stream.ops.page import ops_headers, ops_page


class OpsServer:
    """Answers with `state`, and as `status` says."""

    def __init__(self, address: str) -> None:
        self.url = f"{address}/ops"
        self.state: OpsState | str = ""
        self.status = HTTPStatus.OK

    def answer(self, path: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and body for a path."""
        if path == "/ops":
            return HTTPStatus.OK, ops_headers(), ops_page()
        if path != "/ops/state.json":
            return HTTPStatus.NOT_FOUND, {}, ""
        body = self.state if isinstance(self.state, str) else self.state.model_dump_json()
        return self.status, {"Content-Type": "application/json"}, body


@contextmanager
def ops_server() -> Iterator[OpsServer]:
    """A server on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = served.answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the library)
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = OpsServer(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
