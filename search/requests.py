"""One line in the log for each request, under an id that its answer carries too; never what was searched for."""

from __future__ import annotations

import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger(__name__)

HEADER = "X-Request-ID"
HOLDER = "freshline.holder"
"""Where a request's scope has the name of the API key that it came with."""
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = {"/healthz", "/readyz", "/metrics"}
"""What machines ask every few seconds: logged at debug."""


class RequestLog:
    """An ASGI middleware. A caller's own `X-Request-ID` is kept, if it looks like one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log it when its answer is complete."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _ID.fullmatch(given) else uuid4().hex
        status, begun = 499, time.perf_counter()  # 499: the caller left before there was an answer

        scope["request_id"] = request_id

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, answer)
            except Exception:
                status = 500  # what is outside this makes an answer of it
                raise
            finally:
                _say(scope, status, time.perf_counter() - begun)


def _say(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", None)  # the template: a path may hold a product, or anything
    say = _log.debug if route in _QUIET else _log.info
    holder = {"holder": scope[HOLDER]} if HOLDER in scope else {}
    say("request", method=scope["method"], route=route, status=status, ms=round(seconds * 1000, 1), **holder)
