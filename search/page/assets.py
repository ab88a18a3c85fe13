"""Serving the page: a handful of small files, read once, kept by browsers for as long as they don't change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Annotated

from fastapi import APIRouter, Header, Response

from search.problems import Problem

_FOLDER = Path(__file__).parent
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

# Shops keep their pictures anywhere, so only pictures may come from elsewhere.
POLICY = (
    "default-src 'none'; img-src 'self' data: blob: https: http:; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-cache",  # kept, but asked about each time: a new release shows at once
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True)
class _Asset:
    content: bytes
    media_type: str

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'

    def response(self, known: str | None) -> Response:
        headers = _HEADERS | {"ETag": self.etag}
        if known is not None and self.etag in known:
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


_Known = Annotated[str | None, Header(alias="if-none-match")]


class Page:
    """The routes `/` and `/page/…`.

    Args:
        listing: whether the page offers to list a product.
        pictures: whether the service has the pictures of `file:///` URLs.
        words: whether the page offers to search by words now: the model may change.
    """

    def __init__(self, *, listing: bool, pictures: bool, words: Callable[[], bool]) -> None:
        html = Template((_FOLDER / "index.html").read_text(encoding="utf-8"))
        self._words = words
        self._index = {
            reads: _Asset(
                html.substitute(_switches(listing=listing, pictures=pictures, words=reads)).encode(), "text/html"
            )
            for reads in (False, True)
        }
        self._files = {
            path.name: _Asset(path.read_bytes(), _MEDIA_TYPES[path.suffix])
            for path in _FOLDER.iterdir()
            if path.suffix in _MEDIA_TYPES
        }

    def router(self) -> APIRouter:
        """Routes that are no part of the API."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/", self.index, methods=["GET", "HEAD"])
        router.add_api_route("/page/{name}", self.file, methods=["GET", "HEAD"])
        return router

    async def index(self, known: _Known = None) -> Response:
        """The page itself."""
        return self._index[self._words()].response(known)

    async def file(self, name: str, known: _Known = None) -> Response:
        """Its style, its modules, its icon."""
        if name not in self._files:
            raise Problem(404, "file-not-found", f"the page has no file {name!r}")
        return self._files[name].response(known)


def _switches(**offers: bool) -> dict[str, str]:
    return {name: "on" if offered else "off" for name, offered in offers.items()}
