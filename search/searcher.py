"""One search from the picture's bytes, or words, to the products."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial

import numpy as np

from encoders.batcher import Pixels, Vectors
from indexer.store import Store
from search.filters import filter_of
from search.metrics import SearchMetrics
from search.model import Encoding, Encodings, Model, Models, no_others
from search.models import SearchRequest, SearchResponse
from search.problems import Problem
from search.query import Found, Page, searched, similar
from search.settings import SearchSettings
from search.view import Served, ServingView, ViewMoved


class Searcher:
    """Searches a view with its model.

    Args:
        store: where the view is.
        model: the one to begin with.
        settings: the view, and the limits of a request.
        metrics: where each stage's time goes.
        others: further models, for when the alias is switched to a view of another space.
    """

    def __init__(
        self,
        store: Store,
        model: Model,
        settings: SearchSettings,
        metrics: SearchMetrics,
        *,
        others: Models | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="prepare")
        self._others = others or no_others(model)
        self._reads = model.encode_text is not None
        self._encodings = Encodings(self._encoding(model), lambda space: self._encoding(self._others(space)))
        self.view = ServingView(store, alias=settings.alias, pinned=settings.view, encodings=self._encodings)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the view and take pictures; once."""
        try:
            async with self._encodings, self.view.following(self._settings.refresh_seconds):
                yield
        finally:
            self._threads.shutdown()

    @property
    def bundle(self) -> str:
        """Of what is searched now.

        Raises:
            Problem: 503, nothing is.
        """
        return self.view.require().encoding.bundle

    @property
    def reads(self) -> bool:
        """Whether words can be searched by, as far as is known before there is a view."""
        served = self.view.served
        return served.encoding.reads if served else self._reads

    async def search(self, request: SearchRequest, *, canary: bool = False) -> SearchResponse:
        """The products most similar to the request's picture, its words, or both; `canary`: that one too.

        Raises:
            Problem: 415 or 422 for what is no picture, 422 for text that the bundle can't read, 503 while there is no
                view.
        """
        started = time.perf_counter()
        while True:
            served = self.view.require()  # before work is spent on the picture
            vector = await _vector(served.encoding, request)
            matching = filter_of(request, canary=canary)
            page = Page(request.limit, request.offset, request.min_score)
            find = partial(searched, vectors=[vector.tolist()], page=page, matching=matching, facets=request.facets)
            with suppress(ViewMoved), self._metrics.stage("query"):
                found = await self.view.ask(served, partial(find, hnsw_ef=self._settings.hnsw_ef))
                return self._response(served, found, started)

    async def similar(self, product_id: str, page: Page) -> SearchResponse:
        """The products most similar to one that is in the index.

        Raises:
            Problem: 404 if it isn't, or has no pictures there; 503 while there is no view.
        """
        started = time.perf_counter()
        find = partial(similar, product_id=product_id, page=page, hnsw_ef=self._settings.hnsw_ef)
        while True:
            served = self.view.require()
            with suppress(ViewMoved), self._metrics.stage("query"):
                hits = await self.view.ask(served, find)
                break
        if hits is None:
            raise Problem(404, "product-not-found", f"the index holds no pictures of a product {product_id!r}")
        return self._response(served, Found(hits), started)

    async def pixels(self, image: bytes) -> Pixels:
        """The picture as the model sees it.

        Raises:
            Problem: 415 or 422 for what is no picture, 503 while there is no view.
        """
        return await self.view.require().encoding.pixels(image)

    def _encoding(self, model: Model) -> Encoding:
        return Encoding(model, self._settings, self._metrics, self._threads)

    def _response(self, served: Served, found: Found, started: float) -> SearchResponse:
        seconds = time.perf_counter() - started
        self._metrics.answered(seconds)
        took_ms = round(seconds * 1000, 3)
        return SearchResponse(
            results=found.hits, facets=found.facets, took_ms=took_ms, view=served.name, bundle=served.encoding.bundle
        )


async def _vector(encoding: Encoding, request: SearchRequest) -> Vectors:
    """What is asked for, float32 (dimension,); cosines to it are ranked as the two cosines' weighted sum."""
    if not request.text:
        return await encoding.picture(request.image or b"")
    words = await encoding.words(request.text)
    if not request.image:
        return words
    picture = await encoding.picture(request.image)
    both = (1 - request.text_weight) * picture + request.text_weight * words
    blended: Vectors = (both / max(float(np.linalg.norm(both)), 1e-12)).astype(np.float32)
    return blended
