"""Image hosts on this machine for a benchmark, each a port of its own; one of them may hang."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from threading import Thread
from typing import Self

from aiohttp import web

BACKLOG = 1024
STOP_SECONDS = 10


class PictureHosts:
    """So many hosts in a thread of its own. A context manager.

    Args:
        count: how many.
        pictures: JPEG files; a path ends in a number, and no two numbers give the same bytes.
    """

    def __init__(self, count: int, pictures: Sequence[bytes]) -> None:
        self._pictures = pictures
        self._sockets = [_listening() for _ in range(count)]
        self.ports = [int(each.getsockname()[1]) for each in self._sockets]
        self._hanging: int | None = None
        self._healed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="picture hosts", daemon=True)
        self._runner: web.AppRunner | None = None

    def url(self, number: int) -> str:
        """Of the picture with this number; its host is the number's turn."""
        return f"http://127.0.0.1:{self.ports[number % len(self.ports)]}/{number}"

    def hang(self, host: int) -> None:
        """From now on this host takes requests and answers none, until healed."""
        self._hanging = self.ports[host]

    def heal(self) -> None:
        """All hosts answer, also what they were asked meanwhile."""
        self._hanging = None
        self._loop.call_soon_threadsafe(self._healed.set)

    async def _answer(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        if request.transport.get_extra_info("sockname")[1] == self._hanging:
            await self._healed.wait()
        number = int(request.match_info["number"])
        return web.Response(body=_unlike(self._pictures[number % len(self._pictures)], number))

    async def _open(self) -> None:
        app = web.Application()
        app.router.add_get(r"/{number:\d+}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        for each in self._sockets:
            await web.SockSite(self._runner, each, backlog=BACKLOG).start()

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(STOP_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)
        self._loop.close()


def _listening() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    return listening


def _unlike(picture: bytes, number: int) -> bytes:
    """The same JPEG with a comment of its own, so that nothing remembers its digest."""
    comment = str(number).encode()
    return picture[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + picture[2:]
