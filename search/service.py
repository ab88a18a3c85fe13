"""The HTTP API: routes, and the application that is made of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from indexer.store import Store
from schemas.payloads import Payload
from search.body import read_search
from search.listing import Lister, Listings
from search.metrics import SearchMetrics
from search.model import Model, Models
from search.models import FormSearch, Health, JsonSearch, Limit, SearchResponse
from search.page.assets import Page
from search.pictures import HEADERS as PICTURE_HEADERS
from search.pictures import first_picture
from search.problems import MEDIA_TYPE, Problem, ProblemDetails, add_handlers
from search.query import held
from search.requests import RequestLog
from search.searcher import Searcher
from search.settings import SearchSettings

# Read from the request itself, since either form may come: so it is written down here.
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": FormSearch.model_json_schema()},
            "application/json": {"schema": JsonSearch.model_json_schema()},
        },
    }
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What went wrong (RFC 9457)",
        "content": {MEDIA_TYPE: {"schema": ProblemDetails.model_json_schema()}},
    }
}


class _Routes:
    def __init__(self, searcher: Searcher, settings: SearchSettings, registry: CollectorRegistry) -> None:
        self._searcher = searcher
        self._settings = settings
        self._registry = registry

    def router(self) -> APIRouter:
        router = APIRouter(responses=_PROBLEMS)
        router.add_api_route("/v1/search", self.search, methods=["POST"], openapi_extra=_BODY)
        router.add_api_route("/v1/products/{product_id:path}/similar", self.similar)
        router.add_api_route("/v1/products/{product_id:path}/image", self.picture, response_class=Response)
        router.add_api_route("/v1/products/{product_id:path}", self.product)
        router.add_api_route("/healthz", self.health, response_model_exclude_none=True)
        router.add_api_route("/readyz", self.ready)
        router.add_api_route("/metrics", self.metrics, response_class=Response)
        return router

    async def search(self, request: Request) -> SearchResponse:
        """Search by a picture, words or both: the products most like that, each once, most similar first."""
        return await self._searcher.search(await read_search(request, self._settings.max_image_bytes))

    async def similar(self, product_id: str, limit: Limit = 10) -> SearchResponse:
        """The products that look most like this one."""
        return await self._searcher.similar(product_id, limit)

    async def product(self, product_id: str) -> Payload:
        """What the index holds for a product, `deleted` ones too while they are remembered."""
        _, payload = await self._searcher.view.run(partial(held, product_id=product_id))
        if payload is None:
            raise Problem(404, "product-not-found", f"the index holds nothing for a product {product_id!r}")
        return payload

    async def picture(self, product_id: str) -> Response:
        """The product's first picture, where it is a file below the service's image root."""
        product = await self.product(product_id)
        root, max_bytes = self._settings.image_root, self._settings.max_image_bytes
        found = await asyncio.to_thread(first_picture, product, root, max_bytes)
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


def create_app(
    *,
    store: Store,
    model: Model,
    settings: SearchSettings,
    registry: CollectorRegistry,
    others: Models | None = None,
    lister: Lister | None = None,
) -> FastAPI:
    """The service, made of ready parts; `store` is the caller's to close after it ended.

    Args:
        store: where the views are.
        model: the one to begin with.
        settings: which view, and the limits of a request.
        registry: where `freshline_search_seconds` goes, and what `/metrics` shows.
        others: further models, for when the alias is switched to a view of another space.
        lister: takes the products that the page lists; without it the page doesn't offer to.
    """
    searcher = Searcher(store, model, settings, SearchMetrics(registry), others=others)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with searcher.running():
            yield

    # FastAPI's own documentation pages load scripts from elsewhere.
    app = FastAPI(title="Freshline search", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.include_router(_Routes(searcher, settings, registry).router())
    app.include_router(Listings(lister, searcher, settings.max_image_bytes).router(), responses=_PROBLEMS)
    pictures = settings.image_root is not None
    page = Page(listing=lister is not None, pictures=pictures, words=lambda: searcher.reads)
    app.include_router(page.router())
    add_handlers(app)
    app.add_middleware(RequestLog)
    return app
