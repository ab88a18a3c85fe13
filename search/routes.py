"""The routes of the HTTP API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.params import Depends
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from schemas.payloads import Payload
from search.admission import Admission
from search.body import BodyLimits, read_search
from search.models import FormSearch, Health, JsonSearch, Limit, MinScore, Offset, SearchResponse
from search.pictures import HEADERS as PICTURE_HEADERS
from search.pictures import first_picture
from search.problems import MEDIA_TYPE, Problem, ProblemDetails
from search.query import Page, held
from search.searcher import Searcher

_EXAMPLES: dict[str, Any] = {
    "words": {"summary": "by words", "value": {"text": "striped teal mugs", "limit": 5}},
    "picture": {
        "summary": "by a picture, among some products",
        "value": {
            "image_base64": "/9j/4AAQSkZJRgABAQAAAQABAAD…",
            "category": "shoes",
            "price_max": 100,
            "attributes": {"color": ["red", "orange"]},
            "facets": ["brand", "attributes.color"],
        },
    },
    "both": {
        "summary": "by a picture, but in blue",
        "value": {"image_base64": "/9j/4AAQSkZJRgABAQAAAQABAAD…", "text": "in blue", "text_weight": 0.4},
    },
}
# Read from the request itself, since either form may come: so it is written down here.
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": FormSearch.model_json_schema()},
            "application/json": {"schema": JsonSearch.model_json_schema(), "examples": _EXAMPLES},
        },
    }
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What went wrong (RFC 9457)",
        "content": {MEDIA_TYPE: {"schema": ProblemDetails.model_json_schema()}},
    }
}


class Routes:
    """What can be asked.

    Args:
        searcher: finds.
        admission: to its work.
        limits: of a request's body.
        image_root: where pictures are served from.
        registry: what `/metrics` shows.
        guards: of whatever costs something, in front of it.
    """

    def __init__(
        self,
        searcher: Searcher,
        admission: Admission,
        limits: BodyLimits,
        *,
        image_root: Path | None,
        registry: CollectorRegistry,
        guards: Sequence[Depends],
    ) -> None:
        self._searcher = searcher
        self._admission = admission
        self._limits = limits
        self._image_root = image_root
        self._registry = registry
        self._guards = guards

    def router(self) -> APIRouter:
        """All of them."""
        guards = self._guards
        router = APIRouter(responses=PROBLEMS)
        router.add_api_route("/v1/search", self.search, methods=["POST"], openapi_extra=_BODY, dependencies=guards)
        router.add_api_route("/v1/products/{product_id:path}/similar", self.similar, dependencies=guards)
        # Not guarded: browsers send no key with a picture.
        router.add_api_route("/v1/products/{product_id:path}/image", self.picture, response_class=Response)
        router.add_api_route("/v1/products/{product_id:path}", self.product, dependencies=guards)
        router.add_api_route("/healthz", self.health, response_model_exclude_none=True)
        router.add_api_route("/readyz", self.ready)
        router.add_api_route("/metrics", self.metrics, response_class=Response)
        return router

    async def search(self, request: Request) -> SearchResponse:
        """Search by a picture, words or both: the products most like that, each once, most similar first."""
        self._admission.check()
        asked = await read_search(request, self._limits)
        async with self._admission.admitted():
            return await self._searcher.search(asked)

    async def similar(
        self, product_id: str, limit: Limit = 10, offset: Offset = 0, min_score: MinScore | None = None
    ) -> SearchResponse:
        """The products that look most like this one."""
        async with self._admission.admitted():
            return await self._searcher.similar(product_id, Page(limit, offset, min_score))

    async def product(self, product_id: str) -> Payload:
        """What the index holds for a product, `deleted` ones too while they are remembered."""
        _, payload = await self._searcher.view.run(partial(held, product_id=product_id))
        if payload is None:
            raise Problem(404, "product-not-found", f"the index holds nothing for a product {product_id!r}")
        return payload

    async def picture(self, product_id: str) -> Response:
        """The product's first picture, where it is a file below the service's image root."""
        product = await self.product(product_id)
        found = await asyncio.to_thread(first_picture, product, self._image_root, self._limits.max_image_bytes)
        if found is None:
            raise Problem(404, "picture-not-found", f"this service has no picture of the product {product_id!r}")
        return Response(found.data, media_type=found.media_type, headers=PICTURE_HEADERS)

    async def health(self) -> Health:
        """That the process answers."""
        return Health(status="ok")

    async def ready(self) -> Health:
        """That searches can be answered; 503 with the reason while they can't."""
        view = self._searcher.view
        if view.problem is not None:
            raise view.unavailable()
        return Health(status="ready", view=view.name, bundle=self._searcher.bundle)

    async def metrics(self) -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
