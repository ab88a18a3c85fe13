"""The search service: an application made of ready parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.params import Depends as Dependency
from prometheus_client import CollectorRegistry
from starlette.middleware.cors import CORSMiddleware

from indexer.store import Store
from search.admission import Admission
from search.body import BodyLimits
from search.guard import Guard
from search.headers import SecurityHeaders
from search.keys import Keys, rate_of
from search.listing import Lister, Listings
from search.metrics import SearchMetrics
from search.model import Model, Models
from search.page.assets import Page
from search.problems import add_handlers
from search.requests import HEADER, RequestLog
from search.routes import PROBLEMS, Routes
from search.searcher import Searcher
from search.settings import SearchSettings


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

    Raises:
        KeyFileError: the file of API keys can't be used.
        ValueError: the rate is none.
    """
    metrics = SearchMetrics(registry)
    searcher = Searcher(store, model, settings, metrics, others=others)
    admission = Admission(settings.most_searches, settings.patience_seconds, metrics)
    guards = _guards(settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with searcher.running():
            yield

    # FastAPI's own documentation pages load scripts from elsewhere.
    app = FastAPI(title="Freshline search", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    limits = BodyLimits(settings.max_image_bytes, settings.upload_seconds)
    app.include_router(
        Routes(searcher, admission, limits, image_root=settings.image_root, registry=registry, guards=guards).router()
    )
    app.include_router(Listings(lister, searcher, limits).router(), responses=PROBLEMS, dependencies=guards)
    pictures = settings.image_root is not None
    page = Page(listing=lister is not None, pictures=pictures, words=lambda: searcher.reads)
    app.include_router(page.router())
    add_handlers(app)
    _add_middleware(app, settings.cors_origins)
    return app


def _add_middleware(app: FastAPI, cors_origins: Sequence[str]) -> None:
    """What every request passes; the last one first."""
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", HEADER],
            expose_headers=["Retry-After", HEADER],
        )
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestLog)


def _guards(settings: SearchSettings, metrics: SearchMetrics) -> list[Dependency]:
    if settings.keys is None:
        return []
    rate = rate_of(settings.rate) if settings.rate else None
    return [Depends(Guard(Keys(settings.keys), rate, metrics))]
