"""What a worker says of itself over HTTP: `/metrics`, `/healthz` (it runs), `/readyz` (it gets on, or waits for …)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name there
        """Say nothing of each scrape."""


def serve_status(host: str, port: int, registry: CollectorRegistry, waits_for: Callable[[], Sequence[str]]) -> None:
    """Answer in threads of its own for as long as the process lives.

    Args:
        host: to bind to.
        port: likewise.
        registry: of the metrics.
        waits_for: what the worker waits for at the moment; ready when there is nothing. Called from any thread.

    Raises:
        OSError: the port is taken.
    """
    metrics = make_wsgi_app(registry)

    def answer(environ: WSGIEnvironment, respond: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return cast(Iterable[bytes], metrics(environ, respond))
        if path == "/healthz":
            return _json(respond, "200 OK", {"status": "ok"})
        if path == "/readyz":
            away = list(waits_for())
            return _json(
                respond, "503 Service Unavailable" if away else "200 OK", {"ready": not away, "waits_for": away}
            )
        return _json(respond, "404 Not Found", {"title": "Not Found", "status": 404})

    server = make_server(host, port, answer, server_class=_Server, handler_class=_Quiet)
    Thread(target=server.serve_forever, name="status", daemon=True).start()


def _json(respond: StartResponse, status: str, body: object) -> Iterable[bytes]:
    text = json.dumps(body).encode()
    respond(status, [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]
