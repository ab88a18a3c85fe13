"""Image hosts on this machine that answer as they are told; each port is a host of its own.

    with image_host() as host:
        url = host.add("/a.jpg", picture)
        host.tell(Status(503, times=3), "/a.jpg")   # then it is well again
        host.tell(Hang())                           # the whole host
        host.heal()                                 # what hangs is answered
        host.down(); host.up()                      # connections are refused, and taken again on the same port

A path's own trouble goes before the host's. All of it may be called from any thread while requests are under way.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

BACKLOG = 1024


@dataclass(frozen=True)
class Hang:
    """Take the request, answer nothing until the host is healed."""


@dataclass(frozen=True)
class Delay:
    """Answer so much later."""

    seconds: float


@dataclass(frozen=True)
class Drip:
    """Headers at once, then the picture in small drops."""

    bytes_per_second: float = 1.0


@dataclass(frozen=True)
class Status:
    """This status, for so many answers (None: until healed)."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int | None = None


def Redirect(location: str, code: int = 302) -> Status:  # noqa: N802  # reads as the others do
    """To another place."""
    return Status(code, {"Location": location})


Trouble = Hang | Delay | Drip | Status


class _Told:
    """A trouble under way."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self.left = trouble.times if isinstance(trouble, Status) else None
        self.healed = asyncio.Event()

    def is_over(self) -> bool:
        """Counts one answer."""
        if self.left is None:
            return False
        self.left -= 1
        return self.left < 0

    async def pass_by(self, seconds: float | None) -> None:
        """Return after so long (None: for ever), or when healed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.healed.wait()


class ImageHost:
    """Serves `pictures` by path, with `ETag` and 304 if `etags`."""

    def __init__(self) -> None:
        self.pictures: dict[str, bytes] = {}
        self.requests: Counter[str] = Counter()
        """Requests by path, those that were not answered too."""
        self.statuses: Counter[int] = Counter()
        """Answers by status."""
        self.open = 0
        """Requests that wait for their answer's end now."""
        self.most_open = 0
        self.etags = False
        self._told: dict[str | None, _Told] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="image host", daemon=True)
        self._reserved = _bound(0)  # keeps the port ours while the host is down
        self._runner = web.AppRunner(_app(self), shutdown_timeout=0.01, handler_cancellation=True, access_log=None)
        self._site: web.SockSite | None = None

    @property
    def port(self) -> int:
        return int(self._reserved.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, path: str, picture: bytes) -> str:
        """The URL of a new picture."""
        self.pictures[path] = picture
        return self.url + path

    def tell(self, trouble: Trouble, path: str | None = None) -> None:
        """From now on: one path, or all without a trouble of their own."""
        self.heal(path)
        self._told[path] = _Told(trouble)

    def heal(self, path: str | None = None) -> None:
        """End the trouble of a path or of the host as a whole; what waited for that is answered now."""
        if told := self._told.pop(path, None):
            self._loop.call_soon_threadsafe(told.healed.set)

    def hold(self, path: str) -> None:
        self.tell(Hang(), path)

    def release(self, path: str) -> None:
        self.heal(path)

    def down(self) -> None:
        """Refuse connections, and break those that are open."""
        self._run(self._close_site())

    def up(self) -> None:
        """Take connections (again), on the same port."""
        self._run(self._open_site())

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests[request.path] += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            response = await self._answer(request)
            self.statuses[response.status] += 1
            return response
        finally:
            self.open -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        told = self._told.get(request.path) or self._told.get(None)
        match told.trouble if told is not None and not told.is_over() else None:
            case Status(code, headers):
                return web.Response(status=code, headers=headers)
            case Hang():
                assert told is not None
                await told.pass_by(None)
            case Delay(seconds):
                assert told is not None
                await told.pass_by(seconds)
            case Drip(rate):
                assert told is not None
                return await self._drip(request, told, rate)
        return self._picture(request)

    def _picture(self, request: web.Request) -> web.Response:
        body = self.pictures.get(request.path)
        if body is None:
            return web.Response(status=404)
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"'} if self.etags else {}
        if self.etags and request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers)

    async def _drip(self, request: web.Request, told: _Told, rate: float) -> web.StreamResponse:
        body = self.pictures.get(request.path, b"")
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        for at in range(len(body)):
            if told.healed.is_set():
                await response.write(body[at:])
                break
            await response.write(body[at : at + 1])
            await told.pass_by(1 / rate)
        return response

    async def _open_site(self) -> None:
        if self._site is None:
            self._site = web.SockSite(self._runner, _bound(self.port), backlog=BACKLOG)
            await self._site.start()

    async def _close_site(self) -> None:
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()
            assert self._runner.server is not None
            for connection in self._runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def start(self) -> None:
        self._thread.start()
        self._run(self._runner.setup())
        self.up()

    def close(self) -> None:
        for path in list(self._told):
            self.heal(path)
        self.down()
        self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._reserved.close()


def _app(host: ImageHost) -> web.Application:
    app = web.Application()
    app.router.add_get("/{path:.*}", host.answer)
    return app


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


@contextmanager
def image_host() -> Iterator[ImageHost]:
    """A host for as long as the context lasts."""
    host = ImageHost()
    host.start()
    try:
        yield host
    finally:
        host.close()
