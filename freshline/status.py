"""What a process says of itself over HTTP: `/metrics`, `/healthz` (it runs), `/readyz` (it gets on, or waits for …)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from socketserver import ThreadingMixIn
from threading import Thread
from types import MappingProxyType
from typing import Any, NamedTuple, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app


class Page(NamedTuple):
    """What a path of one's own answers."""

    body: bytes
    headers: Mapping[str, str]
    """Its `Content-Type` among them."""


JSON = {"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Routes = Mapping[str, Callable[[str], Page | None]]
"""By path, what makes its page, in any thread; a path that ends in `/` is told what follows it. None: not found."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name there
        """Say nothing of each scrape."""


def serve_status(
    host: str,
    port: int,
    registry: CollectorRegistry,
    waits_for: Callable[[], Sequence[str]],
    routes: Routes = MappingProxyType({}),
) -> None:
    """Answer in threads of its own for as long as the process lives.

    Args:
        host: to bind to.
        port: likewise.
        registry: of the metrics.
        waits_for: what the process waits for at the moment; ready when there is nothing. Called from any thread.
        routes: pages beside these.

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
        if page := _page(routes, path):
            return _answer(respond, "200 OK", page)
        return _json(respond, "404 Not Found", {"title": "Not Found", "status": 404})

    server = make_server(host, port, answer, server_class=_Server, handler_class=_Quiet)
    Thread(target=server.serve_forever, name="status", daemon=True).start()


def _page(routes: Routes, path: str) -> Page | None:
    folder, _, name = path.rpartition("/")
    make = routes.get(path) or routes.get(f"{folder}/")
    return make(name) if make else None


def _json(respond: StartResponse, status: str, body: object) -> Iterable[bytes]:
    return _answer(respond, status, Page(json.dumps(body).encode(), JSON))


def _answer(respond: StartResponse, status: str, page: Page) -> Iterable[bytes]:
    respond(status, [*page.headers.items(), ("Content-Length", str(len(page.body)))])
    return [page.body]
